/* Questions to a store under test, and its answers as text. */
#include "tests/support/store_contract_fixture.h"

#include "tests/support/store_contract_inside.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *name_of(enum store_result result)
{
    static const char *const names[] = {
        [STORE_OK] = "ok",           [STORE_NOT_FOUND] = "not found", [STORE_OTHER] = "other",
        [STORE_DAMAGED] = "damaged", [STORE_FULL] = "full",           [STORE_FAILED] = "failed",
        [STORE_BROKEN] = "broken"};
    return names[result];
}

/* ---- queries ---- */

static enum store_result read_into(struct contract *c, const struct request *query,
                                   struct reply *reply)
{
    const struct reader_ops *ops = c->reader->ops;
    switch (query->type) {
    case MESSAGE_GET_ALLOCATIONS:
        return ops->lines(c->reader, &query->as.get_allocations, c->arena, &reply->as.lines);
    case MESSAGE_GET_STOCK:
        return ops->stock(c->reader, &query->as.get_stock, c->arena, &reply->as.stock);
    case MESSAGE_LIST_BATCHES:
        return ops->batches(c->reader, &query->as.list_batches, c->arena, &reply->as.batches);
    case MESSAGE_GET_BATCH:
        return ops->batch(c->reader, &query->as.get_batch, c->arena, &reply->as.batch);
    case MESSAGE_LIST_PRODUCTS:
        return ops->products(c->reader, &query->as.list_products, c->arena, &reply->as.products);
    case MESSAGE_GET_EVENTS:
        return ops->events(c->reader, &query->as.get_events, c->arena, &reply->as.events);
    default:
        fail_msg("no query");
        return STORE_FAILED;
    }
}

struct reply contract_read(struct contract *c, const char *query)
{
    struct request request = build_request(contract_text(c, "%s", query));
    struct reply reply = {.outcome = OUTCOME_DONE, .type = request.type};
    assert_int_equal(read_into(c, &request, &reply), STORE_OK);
    return reply;
}

static void ask_reader(struct contract *c, const char *question)
{
    struct request request = build_request(question);
    struct reply reply = {.outcome = OUTCOME_DONE, .type = request.type};
    enum store_result result = read_into(c, &request, &reply);
    if (result == STORE_OK)
        notation_add_reply(&c->answer, &reply, c->codec);
    else
        notation_add(&c->answer, "%s", name_of(result));
}

static void ask_figures(struct contract *c, const char *what)
{
    (void)what;
    struct store_figures figures;
    assert_int_equal(c->reader->ops->figures(c->reader, &figures), STORE_OK);
    notation_add(&c->answer, "seq=%" PRIu64 " products=%" PRIu64 " waiting=%" PRIu64, figures.seq,
                 figures.products, figures.waiting_lines);
}

static void ask_bodies(struct contract *c, const char *what)
{
    (void)what;
    struct get_events query = {.limit = 100};
    do {
        struct event_page page;
        enum store_result result = c->reader->ops->events(c->reader, &query, c->arena, &page);
        if (result != STORE_OK) {
            notation_add(&c->answer, "%s", name_of(result));
            return;
        }
        for (size_t i = 0; i < page.count; i++) {
            notation_add(&c->answer, "%" PRIu64 ":", page.rows[i].seq);
            for (size_t j = 0; j < page.rows[i].body.len; j++)
                notation_add(&c->answer, "%02x", (unsigned char)page.rows[i].body.data[j]);
            notation_add(&c->answer, " ");
        }
        query.after = page.next;
    } while (query.after != 0);
}

/* ---- the unit of work ---- */

static void add_batch(struct contract *c, const struct batch *batch)
{
    char eta[DATE_TEXT_LEN + 1] = "-";
    if (!date_is_none(batch->eta))
        date_format(batch->eta, eta);
    notation_add(&c->answer, " %.*s:%" PRIu32 "/%" PRIu32 ":%s age=%" PRIu64, TEXT_ARG(batch->ref),
                 batch_available(batch), batch->qty, eta, batch->age);
}

