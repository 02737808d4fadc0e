/* Commands of the model; queries are in model_queries.c. */
#include "tests/support/model.h"

#include <assert.h>
#include <stdlib.h>

static void *one_more(void *rows, size_t count, size_t size)
{
    rows = realloc(rows, (count + 1) * size);
    assert(rows != NULL);
    return rows;
}

/* Puts a row at the end of an array. */
#define ADD(rows, count, ...)                                                                      \
    ((rows) = one_more(rows, count, sizeof *(rows)), (rows)[(count)++] = (__VA_ARGS__))

struct model *model_new(void)
{
    struct model *model = calloc(1, sizeof *model);
    assert(model != NULL);
    model->arena = arena_new();
    model->codec = codec_new();
    assert(model->arena != NULL && model->codec != NULL);
    return model;
}

void model_destroy(struct model **model)
{
    if (*model == NULL)
        return;
    free((*model)->products);
    free((*model)->batches);
    free((*model)->lines);
    free((*model)->events);
    free((*model)->answers);
    arena_destroy(&(*model)->arena);
    codec_destroy(&(*model)->codec);
    free(*model);
    *model = NULL;
}

/* ---- looking ---- */

const struct model_product *model_product(const struct model *model, struct text sku)
{
    for (size_t i = 0; i < model->product_count; i++)
        if (text_equal(model->products[i].sku, sku))
            return &model->products[i];
    return NULL;
}

const struct model_batch *model_batch(const struct model *model, struct text ref)
{
    for (size_t i = 0; i < model->batch_count; i++)
        if (text_equal(model->batches[i].ref, ref))
            return &model->batches[i];
    return NULL;
}

static struct model_line *find_line(const struct model *model, struct text orderid, struct text sku)
{
    for (size_t i = 0; i < model->line_count; i++)
        if (text_equal(model->lines[i].orderid, orderid) && text_equal(model->lines[i].sku, sku))
            return &model->lines[i];
    return NULL;
}

uint64_t model_allocated(const struct model *model, const struct model_batch *batch)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < model->line_count; i++)
        if (text_equal(model->lines[i].batchref, batch->ref))
            sum += model->lines[i].qty;
    return sum;
}

uint64_t model_available(const struct model *model, const struct model_batch *batch)
{
    uint64_t allocated = model_allocated(model, batch);
    return batch->qty > allocated ? batch->qty - allocated : 0;
}

int model_order_of_use(const struct model_batch *a, const struct model_batch *b)
{
    if (date_is_none(a->eta) != date_is_none(b->eta))
        return date_is_none(a->eta) ? -1 : 1;
    if (a->eta.yyyymmdd != b->eta.yyyymmdd)
        return a->eta.yyyymmdd < b->eta.yyyymmdd ? -1 : 1;
    return (a->created > b->created) - (a->created < b->created);
}

/* ---- changing ---- */

/* Stores an event of a product. Returns its seq. */
static uint64_t happen(struct model *model, struct text sku, struct event event)
{
    struct model_product *product = (struct model_product *)model_product(model, sku);
    event.seq = model->event_count + 1;
    for (size_t i = 0; i < model->event_count; i++)
        if (model->events[i].type == event.type)
            event.prev = model->events[i].seq;
    event.time_ms = model->now_ms;
    event.sku = product->sku;
    event.version = ++product->version;
    event.cause = model->cause;
    ADD(model->events, model->event_count, event);
    return event.seq;
}

/* Allocates a line by rule 2. False: it fits nowhere. */
static bool place(struct model *model, struct model_line *line)
{
    const struct model_batch *best = NULL;
    for (size_t i = 0; i < model->batch_count; i++) {
        const struct model_batch *batch = &model->batches[i];
        bool fits = text_equal(batch->sku, line->sku) && model_available(model, batch) >= line->qty;
        if (fits && (best == NULL || model_order_of_use(batch, best) < 0))
            best = batch;
    }
    if (best == NULL)
        return false;
    line->batchref = best->ref;
    struct allocated allocated = {line->orderid, line->qty, best->ref, 0};
    line->since = happen(model, line->sku,
                         (struct event){.type = MESSAGE_ALLOCATED, .as.allocated = allocated});
    return true;
}

static uint64_t find_no_stock(struct model *model, const struct model_line *line, bool waiting)
{
    struct out_of_stock refused = {line->orderid, line->qty, waiting, 0};
    return happen(model, line->sku,
                  (struct event){.type = MESSAGE_OUT_OF_STOCK, .as.out_of_stock = refused});
}

