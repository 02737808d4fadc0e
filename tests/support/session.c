#include "tests/support/session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

struct session *session_new(struct unit_of_work *unit, struct reader *reader)
{
    struct session *session = calloc(1, sizeof *session);
    assert(session != NULL);
    session->model = model_new();
    session_restart(session, unit, reader);
    return session;
}

void session_destroy(struct session **session)
{
    if (*session == NULL)
        return;
    fake_parts_destroy(&(*session)->fakes);
    model_destroy(&(*session)->model);
    notation_release(&(*session)->expected);
    notation_release(&(*session)->actual);
    notation_release(&(*session)->complaint);
    free(*session);
    *session = NULL;
}

void session_stop(struct session *session)
{
    fake_parts_destroy(&session->fakes);
}

void session_restart(struct session *session, struct unit_of_work *unit, struct reader *reader)
{
    session_stop(session);
    faulty_store_init(&session->faulty, unit, reader);
    session->fakes = fake_parts_new(&session->faulty.unit, &session->faulty.reader);
}

/* ---- comparing ---- */

/* Compares what was written into the two notations. */
static bool is_as_expected(struct session *session, const char *what, size_t index)
{
    const char *expected = notation_text(&session->expected);
    const char *actual = notation_text(&session->actual);
    if (strcmp(expected, actual) == 0)
        return true;
    notation_add(&session->complaint, "%s %zu differs\n  expected: %s\n  actual:   %s\n", what,
                 index, expected, actual);
    return false;
}

static void clear(struct session *session)
{
    notation_clear(&session->expected);
    notation_clear(&session->actual);
}

static struct reply lost_command(const struct session *session, const struct request *request)
{
    enum outcome outcome =
        session->faulty.failure == STORE_FULL ? OUTCOME_STORAGE_FULL : OUTCOME_STORAGE_FAILED;
    return (struct reply){.outcome = outcome,
                          .type = request->type,
                          .id = request->id,
                          .seq = session->model->event_count};
}

static size_t bytes_of(const struct event_page *page)
{
    size_t bytes = 0;
    for (size_t i = 0; i < page->count; i++)
        bytes += page->rows[i].body.len;
    return bytes;
}

/* A full page of events may end in "go on", though no more of them follow: that would take a look
 * at all the others to know. And one with much in it, or much to look at, may be cut anywhere. */
static void allow_cut(const struct model *model, const struct request *request,
                      struct reply *expected, const struct reply *actual)
{
    struct event_page *page = &expected->as.events;
    const struct event_page *got = &actual->as.events;
    if (request->type != MESSAGE_GET_EVENTS || got->next == 0)
        return;
    bool is_much = model->event_count > PAGE_SCAN_MAX / 2 || bytes_of(page) > PAGE_BYTES_MAX / 2;
    while (is_much && page->count > 0 && page->rows[page->count - 1].seq > got->next)
        page->count--;
    bool is_full = page->count > 0 && page->count == request->as.get_events.limit &&
                   page->rows[page->count - 1].seq == got->next;
    if (is_much || is_full)
        page->next = got->next;
}

static bool compare_reply(struct session *session, const struct request *request, size_t index,
                          bool is_lost)
{
    struct reply expected = is_lost && message_is_command(request->type)
                                ? lost_command(session, request)
                                : model_handle(session->model, request);
    const struct reply *actual = bus_reply(session->fakes->bus, index);
    assert(actual->type == expected.type);
    allow_cut(session->model, request, &expected, actual);
    clear(session);
    notation_add_reply(&session->expected, &expected, session->model->codec);
    notation_add_reply(&session->actual, actual, session->model->codec);
    return is_as_expected(session, "reply", index);
}

/* Events are compared as bytes; as notation they are better to read. */
static bool compare_event(struct session *session, const struct event *expected,
                          const struct published_event *actual)
{
    struct text body;
    bool is_encoded = codec_encode_event(session->model->codec, expected, &body);
    assert(is_encoded);
    bool same_topic = actual->type == expected->type && text_equal(actual->sku, expected->sku);
    if (same_topic && text_equal(body, actual->body))
        return true;
    clear(session);
    notation_add(&session->expected, "at %" PRIu64 ": ", expected->time_ms);
    notation_add_stored_event(&session->expected, expected);
    notation_add(&session->actual, "%sat %" PRIu64 ": ", same_topic ? "" : "other topic ",
                 actual->event.time_ms);
    if (actual->event.type != MESSAGE_NONE)
        notation_add_stored_event(&session->actual, &actual->event);
    if (is_as_expected(session, "event", expected->seq))
        notation_add(&session->complaint, "event %" PRIu64 " has other bytes\n", expected->seq);
    return false;
}

