#include "tests/support/store_contract_fixture.h"

#include "tests/support/store_contract_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- life ---- */

static void take_ports(struct contract *c)
{
    c->unit = c->factory->unit(c->store);
    c->reader = c->factory->reader(c->store);
}

void contract_open(struct contract *c, const struct store_factory *factory)
{
    *c = (struct contract){.factory = factory};
    c->codec = codec_new();
    c->arena = arena_new();
    c->store = factory->create();
    assert_true(c->codec != NULL && c->arena != NULL && c->store != NULL);
    take_ports(c);
}

void contract_close(struct contract *c)
{
    c->factory->destroy(c->store);
    codec_destroy(&c->codec);
    arena_destroy(&c->arena);
    event_list_release(&c->decided);
    notation_release(&c->answer);
}

void contract_reopen(struct contract *c)
{
    if (!c->factory->is_durable) {
        unit_rollback(c->unit);
        return;
    }
    c->factory->reopen(c->store);
    take_ports(c);
}

void contract_begin(struct contract *c, uint64_t now_ms)
{
    assert_int_equal(unit_begin(c->unit, now_ms), STORE_OK);
}

void contract_commit(struct contract *c)
{
    assert_int_equal(unit_commit(c->unit), STORE_OK);
}

const char *contract_text(struct contract *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert_true(len >= 0);
    size_t size = (size_t)len + 1;
    char *text = arena_alloc(c->arena, size);
    assert_non_null(text);
    va_start(args, format);
    vsnprintf(text, size, format, args);
    va_end(args);
    return text;
}

/* ---- commands, as the bus carries them out ---- */

/* Appends what was decided, and keeps the view of lines in step. */
static void record(struct contract *c, struct product *product, struct text cause)
{
    for (size_t i = 0; i < c->decided.count; i++) {
        struct event *event = &c->decided.items[i];
        event->cause = cause;
        uint64_t before = unit_last_seq(c->unit);
        struct text body;
        assert_int_equal(unit_append(c->unit, product, event, &body), STORE_OK);
        assert_int_equal(event->seq, before + 1);
        assert_int_equal(unit_last_seq(c->unit), event->seq);
        struct event published;
        assert_true(codec_decode_event(c->codec, body, &published));
        assert_int_equal(published.seq, event->seq);
    }
    c->decided.count = 0;
}

static void reallocate(struct contract *c, struct product *product, struct waiting_line line,
                       struct text cause)
{
    assert_true(arena_text(c->arena, line.orderid, &line.orderid));
    enum outcome outcome = product_reallocate(product, &line, &c->decided);
    assert_true(outcome == OUTCOME_DONE || outcome == OUTCOME_OUT_OF_STOCK);
    record(c, product, cause);
}

static void serve_waiting(struct contract *c, struct product *product, struct text cause)
{
    struct waiting_line line = {.seq = 0};
    while (product_next_servable(product, line.seq, &line))
        reallocate(c, product, line, cause);
}

static enum outcome create_batch(struct contract *c, const struct create_batch *command,
                                 struct text cause)
{
    struct product *product = NULL;
    const struct batch *existing = NULL;
    struct text sku = text_none();
    enum store_result result = unit_batch(c->unit, command->ref, &product, &existing);
    assert_true(result == STORE_OK || result == STORE_NOT_FOUND);
    if (result == STORE_OK)
        sku = product_sku(product);
    enum outcome outcome = product_create_batch(command, existing, sku, &c->decided);
    if (c->decided.count == 0)
        return outcome;
    result = unit_product(c->unit, command->sku, &product);
    if (result == STORE_NOT_FOUND)
        result = unit_add_product(c->unit, command->sku, &product);
    assert_int_equal(result, STORE_OK);
    record(c, product, cause);
    serve_waiting(c, product, cause);
    return outcome;
}

static bool has_line(struct contract *c, struct text orderid, struct text sku,
                     struct order_line *out)
{
    enum store_result result = unit_line(c->unit, orderid, sku, out);
    assert_true(result == STORE_OK || result == STORE_NOT_FOUND);
    return result == STORE_OK;
}