static void lose_batch(struct model *model, struct model_line *line)
{
    struct deallocated deallocated = {line->orderid, line->qty, line->batchref, 0};
    happen(model, line->sku,
           (struct event){.type = MESSAGE_DEALLOCATED, .as.deallocated = deallocated});
    line->batchref = text_none();
    line->since = 0;
}

/* Rule 7: each waiting line once, the one that waits longest first. */
static void serve_waiting(struct model *model, struct text sku)
{
    uint64_t head = model->event_count;
    for (uint64_t since = 1; since <= head; since++)
        for (size_t i = 0; i < model->line_count; i++) {
            struct model_line *line = &model->lines[i];
            if (line->since == since && text_is_none(line->batchref) && text_equal(line->sku, sku))
                place(model, line);
        }
}

/* ---- commands ---- */

static struct reply refusal(enum outcome outcome, struct text about, struct text about_more)
{
    return (struct reply){.outcome = outcome, .about = about, .about_more = about_more};
}

static struct reply invalid_sku(struct text sku)
{
    return refusal(OUTCOME_INVALID_SKU, sku, text_none());
}

static struct reply unknown_batch(struct text ref)
{
    return refusal(OUTCOME_UNKNOWN_BATCH, ref, text_none());
}

static struct reply create_batch(struct model *model, const struct create_batch *command)
{
    const struct model_batch *existing = model_batch(model, command->ref);
    if (existing != NULL) {
        bool same = text_equal(existing->sku, command->sku) && existing->qty == command->qty &&
                    existing->eta.yyyymmdd == command->eta.yyyymmdd;
        return same ? (struct reply){.duplicate = true}
                    : refusal(OUTCOME_BATCH_CONFLICT, command->ref, text_none());
    }
    if (model_product(model, command->sku) == NULL)
        ADD(model->products, model->product_count, (struct model_product){command->sku, 0});
    struct batch_created created = {command->ref, command->qty, command->eta, 0};
    uint64_t seq =
        happen(model, command->sku,
               (struct event){.type = MESSAGE_BATCH_CREATED, .as.batch_created = created});
    ADD(model->batches, model->batch_count,
        (struct model_batch){command->ref, command->sku, command->qty, command->eta, seq});
    serve_waiting(model, command->sku);
    return (struct reply){.outcome = OUTCOME_DONE};
}

static struct reply allocate(struct model *model, const struct allocate *command)
{
    if (model_product(model, command->sku) == NULL)
        return invalid_sku(command->sku);
    const struct model_line *existing = find_line(model, command->orderid, command->sku);
    if (existing != NULL && existing->qty != command->qty)
        return refusal(OUTCOME_LINE_CONFLICT, command->orderid, command->sku);
    if (existing != NULL && text_is_none(existing->batchref))
        return refusal(OUTCOME_OUT_OF_STOCK, command->sku, text_none());
    if (existing != NULL)
        return (struct reply){.batchref = existing->batchref, .duplicate = true};
    struct model_line line = {command->orderid, command->sku, command->qty, text_none(), 0};
    if (!place(model, &line)) {
        find_no_stock(model, &line, false);
        return refusal(OUTCOME_OUT_OF_STOCK, command->sku, text_none());
    }
    ADD(model->lines, model->line_count, line);
    return (struct reply){.batchref = line.batchref};
}

/* The line of a batch that was allocated last. */
static struct model_line *newest_line(struct model *model, const struct model_batch *batch)
{
    struct model_line *newest = NULL;
    for (size_t i = 0; i < model->line_count; i++) {
        struct model_line *line = &model->lines[i];
        if (text_equal(line->batchref, batch->ref) &&
            (newest == NULL || line->since > newest->since))
            newest = line;
    }
    return newest;
}

static struct reply change_batch_quantity(struct model *model,
                                          const struct change_batch_quantity *command)
{
    struct model_batch *batch = (struct model_batch *)model_batch(model, command->ref);
    if (batch == NULL)
        return unknown_batch(command->ref);
    if (batch->qty == command->qty)
        return (struct reply){.duplicate = true};
    batch->qty = command->qty;
    struct batch_quantity_changed changed = {batch->ref, batch->qty, 0};
    happen(model, batch->sku,
           (struct event){.type = MESSAGE_BATCH_QUANTITY_CHANGED,
                          .as.batch_quantity_changed = changed});
    struct model_line **displaced = NULL; /* the newest first */
    size_t count = 0;
    while (model_allocated(model, batch) > batch->qty) {
        struct model_line *line = newest_line(model, batch);
        lose_batch(model, line);
        ADD(displaced, count, line);
    }
    for (size_t i = count; i > 0; i--)
        if (!place(model, displaced[i - 1]))
            displaced[i - 1]->since = find_no_stock(model, displaced[i - 1], true);
    free(displaced);
    serve_waiting(model, batch->sku);
    return (struct reply){.outcome = OUTCOME_DONE};
}