static bool compare_events(struct session *session, size_t before)
{
    const struct model *model = session->model;
    struct fake_publisher *publisher = &session->fakes->publisher;
    bool same = publisher->count == model->event_count - before;
    if (!same)
        notation_add(&session->complaint, "%zu events were published instead of %zu\n",
                     publisher->count, model->event_count - before);
    for (size_t i = 0; i < publisher->count && same; i++)
        same = compare_event(session, &model->events[before + i], &publisher->events[i]);
    fake_publisher_clear(publisher);
    return same;
}

static void tell_group(struct session *session, const struct request *requests, size_t count)
{
    notation_add(&session->complaint, "in the group%s\n",
                 session->faulty.countdown == 0 && session->faulty.call != FAULTY_ANY
                     ? " with a failing store"
                     : "");
    for (size_t i = 0; i < count; i++) {
        notation_add(&session->complaint, "  %zu: ", i);
        notation_add_request(&session->complaint, &requests[i]);
        notation_add(&session->complaint, "\n");
    }
}

static void count_seen(struct session *session, const struct request *requests, size_t count,
                       size_t first_event)
{
    struct seen *seen = session->seen;
    if (seen == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        seen->requests[requests[i].type]++;
        seen->outcomes[bus_reply(session->fakes->bus, i)->outcome]++;
    }
    for (size_t i = first_event; i < session->model->event_count; i++)
        seen->events[session->model->events[i].type]++;
}

/* A part of a group that is sent as one of its own. */
struct part {
    const struct request *requests;
    size_t count;
    bool is_lost; /* a call of the store failed for it */
};

static void handle_part(struct session *session, struct part *part)
{
    uint64_t failures = session->faulty.failures;
    for (size_t i = 0; i < part->count; i++)
        bus_handle(session->fakes->bus, &part->requests[i], NULL);
    part->is_lost = part->is_lost || session->faulty.failures != failures;
}

static void submit_part(struct session *session, struct part *part, bool here)
{
    uint64_t failures = session->faulty.failures;
    bus_submit(session->fakes->bus, here);
    part->is_lost = part->is_lost || session->faulty.failures != failures;
}

/* Waits for the part that was sent, and holds it against the model. One that is lost here takes the
 * next along. */
static bool take_part(struct session *session, struct part *part, struct part *next)
{
    struct bus *bus = session->fakes->bus;
    struct model *model = session->model;
    uint64_t failures = session->faulty.failures;
    enum store_result result = STORE_OK;
    if (session->faulty.unit.is_under_way)
        unit_wait(&session->faulty.unit);
    bool same = bus_take(bus, &result);
    bool is_lost_now = session->faulty.failures != failures;
    part->is_lost = part->is_lost || is_lost_now;
    next->is_lost = next->is_lost || is_lost_now;
    bus_publish(bus);
    same = same && (result != STORE_OK) == part->is_lost;
    if (!same)
        notation_add(&session->complaint, "the bus said %d\n", (int)result);
    size_t before = model->event_count;
    model->now_ms = session->fakes->clock.now_ms;
    if (before > 0 && model->events[before - 1].time_ms > model->now_ms)
        model->now_ms = model->events[before - 1].time_ms; /* time never goes back in the log */
    for (size_t i = 0; i < part->count && same; i++)
        same = compare_reply(session, &part->requests[i], i, part->is_lost);
    same = same && compare_events(session, before);
    if (!same)
        tell_group(session, part->requests, part->count);
    count_seen(session, part->requests, part->count, before);
    bus_end_group(bus);
    return same;
}

bool session_group(struct session *session, const struct request *requests, size_t count)
{
    size_t split = session->split < count ? session->split : 0;
    struct part first = {requests, split, false};
    struct part rest = {requests + split, count - split, false};
    struct part none = {NULL, 0, false};
    bool same = true;
    if (split > 0) {
        handle_part(session, &first);
        submit_part(session, &first, false);
    }
    handle_part(session, &rest);
    if (split > 0)
        same = take_part(session, &first, &rest);
    submit_part(session, &rest, true);
    same = take_part(session, &rest, &none) && same;
    faulty_store_fail(&session->faulty, FAULTY_ANY, 0, STORE_OK);
    session->split = 0;
    return same;
}

