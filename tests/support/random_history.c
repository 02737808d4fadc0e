#include "tests/support/random_history.h"

#include <assert.h>
#include <stdio.h>

#define SKUS_MAX 5u
#define REFS_MAX 14u
#define ORDERS_MAX 24u
#define IDS_MAX 4096u

static void begin(struct random_history *history, const struct model *model)
{
    history->model = model;
    history->skus = 1 + random_history_draw(history, SKUS_MAX);
    history->refs = 1 + random_history_draw(history, REFS_MAX);
    history->orders = 1 + random_history_draw(history, ORDERS_MAX);
}

void random_history_from_seed(struct random_history *history, const struct model *model,
                              uint64_t seed)
{
    *history = (struct random_history){.state = seed};
    begin(history, model);
}

void random_history_from_bytes(struct random_history *history, const struct model *model,
                               const uint8_t *bytes, size_t count)
{
    *history = (struct random_history){.bytes = bytes, .byte_count = count};
    begin(history, model);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint32_t random_history_draw(struct random_history *history, uint32_t n)
{
    assert(n > 0);
    if (history->bytes == NULL)
        return (uint32_t)(next_random(&history->state) % n);
    uint32_t drawn = 0;
    for (uint32_t range = 1; range < n && history->byte_count > 0; range *= 256) {
        drawn = drawn * 256 + *history->bytes++;
        history->byte_count--;
        if (range > UINT32_MAX / 256)
            break;
    }
    return drawn % n;
}

static bool one_in(struct random_history *history, uint32_t n)
{
    return random_history_draw(history, n) == n - 1;
}

/* ---- names: short and as long as they may be, one the beginning of another ---- */

static struct text long_name(char letter, size_t len)
{
    static char names[128][REF_MAX_BYTES];
    char *name = names[(unsigned char)letter % 128];
    memset(name, letter, REF_MAX_BYTES);
    return (struct text){name, len};
}

static struct text draw_sku(struct random_history *history)
{
    static const char *const skus[SKUS_MAX] = {"RED-CHAIR", "RED", "A/B%", "\303\234BER"};
    uint32_t i = random_history_draw(history, history->skus);
    return skus[i] != NULL ? text_of(skus[i]) : long_name('S', SKU_MAX_BYTES);
}

static struct text draw_ref(struct random_history *history)
{
    static const char *const refs[REFS_MAX - 2] = {"b1", "b2",  "b",  "b10", "b3", "b4",
                                                   "b5", "RED", "b6", "b7",  "b8", "b9"};
    uint32_t i = random_history_draw(history, history->refs);
    if (i >= REFS_MAX - 2)
        return long_name('r', REF_MAX_BYTES - (i - (REFS_MAX - 2)));
    return text_of(refs[i]);
}

static struct text draw_order(struct random_history *history)
{
    static char orders[ORDERS_MAX][8];
    uint32_t i = random_history_draw(history, history->orders);
    if (i >= ORDERS_MAX - 2)
        return long_name('o', REF_MAX_BYTES - (i - (ORDERS_MAX - 2)));
    snprintf(orders[i], sizeof orders[i], "o%u", (unsigned)i);
    return text_of(orders[i]);
}

static struct text fresh_id(struct random_history *history)
{
    static char ids[IDS_MAX][8];
    uint32_t i = history->ids_used++ % IDS_MAX;
    snprintf(ids[i], sizeof ids[i], "id%u", (unsigned)i);
    return text_of(ids[i]);
}

/* ---- values ---- */

static struct date draw_eta(struct random_history *history)
{
    static const int32_t etas[] = {0, 0, 20300101, 20300102, 20291231, 10101, 99991231};
    return (struct date){etas[random_history_draw(history, sizeof etas / sizeof etas[0])]};
}

/* One less than `limit`, just as much, or one more; within the bounds of a quantity. */
static uint32_t around(struct random_history *history, uint64_t limit, uint32_t least)
{
    uint64_t qty = limit + random_history_draw(history, 3);
    qty = qty > 0 ? qty - 1 : 0;
    if (qty < least)
        return least;
    return qty > QTY_MAX ? QTY_MAX : (uint32_t)qty;
}

static uint32_t draw_qty(struct random_history *history, uint32_t least)
{
    const struct model *model = history->model;
    uint32_t way = random_history_draw(history, 16);
    if (way == 0)
        return QTY_MAX;
    if (way < 6 && model->batch_count > 0) {
        const struct model_batch *batch =
            &model->batches[random_history_draw(history, (uint32_t)model->batch_count)];
        return around(history,
                      way < 4 ? model_available(model, batch) : model_allocated(model, batch),
                      least);
    }
    if (way < 8 && model->line_count > 0)
        return around(history,
                      model->lines[random_history_draw(history, (uint32_t)model->line_count)].qty,
                      least);
    return least + random_history_draw(history, 25);
}

/* ---- requests ---- */

/* Draws stand in statements of their own: within one, a compiler may take them in any order, and
 * a seed is to mean the same everywhere. */
static void draw_create_batch(struct random_history *history, struct create_batch *command)
{
    command->ref = draw_ref(history);
    command->sku = draw_sku(history);
    command->qty = draw_qty(history, 1);
    command->eta = draw_eta(history);
}

static void draw_allocate(struct random_history *history, struct allocate *command)
{
    command->orderid = draw_order(history);
    command->sku = draw_sku(history);
    command->qty = draw_qty(history, 1);
}

static struct request draw_command(struct random_history *history)
{
    struct request r = {.type = MESSAGE_NONE};
    uint32_t way = random_history_draw(history, 20);
    if (way < 3) {
        r.type = MESSAGE_CREATE_BATCH;
        draw_create_batch(history, &r.as.create_batch);
    } else if (way < 11) {
        r.type = MESSAGE_ALLOCATE;
        draw_allocate(history, &r.as.allocate);
    } else if (way < 15) {
        r.type = MESSAGE_CHANGE_BATCH_QUANTITY;
        r.as.change_batch_quantity.ref = draw_ref(history);
        r.as.change_batch_quantity.qty = draw_qty(history, 0);
    } else if (way < 17) {
        r.type = MESSAGE_CHANGE_BATCH_ETA;
        r.as.change_batch_eta.ref = draw_ref(history);
        r.as.change_batch_eta.eta = draw_eta(history);
    } else {
        r.type = MESSAGE_DEALLOCATE;
        r.as.deallocate.orderid = draw_order(history);
        r.as.deallocate.sku = draw_sku(history);
    }
    return r;
}

static uint32_t draw_limit(struct random_history *history)
{
    return one_in(history, 2) ? 1 + random_history_draw(history, 4) : LIMIT_DEFAULT;
}

static void draw_get_events(struct random_history *history, struct get_events *query)
{
    static const field_TYPES types[] = {0, 1u << MESSAGE_ALLOCATED,
                                        1u << MESSAGE_OUT_OF_STOCK | 1u << MESSAGE_DEALLOCATED};
    query->after = random_history_draw(history, (uint32_t)history->model->event_count + 2);
    query->limit = draw_limit(history);
    query->types = types[random_history_draw(history, 3)];
    if (one_in(history, 3))
        query->sku = draw_sku(history);
}

static struct request draw_query(struct random_history *history)
{
    enum message_type first = MESSAGE_GET_ALLOCATIONS;
    struct request r = {.type = first +
                                random_history_draw(history, (uint32_t)(MESSAGE_PING - first + 1))};
    switch (r.type) {
    case MESSAGE_GET_ALLOCATIONS:
        r.as.get_allocations.orderid = draw_order(history);
        r.as.get_allocations.limit = draw_limit(history);
        if (one_in(history, 3))
            r.as.get_allocations.after = draw_sku(history);
        break;
    case MESSAGE_GET_STOCK:
        r.as.get_stock.sku = draw_sku(history);
        break;
    case MESSAGE_LIST_BATCHES:
        r.as.list_batches.sku = draw_sku(history);
        r.as.list_batches.limit = draw_limit(history);
        if (one_in(history, 3))
            r.as.list_batches.after = draw_ref(history);
        break;
    case MESSAGE_GET_BATCH:
        r.as.get_batch.ref = draw_ref(history);
        break;
    case MESSAGE_LIST_PRODUCTS:
        r.as.list_products.limit = draw_limit(history);
        if (one_in(history, 3))
            r.as.list_products.after = draw_sku(history);
        break;
    case MESSAGE_GET_EVENTS:
        draw_get_events(history, &r.as.get_events);
        break;
    default: /* the others ask for nothing */
        break;
    }
    return r;
}

/* A command with an id is sent again, as it was or with another meaning. */
static struct request repeat(struct random_history *history)
{
    const struct model *model = history->model;
    struct request r = history->last;
    if (model->answer_count > 0 && one_in(history, 2))
        r = model->answers[random_history_draw(history, (uint32_t)model->answer_count)].request;
    if (one_in(history, 3)) {
        struct text id = r.id;
        r = draw_command(history);
        r.id = id;
    }
    return r;
}

struct request random_history_request(struct random_history *history)
{
    if (one_in(history, 6))
        return draw_query(history);
    if (history->last.type != MESSAGE_NONE && one_in(history, 8))
        return repeat(history);
    struct request r = draw_command(history);
    if (one_in(history, 2))
        r.id = fresh_id(history);
    history->last = r;
    return r;
}
