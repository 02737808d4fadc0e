/* Tables written behind the log.
 *
 * The log is committed with each unit, and what a plain Allocated or Deallocated changes in a
 * product and its batch stays in memory for a while: many changes become one write, and the writes
 * of many products go by SKU. A product's totals hold the seq of the newest event that its tables
 * have, so that a replay knows which events they lack, and that replaying twice is harmless.
 * Lines are written later as well, by key: see store/lmdb/lines.c. Of these the last event tells
 * all, so replaying twice is harmless too. Everything else that an event changes is written with
 * it. */
#include "store/lmdb/inside.h"

#include "domain/base/crash_point.h"

#include <stdlib.h>

#define WRITES_PER_EVENT 2u /* so that a round ends before the next one is due */
#define WRITES_AT_LEAST 8u  /* of products, and of lines */

/* Whether an event changes more than the sum of a batch's lines: then the tables have to follow it
 * with its unit. */
static bool is_due(const struct effect *effect)
{
    return effect->on_batch == BATCH_NEW || effect->on_batch == BATCH_CHANGED ||
           effect_moves_waiting(effect);
}

/* Where the product's SKU stands among all others. */
static uint64_t rank_of(struct lmdb_store *store, const struct product *product)
{
    struct lmdb_fold *fold = &store->fold;
    struct text sku = product_sku(product);
    if (fold->first_sku.len == 0) {
        fold->first_sku = key_of(sku);
        fold->common = sku.len;
    }
    size_t common = 0;
    while (common < fold->common && common < sku.len &&
           sku.data[common] == fold->first_sku.bytes[common])
        common++;
    fold->common = common;
    return lazy_rank(sku, common);
}

bool lmdb_fold_changed(struct lmdb_store *store, struct cached_product *cached,
                       const struct effect *effect)
{
    /* One that is listed has its place. */
    uint64_t rank = cached->is_listed ? 0 : rank_of(store, cached->product);
    return product_cache_changed(store->cache, cached, is_due(effect), rank);
}

static bool is_enough_behind(const struct lmdb_store *store)
{
    const struct lmdb_fold *fold = &store->fold;
    return store->meta.last_seq - store->meta.folded_seq >= fold->events_in_round ||
           product_cache_ahead_bytes(store->cache) >= fold->product_bytes_in_round ||
           lmdb_lines_bytes(store) >= fold->line_bytes_in_round;
}

static bool is_in_round(const struct lmdb_store *store)
{
    return store->fold.round_seq != store->meta.folded_seq;
}

static void begin_round(struct lmdb_store *store)
{
    product_cache_take_list(store->cache, &store->fold.round);
    lmdb_lines_take_round(store);
    store->fold.round_seq = store->meta.last_seq;
}

/* Once its last product and its last line are written. */
static void end_round(struct lmdb_store *store)
{
    lazy_order_clear(&store->fold.round);
    lmdb_lines_end_round(store);
    store->meta.folded_seq = store->fold.round_seq;
    CRASH_POINT(folded);
}

static enum store_result write_products(struct lmdb_store *store, uint64_t writes)
{
    enum store_result result = STORE_OK;
    struct cached_product *cached;
    for (; writes > 0 && (cached = lazy_order_take(&store->fold.round)) != NULL; writes--) {
        product_cache_unlist(store->cache, cached);
        if (cached->is_ahead)
            result = lmdb_products_write(store, cached);
        CRASH_POINT(folding);
        if (result != STORE_OK)
            break;
    }
    return result;
}

enum store_result lmdb_fold_some(struct lmdb_store *store)
{
    const struct lazy_order *round = &store->fold.round;
    uint64_t events = store->meta.last_seq - store->committed.last_seq;
    uint64_t writes = WRITES_PER_EVENT * events + WRITES_AT_LEAST;
    if (events == 0)
        return STORE_OK;
    if (!is_in_round(store) && is_enough_behind(store))
        begin_round(store);
    if (!is_in_round(store))
        return STORE_OK;
    enum store_result result = write_products(store, writes);
    if (result == STORE_OK)
        result = lmdb_lines_write_some(store, writes);
    if (result == STORE_OK && round->taken == round->count && lmdb_lines_are_written(store))
        end_round(store);
    return result;
}

/* ---- replay ---- */

/* False: the event cannot have happened to the product as it is. */
static bool may_apply(const struct product *product, const struct event *event,
                      const struct effect *effect)
{
    if (event->version != product_totals(product)->version + 1 || is_due(effect))
        return false;
    if (effect->on_batch == BATCH_UNTOUCHED)
        return true;
    const struct batch *batch = product_batch(product, effect->batchref);
    if (batch == NULL)
        return false;
    return effect->on_batch == BATCH_TAKES_LINE ? batch_available(batch) >= effect->line.qty
                                                : batch->allocated >= effect->line.qty;
}

static enum store_result replay_event(struct lmdb_store *store, const struct event *event,
                                      const struct effect *effect)
{
    struct cached_product *cached = NULL;
    enum store_result result = lmdb_products_get(store, event->sku, &cached);
    if (result != STORE_OK)
        return result == STORE_NOT_FOUND ? STORE_DAMAGED : result;
    if (event->seq <= product_totals(cached->product)->last_seq)
        return STORE_OK;
    if (effect->on_batch != BATCH_UNTOUCHED)
        result = lmdb_products_need_batch(store, cached->product, effect->batchref);
    if (result != STORE_OK)
        return result;
    if (!may_apply(cached->product, event, effect))
        return STORE_DAMAGED;
    bool done = product_apply(cached->product, event) && lmdb_fold_changed(store, cached, effect);
    return done ? STORE_OK : STORE_FAILED;
}

enum store_result lmdb_fold_replay(struct lmdb_store *store)
{
    if (!store->is_stale)
        return STORE_OK;
    uint64_t seq = store->meta.folded_seq + 1;
    struct lmdb_walk walk;
    store->fold.round_seq = store->meta.folded_seq; /* none is being written */
    enum store_result result = lmdb_walk_begin(&walk, store->txn, store->env.events,
                                               (struct text){(const char *)&seq, sizeof seq});
    for (; result == STORE_OK && seq <= store->meta.last_seq; seq++) {
        struct logged_event logged;
        struct event event;
        result = lmdb_walk_next(&walk);
        if (result != STORE_OK)
            break;
        if (!text_equal(walk.key, (struct text){(const char *)&seq, sizeof seq}) ||
            !record_get_event(seq, walk.value, &logged) ||
            !lmdb_log_decode(store, seq, &logged, &event))
            result = STORE_DAMAGED;
        if (result != STORE_OK)
            break;
        struct effect effect = effect_of(&event);
        result = replay_event(store, &event, &effect);
        if (result == STORE_OK)
            result = lmdb_lines_follow(store, &effect);
        CRASH_POINT(replaying);
    }
    lmdb_walk_end(&walk);
    store->is_stale = result != STORE_OK;
    if (store->is_stale)
        lmdb_fold_forget(store);
    return result == STORE_NOT_FOUND ? STORE_DAMAGED : result;
}

void lmdb_fold_forget(struct lmdb_store *store)
{
    store->is_stale = true;
    product_cache_clear(store->cache);
    lmdb_lines_forget(store);
    lazy_order_clear(&store->fold.round);
}