static void ask_product(struct contract *c, const char *sku)
{
    struct product *product = NULL;
    enum store_result result = unit_product(c->unit, text_of(sku), &product);
    if (result != STORE_OK) {
        notation_add(&c->answer, "%s", name_of(result));
        return;
    }
    const struct product_totals *totals = product_totals(product);
    notation_add(&c->answer,
                 "%.*s v%" PRIu64 " last=%" PRIu64 " available=%" PRIu64 " open=%" PRIu64
                 "/%" PRIu64,
                 TEXT_ARG(product_sku(product)), totals->version, totals->last_seq,
                 totals->available, totals->open, totals->batches);
    const struct batch *batch = NULL;
    while ((batch = product_next_batch(product, batch)) != NULL)
        add_batch(c, batch);
    notation_add(&c->answer, " waiting=%" PRIu64, totals->waiting);
    struct waiting_line line = {.seq = 0};
    while (product_next_waiting(product, line.seq, &line))
        notation_add(&c->answer, " %.*s:%" PRIu32 "@%" PRIu64, TEXT_ARG(line.orderid), line.qty,
                     line.seq);
}

static void ask_batch(struct contract *c, const char *ref)
{
    struct product *product = NULL;
    const struct batch *batch = NULL;
    enum store_result result = unit_batch(c->unit, text_of(ref), &product, &batch);
    if (result != STORE_OK) {
        notation_add(&c->answer, "%s", name_of(result));
        return;
    }
    assert_ptr_equal(product_batch(product, text_of(ref)), batch);
    notation_add(&c->answer, "%.*s", TEXT_ARG(product_sku(product)));
    add_batch(c, batch);
}

/* Splits "first second". */
static struct text first_word(const char *words, const char **rest)
{
    size_t len = strcspn(words, " ");
    assert_true(words[len] == ' ');
    *rest = words + len + 1;
    return (struct text){words, len};
}

static void ask_line(struct contract *c, const char *key)
{
    const char *sku;
    struct text orderid = first_word(key, &sku);
    struct order_line line;
    enum store_result result = unit_line(c->unit, orderid, text_of(sku), &line);
    if (result != STORE_OK) {
        notation_add(&c->answer, "%s", name_of(result));
        return;
    }
    assert_true(text_equal(line.orderid, orderid) && text_equal(line.sku, text_of(sku)));
    notation_add(&c->answer, "%" PRIu32, line.qty);
    if (order_line_waits(&line)) {
        notation_add(&c->answer, " waits seq=%" PRIu64, line.seq);
        return;
    }
    notation_add(&c->answer, " %.*s seq=%" PRIu64, TEXT_ARG(line.batchref), line.seq);
    struct product *product = NULL;
    assert_int_equal(unit_product(c->unit, line.sku, &product), STORE_OK);
    assert_non_null(product_batch(product, line.batchref)); /* it was loaded with the line */
}

static void ask_newest(struct contract *c, const char *what)
{
    const char *units;
    struct text ref = first_word(what, &units);
    struct product *product = NULL;
    const struct batch *batch = NULL;
    struct order_line *lines = NULL;
    size_t count = 0;
    enum store_result result = unit_batch(c->unit, ref, &product, &batch);
    if (result == STORE_OK)
        result = unit_newest_lines(c->unit, product, batch, (uint32_t)strtoul(units, NULL, 10),
                                   &lines, &count);
    if (result != STORE_OK) {
        notation_add(&c->answer, "%s", name_of(result));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(text_equal(lines[i].batchref, ref));
        assert_true(text_equal(lines[i].sku, product_sku(product)));
        notation_add(&c->answer, "%s%.*s:%" PRIu32 "@%" PRIu64, i > 0 ? " " : "",
                     TEXT_ARG(lines[i].orderid), lines[i].qty, lines[i].seq);
    }
}

static void ask_recall(struct contract *c, const char *command)
{
    struct request request = build_request(command);
    struct reply reply = {.type = request.type};
    enum store_result result = unit_recall(c->unit, &request, &reply);
    if (result == STORE_OK)
        notation_add_reply(&c->answer, &reply, c->codec);
    else
        notation_add(&c->answer, "%s", name_of(result));
}