static struct reply change_batch_eta(struct model *model, const struct change_batch_eta *command)
{
    struct model_batch *batch = (struct model_batch *)model_batch(model, command->ref);
    if (batch == NULL)
        return unknown_batch(command->ref);
    if (batch->eta.yyyymmdd == command->eta.yyyymmdd)
        return (struct reply){.duplicate = true};
    batch->eta = command->eta;
    struct batch_eta_changed changed = {batch->ref, batch->eta, 0};
    happen(model, batch->sku,
           (struct event){.type = MESSAGE_BATCH_ETA_CHANGED, .as.batch_eta_changed = changed});
    return (struct reply){.outcome = OUTCOME_DONE};
}

static struct reply deallocate(struct model *model, const struct deallocate *command)
{
    if (model_product(model, command->sku) == NULL)
        return invalid_sku(command->sku);
    struct model_line *line = find_line(model, command->orderid, command->sku);
    if (line == NULL)
        return refusal(OUTCOME_UNKNOWN_LINE, command->orderid, command->sku);
    lose_batch(model, line);
    *line = model->lines[--model->line_count];
    serve_waiting(model, command->sku);
    return (struct reply){.outcome = OUTCOME_DONE};
}

/* ---- a request from id to reply ---- */

static bool same_request(const struct request *a, const struct request *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case MESSAGE_CREATE_BATCH:
        return text_equal(a->as.create_batch.ref, b->as.create_batch.ref) &&
               text_equal(a->as.create_batch.sku, b->as.create_batch.sku) &&
               a->as.create_batch.qty == b->as.create_batch.qty &&
               a->as.create_batch.eta.yyyymmdd == b->as.create_batch.eta.yyyymmdd;
    case MESSAGE_ALLOCATE:
        return text_equal(a->as.allocate.orderid, b->as.allocate.orderid) &&
               text_equal(a->as.allocate.sku, b->as.allocate.sku) &&
               a->as.allocate.qty == b->as.allocate.qty;
    case MESSAGE_CHANGE_BATCH_QUANTITY:
        return text_equal(a->as.change_batch_quantity.ref, b->as.change_batch_quantity.ref) &&
               a->as.change_batch_quantity.qty == b->as.change_batch_quantity.qty;
    case MESSAGE_CHANGE_BATCH_ETA:
        return text_equal(a->as.change_batch_eta.ref, b->as.change_batch_eta.ref) &&
               a->as.change_batch_eta.eta.yyyymmdd == b->as.change_batch_eta.eta.yyyymmdd;
    case MESSAGE_DEALLOCATE:
        return text_equal(a->as.deallocate.orderid, b->as.deallocate.orderid) &&
               text_equal(a->as.deallocate.sku, b->as.deallocate.sku);
    default:
        assert(false);
        return false;
    }
}

static struct reply run_command(struct model *model, const struct request *request)
{
    switch (request->type) {
    case MESSAGE_CREATE_BATCH:
        return create_batch(model, &request->as.create_batch);
    case MESSAGE_ALLOCATE:
        return allocate(model, &request->as.allocate);
    case MESSAGE_CHANGE_BATCH_QUANTITY:
        return change_batch_quantity(model, &request->as.change_batch_quantity);
    case MESSAGE_CHANGE_BATCH_ETA:
        return change_batch_eta(model, &request->as.change_batch_eta);
    case MESSAGE_DEALLOCATE:
        return deallocate(model, &request->as.deallocate);
    default:
        assert(false);
        return (struct reply){.outcome = OUTCOME_STORAGE_FAILED};
    }
}

static struct reply handle_command(struct model *model, const struct request *request)
{
    struct reply reply;
    for (size_t i = 0; i < model->answer_count && !text_is_none(request->id); i++) {
        if (!text_equal(model->answers[i].request.id, request->id))
            continue;
        if (same_request(&model->answers[i].request, request))
            return model->answers[i].reply;
        reply = refusal(OUTCOME_ID_REUSED, request->id, text_none());
        reply.seq = model->event_count;
        return reply;
    }
    model->cause = request->id;
    reply = run_command(model, request);
    reply.seq = model->event_count;
    if (!text_is_none(request->id))
        ADD(model->answers, model->answer_count, (struct model_answer){*request, reply});
    return reply;
}

struct reply model_handle(struct model *model, const struct request *request)
{
    struct reply reply = {.outcome = OUTCOME_DONE};
    if (message_is_command(request->type))
        reply = handle_command(model, request);
    else
        model_answer_query(model, request, &reply);
    reply.type = request->type;
    reply.id = request->id;
    return reply;
}
