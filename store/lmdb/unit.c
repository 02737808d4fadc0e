/* The unit of work: one write transaction of LMDB. */
#include "store/lmdb/inside.h"

#include "domain/base/crash_point.h"

#include <assert.h>

static enum store_result unit_begin_(struct unit_of_work *unit, uint64_t now_ms)
{
    struct lmdb_store *store = store_of_unit(unit);
    lmdb_reader_rest(store);
    arena_reset(store->arena);
    product_cache_trim(store->cache);
    store->now_ms = now_ms;
    store->events_end = store->remembered_end = NULL;
    lmdb_lines_begin(store);
    int rc = mdb_txn_begin(store->env.env, NULL, 0, &store->txn);
    enum store_result result = lmdb_write_result(&store->env, rc);
    if (result == STORE_OK)
        result = lmdb_fold_replay(store);
    if (result != STORE_OK && rc == 0) {
        mdb_txn_abort(store->txn);
        store->txn = NULL;
    }
    return result;
}

/* A product that was added and has no event yet is as good as none. */
static bool is_there(const struct cached_product *cached)
{
    return product_totals(cached->product)->version > 0;
}

static enum store_result product_(struct unit_of_work *unit, struct text sku, struct product **out)
{
    struct cached_product *cached = NULL;
    enum store_result result = lmdb_products_get(store_of_unit(unit), sku, &cached);
    if (result == STORE_OK && !is_there(cached))
        result = STORE_NOT_FOUND;
    if (result == STORE_OK)
        *out = cached->product;
    return result;
}

static enum store_result add_product(struct unit_of_work *unit, struct text sku,
                                     struct product **out)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct cached_product *cached = product_cache_find(store->cache, sku);
    if (cached == NULL) {
        struct product *product = product_new(sku);
        if (product == NULL)
            return STORE_FAILED;
        cached = product_cache_add(store->cache, product, NULL);
        if (cached == NULL) {
            product_destroy(&product);
            return STORE_FAILED;
        }
    }
    assert(!is_there(cached));
    *out = cached->product;
    return STORE_OK;
}

static enum store_result batch_(struct unit_of_work *unit, struct text ref,
                                struct product **product, const struct batch **batch)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct key key = key_of(ref);
    struct text value;
    struct text sku;
    enum store_result result = lmdb_get(store->txn, store->env.refs, key_text(&key), &value);
    if (result != STORE_OK)
        return result;
    if (!record_get_text(key_text(&key), value, &sku) || sku.len > SKU_MAX_BYTES)
        return STORE_DAMAGED;
    struct cached_product *cached = NULL;
    result = lmdb_products_get(store, sku, &cached);
    if (result == STORE_NOT_FOUND)
        result = STORE_DAMAGED;
    if (result == STORE_OK)
        result = lmdb_products_need_batch(store, cached->product, ref);
    if (result != STORE_OK)
        return result;
    *product = cached->product;
    *batch = product_batch(cached->product, ref);
    return STORE_OK;
}

/* The line that an event put where it is, with texts that live in the arena. */
static enum store_result line_of_event(struct lmdb_store *store, const struct event *event,
                                       struct order_line *out)
{
    struct effect effect = effect_of(event);
    if (effect.on_line != LINE_PUT)
        return STORE_DAMAGED;
    *out = effect.line;
    bool copied = arena_text(store->arena, effect.line.orderid, &out->orderid) &&
                  arena_text(store->arena, effect.line.sku, &out->sku) &&
                  arena_text(store->arena, effect.line.batchref, &out->batchref);
    return copied ? STORE_OK : STORE_FAILED;
}