static const struct {
    const char *word;
    void (*ask)(struct contract *c, const char *what);
    bool needs_unit;
} asked[] = {
    {"product ", ask_product, true}, {"batch ", ask_batch, true},   {"line ", ask_line, true},
    {"newest ", ask_newest, true},   {"recall ", ask_recall, true}, {"bodies", ask_bodies, false},
    {"figures", ask_figures, false}, {"", ask_reader, false},
};

const char *contract_ask(struct contract *c, const char *question)
{
    size_t i = 0;
    while (strncmp(question, asked[i].word, strlen(asked[i].word)) != 0)
        i++;
    bool opens = asked[i].needs_unit && !c->unit->is_open;
    if (opens)
        contract_begin(c, 1);
    notation_clear(&c->answer);
    asked[i].ask(c, question + strlen(asked[i].word));
    if (opens)
        unit_rollback(c->unit);
    return notation_text(&c->answer);
}

/* ---- everything ---- */

static void dump_answer(struct contract *c, struct notation *out, const char *question)
{
    notation_add(out, "%s => %s\n", question, contract_ask(c, question));
}

static void dump_batch(struct contract *c, struct notation *out, struct text ref,
                       uint32_t allocated)
{
    dump_answer(c, out, contract_text(c, "GetBatch %.*s", TEXT_ARG(ref)));
    dump_answer(c, out, contract_text(c, "batch %.*s", TEXT_ARG(ref)));
    if (allocated > 0)
        dump_answer(c, out, contract_text(c, "newest %.*s %" PRIu32, TEXT_ARG(ref), allocated));
}

static void dump_product(struct contract *c, struct notation *out, struct text sku)
{
    dump_answer(c, out, contract_text(c, "GetStock %.*s", TEXT_ARG(sku)));
    dump_answer(c, out, contract_text(c, "ListBatches %.*s", TEXT_ARG(sku)));
    dump_answer(c, out, contract_text(c, "product %.*s", TEXT_ARG(sku)));
    struct reply batches = contract_read(c, contract_text(c, "ListBatches %.*s", TEXT_ARG(sku)));
    for (size_t i = 0; i < batches.as.batches.count; i++) {
        const struct batch_view *row = &batches.as.batches.rows[i];
        dump_batch(c, out, row->ref, row->qty - row->available);
    }
}

/* The order of an event, absent where it is about none. */
static struct text order_of(const struct event *event)
{
    switch (event->type) {
    case MESSAGE_ALLOCATED:
        return event->as.allocated.orderid;
    case MESSAGE_OUT_OF_STOCK:
        return event->as.out_of_stock.orderid;
    default:
        return text_none();
    }
}

static void dump_orders(struct contract *c, struct notation *out)
{
    struct reply events = contract_read(c, "GetEvents limit=10000");
    for (size_t i = 0; i < events.as.events.count; i++) {
        struct event event;
        assert_true(codec_decode_event(c->codec, events.as.events.rows[i].body, &event));
        struct text order = order_of(&event);
        if (text_is_none(order))
            continue;
        /* Asking decodes other events. */
        const char *orderid = contract_text(c, "%.*s", TEXT_ARG(order));
        const char *sku = contract_text(c, "%.*s", TEXT_ARG(event.sku));
        dump_answer(c, out, contract_text(c, "GetAllocations %s", orderid));
        dump_answer(c, out, contract_text(c, "line %s %s", orderid, sku));
    }
}

void contract_dump(struct contract *c, struct notation *out)
{
    dump_answer(c, out, "figures");
    dump_answer(c, out, "bodies");
    dump_answer(c, out, "ListProducts");
    struct reply products = contract_read(c, "ListProducts limit=10000");
    for (size_t i = 0; i < products.as.products.count; i++)
        dump_product(c, out, products.as.products.rows[i].sku);
    dump_orders(c, out);
}

void contract_compare(struct contract *a, struct contract *b)
{
    struct notation of_a = {0};
    struct notation of_b = {0};
    contract_dump(a, &of_a);
    contract_dump(b, &of_b);
    assert_string_equal(notation_text(&of_a), notation_text(&of_b));
    notation_release(&of_a);
    notation_release(&of_b);
}
