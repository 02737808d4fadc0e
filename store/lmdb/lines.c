/* Order lines: where each stands, by its order, and which a batch holds, the newest first. */
#include "store/lmdb/inside.h"

#include "domain/base/crash_point.h"

enum store_result store_line(struct lmdb_store *store, struct text orderid, struct text sku,
                             struct order_line *out)
{
    struct key key = key_of_two(orderid, sku);
    struct text value;
    struct order_line line;
    enum store_result result = tables_get_line(&store->tables, key_text(&key), &value);
    if (result != STORE_OK)
        return result;
    if (!record_get_line(key_text(&key), value, &line))
        return STORE_DAMAGED;
    if (!arena_text(store->arena, orderid, &line.orderid) ||
        !arena_text(store->arena, sku, &line.sku) ||
        !arena_text(store->arena, line.batchref, &line.batchref))
        return STORE_FAILED;
    *out = line;
    return STORE_OK;
}

/* ---- what a batch holds ---- */

/* The newest lines of a batch on their way out. */
struct newest {
    struct lmdb_store *store;
    struct text ref;
    struct text sku;
    uint32_t units; /* that are still to be found */
    struct order_line *lines;
    size_t count;
    size_t capacity;
};

/* Takes the line, if the batch holds it still: that it got it may be long ago. */
static enum store_result take_line(struct newest *newest, struct text orderid, uint64_t seq)
{
    struct order_line line;
    enum store_result result = store_line(newest->store, orderid, newest->sku, &line);
    if (result == STORE_NOT_FOUND || (result == STORE_OK && line.seq != seq))
        return STORE_OK;
    if (result != STORE_OK)
        return result;
    if (!text_equal(line.batchref, newest->ref))
        return STORE_DAMAGED;
    newest->lines = arena_grow(newest->store->arena, newest->lines, newest->count,
                               &newest->capacity, sizeof *newest->lines);
    if (newest->lines == NULL)
        return STORE_FAILED;
    newest->lines[newest->count++] = line;
    newest->units -= line.qty < newest->units ? line.qty : newest->units;
    return STORE_OK;
}

static enum store_result take_of_log(struct newest *newest, const struct held_log *log)
{
    size_t at = log->count;
    const struct held_item *item;
    enum store_result result = STORE_OK;
    while (result == STORE_OK && newest->units > 0 &&
           (item = held_log_before(log, newest->ref, &at)) != NULL)
        result = take_line(newest, held_item_orderid(log, item), item->seq);
    return result;
}

/* A round that was cut short may have left later ones there, which the held logs have too. */
static enum store_result take_of_table(struct newest *newest)
{
    const struct lmdb_store *store = newest->store;
    struct key prefix = key_prefix(newest->ref);
    struct table_walk walk;
    enum store_result result =
        table_walk_begin(&walk, &store->tables, TABLE_HELD, &prefix, text_none());
    while (result == STORE_OK && newest->units > 0 &&
           (result = table_walk_next(&walk)) == STORE_OK) {
        struct text orderid;
        uint64_t complement;
        if (!record_get_text(walk.key, walk.value, &orderid) || orderid.len > REF_MAX_BYTES ||
            !key_get_number(table_walk_rest(&walk), &complement))
            result = STORE_DAMAGED;
        else if (~complement <= store->projected.last_seq)
            result = take_line(newest, orderid, ~complement);
    }
    table_walk_end(&walk);
    return result == STORE_NOT_FOUND ? STORE_OK : result;
}

enum store_result store_newest_lines(struct lmdb_store *store, const struct batch *batch,
                                     struct text sku, uint32_t units, struct order_line **out,
                                     size_t *count)
{
    struct newest newest = {.store = store, .ref = batch->ref, .sku = sku, .units = units};
    enum store_result result = take_of_log(&newest, &store->tables.newer_held);
    if (result == STORE_OK)
        result = take_of_log(&newest, &store->tables.older_held);
    if (result == STORE_OK)
        result = take_of_table(&newest);
    if (result == STORE_OK && newest.units > 0)
        result = STORE_DAMAGED; /* the batch says that it holds more */
    *out = newest.lines;
    *count = newest.count;
    return result;
}

/* ---- following an event ---- */

enum store_result store_follow_lines(struct lmdb_store *store, const struct effect *effect)
{
    if (effect->on_line == LINE_UNTOUCHED)
        return STORE_OK;
    const struct order_line *line = &effect->line;
    struct key key = key_of_two(line->orderid, line->sku);
    struct record record;
    enum store_result result;
    if (effect->on_line == LINE_GONE) {
        result = tables_delete(&store->tables, TABLE_LINES, key_text(&key));
    } else {
        record_put_line(&record, key_text(&key), line);
        result = tables_put(&store->tables, TABLE_LINES, key_text(&key), &record);
    }
    if (result == STORE_OK && !order_line_waits(line))
        result = tables_hold(&store->tables, line, effect->on_line == LINE_GONE);
    CRASH_POINT(line_followed);
    return result;
}