static enum store_result line_(struct unit_of_work *unit, struct text orderid, struct text sku,
                               struct order_line *out)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct order_line line = {0};
    struct event event;
    uint64_t seq = 0;
    enum store_result result = lmdb_lines_get(store, orderid, sku, &seq);
    if (result == STORE_OK)
        result = lmdb_log_get(store, store->txn, seq, &event);
    if (result == STORE_OK)
        result = line_of_event(store, &event, &line);
    if (result != STORE_OK)
        return result;
    if (!text_equal(line.orderid, orderid) || !text_equal(line.sku, sku))
        return STORE_DAMAGED;
    if (!order_line_waits(&line)) {
        struct cached_product *cached = NULL;
        result = lmdb_products_get(store, sku, &cached);
        if (result == STORE_OK)
            result = lmdb_products_need_batch(store, cached->product, line.batchref);
    }
    if (result == STORE_OK)
        *out = line;
    return result == STORE_NOT_FOUND ? STORE_DAMAGED : result;
}

/* The next line of the chain of a batch's allocations, `*seq` and older, that is still in place;
 * others were deallocated or moved. Sets *seq to the allocation before it. */
static enum store_result next_in_chain(struct lmdb_store *store, const struct batch *batch,
                                       uint64_t *seq, struct order_line *out)
{
    while (*seq != 0) {
        struct event event;
        enum store_result result = lmdb_log_get(store, store->txn, *seq, &event);
        if (result != STORE_OK)
            return result;
        if (event.type != MESSAGE_ALLOCATED || event.older_seq >= *seq ||
            !text_equal(event.as.allocated.batchref, batch->ref))
            return STORE_DAMAGED;
        uint64_t now_at = 0;
        result = lmdb_lines_get(store, event.as.allocated.orderid, event.sku, &now_at);
        if (result == STORE_OK && now_at == *seq) {
            *seq = event.older_seq;
            return line_of_event(store, &event, out);
        }
        if (result != STORE_OK && result != STORE_NOT_FOUND)
            return result;
        *seq = event.older_seq;
    }
    return STORE_DAMAGED; /* the batch says that it holds more than its chain does */
}

static enum store_result newest_lines(struct unit_of_work *unit, const struct product *product,
                                      const struct batch *batch, uint32_t units,
                                      struct order_line **out, size_t *count)
{
    (void)product;
    struct lmdb_store *store = store_of_unit(unit);
    struct order_line *lines = NULL;
    size_t found = 0;
    size_t capacity = 0;
    uint64_t seq = batch->newest;
    for (uint64_t held = 0; held < units; found++) {
        lines = arena_grow(store->arena, lines, found, &capacity, sizeof *lines);
        if (lines == NULL)
            return STORE_FAILED;
        enum store_result result = next_in_chain(store, batch, &seq, &lines[found]);
        if (result != STORE_OK)
            return result;
        held += lines[found].qty;
    }
    *out = lines;
    *count = found;
    return STORE_OK;
}

/* Batch reference to SKU: unique in the whole node (rule 4). */
static int write_ref(struct lmdb_store *store, struct text ref, struct text sku)
{
    struct key key = key_of(ref);
    struct record record;
    record_put_text(&record, key_text(&key), sku);
    return lmdb_put(store->txn, store->env.refs, key_text(&key), &record);
}

static int write_waiting(struct lmdb_store *store, const struct order_line *line)
{
    struct waiting_line waiting = {line->orderid, line->qty, line->seq};
    struct key key = key_of_waiting(line->sku, line->seq);
    struct record record;
    record_put_waiting(&record, key_text(&key), &waiting);
    store->meta.waiting_lines++;
    return lmdb_put(store->txn, store->env.waiting, key_text(&key), &record);
}

static int delete_waiting(struct lmdb_store *store, struct text sku, uint64_t since)
{
    struct key key = key_of_waiting(sku, since);
    store->meta.waiting_lines--;
    return lmdb_delete(store->txn, store->env.waiting, key_text(&key));
}

/* What an event changes in the tables at once; products, batches and lines are written later. */
static int write_tables(struct lmdb_store *store, const struct event *event,
                        const struct effect *effect)
{
    int rc = 0;
    if (effect->on_batch == BATCH_NEW)
        rc = write_ref(store, effect->batchref, event->sku);
    if (rc == 0 && effect->waited_since != 0)
        rc = delete_waiting(store, event->sku, effect->waited_since);
    if (rc == 0 && effect->on_line == LINE_PUT && order_line_waits(&effect->line))
        rc = write_waiting(store, &effect->line);
    return rc;
}