/* ---- the whole state ---- */

#define QUERIES_MAX GROUP_MAX

struct query_list {
    struct request items[QUERIES_MAX];
    size_t count;
};

static struct request *ask(struct query_list *queries, const char *line)
{
    assert(queries->count < QUERIES_MAX);
    struct request *request = &queries->items[queries->count++];
    *request = build_request(line);
    return request;
}

static void ask_about_batches(struct query_list *queries, const struct model *model)
{
    for (size_t i = 0; i < model->batch_count; i++) {
        ask(queries, "GetBatch -")->as.get_batch.ref = model->batches[i].ref;
        struct list_batches *page = &ask(queries, "ListBatches - limit=2")->as.list_batches;
        page->sku = model->batches[i].sku;
        page->after = model->batches[i].ref;
    }
}

static void ask_about_products(struct query_list *queries, const struct model *model)
{
    for (size_t i = 0; i < model->product_count; i++) {
        struct text sku = model->products[i].sku;
        ask(queries, "GetStock -")->as.get_stock.sku = sku;
        ask(queries, "ListBatches -")->as.list_batches.sku = sku;
        ask(queries, "ListProducts limit=1")->as.list_products.after = sku;
        ask(queries, "GetEvents limit=7")->as.get_events.sku = sku;
    }
}

static void ask_about_lines(struct query_list *queries, const struct model *model)
{
    for (size_t i = 0; i < model->line_count; i++) {
        const struct model_line *line = &model->lines[i];
        ask(queries, "GetAllocations -")->as.get_allocations.orderid = line->orderid;
        struct get_allocations *page =
            &ask(queries, "GetAllocations - limit=1")->as.get_allocations;
        page->orderid = line->orderid;
        page->after = line->sku;
    }
}

static void ask_everything(struct query_list *queries, const struct model *model)
{
    queries->count = 0;
    ask_about_batches(queries, model);
    ask_about_products(queries, model);
    ask_about_lines(queries, model);
    ask(queries, "ListProducts");
    ask(queries, "GetStats");
    ask(queries, "GetEvents limit=10000");
    ask(queries, "GetEvents limit=3 types=OutOfStock,Deallocated");
    for (uint64_t after = 0; after <= model->event_count; after += 50)
        ask(queries, "GetEvents limit=20 types=Allocated")->as.get_events.after = after;
}

static const struct reply *answer(struct session *session, const struct request *query)
{
    bus_handle(session->fakes->bus, query, NULL);
    bus_commit(session->fakes->bus);
    return bus_reply(session->fakes->bus, 0);
}

/* What GetAllocations says of one product, over all orders that the model knows. */
static uint64_t allocated_by_view(struct session *session, const struct model_batch *batch)
{
    const struct model *model = session->model;
    uint64_t sum = 0;
    for (size_t i = 0; i < model->line_count; i++) {
        if (!text_equal(model->lines[i].sku, batch->sku))
            continue;
        struct request query = build_request("GetAllocations -");
        query.as.get_allocations.orderid = model->lines[i].orderid;
        const struct line_page *page = &answer(session, &query)->as.lines;
        for (size_t k = 0; k < page->count; k++)
            if (text_equal(page->rows[k].sku, batch->sku) &&
                text_equal(page->rows[k].batchref, batch->ref))
                sum += page->rows[k].qty;
        bus_end_group(session->fakes->bus);
    }
    return sum;
}

static bool nothing_got_lost(struct session *session)
{
    const struct model *model = session->model;
    for (size_t i = 0; i < model->batch_count; i++) {
        uint64_t allocated = allocated_by_view(session, &model->batches[i]);
        struct request query = build_request("GetBatch -");
        query.as.get_batch.ref = model->batches[i].ref;
        struct batch_view batch = answer(session, &query)->as.batch;
        bus_end_group(session->fakes->bus);
        if (batch.available + allocated != batch.qty) {
            notation_add(&session->complaint,
                         "of %" PRIu32 " units %" PRIu32 " are available and %" PRIu64
                         " allocated in batch %.*s\n",
                         batch.qty, batch.available, allocated, TEXT_ARG(model->batches[i].ref));
            return false;
        }
    }
    return true;
}

bool session_check_state(struct session *session)
{
    struct query_list *queries = malloc(sizeof *queries);
    assert(queries != NULL);
    ask_everything(queries, session->model);
    bool same = session_group(session, queries->items, queries->count);
    free(queries);
    return same && nothing_got_lost(session);
}