static enum outcome allocate(struct contract *c, const struct allocate *command,
                             struct reply *reply, struct text cause)
{
    struct product *product = NULL;
    struct order_line line;
    if (unit_product(c->unit, command->sku, &product) != STORE_OK)
        return OUTCOME_INVALID_SKU;
    bool exists = has_line(c, command->orderid, command->sku, &line);
    enum outcome outcome =
        product_allocate(product, command, exists ? &line : NULL, &reply->batchref, &c->decided);
    record(c, product, cause);
    return outcome;
}

static enum outcome change_quantity(struct contract *c, const struct change_batch_quantity *command,
                                    struct text cause)
{
    struct product *product = NULL;
    const struct batch *batch = NULL;
    if (unit_batch(c->unit, command->ref, &product, &batch) != STORE_OK)
        return OUTCOME_UNKNOWN_BATCH;
    struct order_line *moved = NULL;
    size_t count = 0;
    uint32_t units = product_units_to_displace(batch, command->qty);
    if (units > 0)
        assert_int_equal(unit_newest_lines(c->unit, product, batch, units, &moved, &count),
                         STORE_OK);
    enum outcome outcome =
        product_change_batch_quantity(product, command, moved, count, &c->decided);
    record(c, product, cause);
    for (size_t i = count; i > 0; i--) {
        struct waiting_line line = {moved[i - 1].orderid, moved[i - 1].qty, 0};
        reallocate(c, product, line, cause);
    }
    serve_waiting(c, product, cause);
    return outcome;
}

static enum outcome change_eta(struct contract *c, const struct change_batch_eta *command,
                               struct text cause)
{
    struct product *product = NULL;
    const struct batch *batch = NULL;
    if (unit_batch(c->unit, command->ref, &product, &batch) != STORE_OK)
        return OUTCOME_UNKNOWN_BATCH;
    enum outcome outcome = product_change_batch_eta(product, command, &c->decided);
    record(c, product, cause);
    return outcome;
}

static enum outcome deallocate(struct contract *c, const struct deallocate *command,
                               struct text cause)
{
    struct product *product = NULL;
    struct order_line line;
    if (unit_product(c->unit, command->sku, &product) != STORE_OK)
        return OUTCOME_INVALID_SKU;
    bool exists = has_line(c, command->orderid, command->sku, &line);
    enum outcome outcome = product_deallocate(exists ? &line : NULL, &c->decided);
    record(c, product, cause);
    serve_waiting(c, product, cause);
    return outcome;
}

static enum outcome carry_out(struct contract *c, const struct request *request,
                              struct reply *reply)
{
    switch (request->type) {
    case MESSAGE_CREATE_BATCH:
        return create_batch(c, &request->as.create_batch, request->id);
    case MESSAGE_ALLOCATE:
        return allocate(c, &request->as.allocate, reply, request->id);
    case MESSAGE_CHANGE_BATCH_QUANTITY:
        return change_quantity(c, &request->as.change_batch_quantity, request->id);
    case MESSAGE_CHANGE_BATCH_ETA:
        return change_eta(c, &request->as.change_batch_eta, request->id);
    case MESSAGE_DEALLOCATE:
        return deallocate(c, &request->as.deallocate, request->id);
    default:
        fail_msg("no command");
        return OUTCOME_MALFORMED;
    }
}

enum outcome contract_run(struct contract *c, const char *line)
{
    struct request request = build_request(contract_text(c, "%s", line));
    struct reply reply = {.outcome = OUTCOME_DONE};
    bool has_id = !text_is_none(request.id);
    enum store_result known = has_id ? unit_recall(c->unit, &request, &reply) : STORE_NOT_FOUND;
    if (known == STORE_OK)
        return reply.outcome;
    if (known == STORE_OTHER)
        return OUTCOME_ID_REUSED;
    assert_int_equal(known, STORE_NOT_FOUND);
    uint64_t before = unit_last_seq(c->unit);
    c->decided.count = 0;
    reply.outcome = carry_out(c, &request, &reply);
    reply.seq = unit_last_seq(c->unit);
    reply.duplicate = reply.outcome == OUTCOME_DONE && reply.seq == before;
    if (has_id)
        assert_int_equal(unit_remember(c->unit, &request, &reply), STORE_OK);
    return reply.outcome;
}

void contract_group(struct contract *c, const char *const *lines)
{
    contract_begin(c, 1);
    for (; *lines != NULL; lines++)
        contract_run(c, *lines);
    contract_commit(c);
}