static enum store_result append(struct unit_of_work *unit, struct product *product,
                                struct event *event, struct text *body)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct cached_product *cached = product_cache_of(store->cache, product);
    bool is_new = !is_there(cached);
    if (store->is_full && lmdb_env_has_no_room(&store->env))
        return STORE_FULL; /* before anything has to be taken back */
    store->is_full = false;
    event->sku = product_sku(product);
    event->version = product_totals(product)->version + 1;
    if (event->type == MESSAGE_ALLOCATED) /* the chain of the batch's allocations */
        event->older_seq = product_batch(product, event->as.allocated.batchref)->newest;

    enum store_result result = lmdb_log_append(store, event, body);
    CRASH_POINT(event_logged);
    if (result != STORE_OK)
        return result;
    struct effect effect = effect_of(event);
    result = lmdb_write_result(&store->env, write_tables(store, event, &effect));
    if (result != STORE_OK)
        return result;
    if (!product_apply(product, event) || !lmdb_fold_changed(store, cached, &effect))
        return STORE_FAILED;
    store->meta.products += is_new;
    CRASH_POINT(before_line_moves);
    return lmdb_lines_follow(store, &effect);
}

static uint64_t last_seq(const struct unit_of_work *unit)
{
    return store_of_unit(unit)->meta.last_seq;
}

static enum store_result write_meta(struct lmdb_store *store)
{
    struct text key = text_of(LMDB_META_KEY);
    struct record record;
    store->meta.txn = mdb_txn_id(store->txn);
    record_put_meta(&record, key, &store->meta);
    return lmdb_write_result(&store->env, lmdb_put(store->txn, store->env.meta, key, &record));
}

static enum store_result write_all(struct lmdb_store *store)
{
    CRASH_POINT(before_flush);
    enum store_result result = lmdb_products_write_due(store);
    if (result == STORE_OK)
        result = lmdb_fold_some(store);
    if (result == STORE_OK)
        result = lmdb_remembered_evict(store);
    bool is_changed = memcmp(&store->meta, &store->committed, sizeof store->meta) != 0;
    if (result == STORE_OK && is_changed)
        result = write_meta(store);
    return result;
}

static enum store_result commit(struct unit_of_work *unit)
{
    struct lmdb_store *store = store_of_unit(unit);
    enum store_result result = write_all(store);
    store->is_full = result == STORE_FULL;
    if (result != STORE_OK)
        return result;
    CRASH_POINT(before_commit);
    int rc = lmdb_commit(&store->env, store->txn);
    CRASH_POINT(after_commit);
    store->txn = NULL;
    if (rc != 0) {
        result = lmdb_commit_failed(&store->env, rc);
        store->is_full = result == STORE_FULL;
        return result;
    }
    store->committed = store->meta;
    lmdb_remembered_settle(store, true);
    return STORE_OK;
}

static void rollback(struct unit_of_work *unit)
{
    struct lmdb_store *store = store_of_unit(unit);
    if (store->txn != NULL)
        mdb_txn_abort(store->txn);
    store->txn = NULL;
    bool has_events = store->meta.last_seq != store->committed.last_seq;
    store->meta = store->committed;
    if (has_events)
        lmdb_fold_forget(store); /* the products in memory hold what did not happen */
    lmdb_remembered_settle(store, false);
    CRASH_POINT(rolled_back);
}

const struct unit_of_work_ops lmdb_unit_ops = {
    .begin = unit_begin_,
    .product = product_,
    .add_product = add_product,
    .batch = batch_,
    .line = line_,
    .newest_lines = newest_lines,
    .append = append,
    .recall = lmdb_remembered_recall,
    .remember = lmdb_remembered_put,
    .last_seq = last_seq,
    .commit = commit,
    .rollback = rollback,
};
