/* The repository of products: loading one with its batches with stock and its waiting lines, and
 * keeping the tables in step with what events change in it. */
#include "store/lmdb/inside.h"

#include <assert.h>

/* ---- loading ---- */

static enum store_result load_batch(struct lmdb_store *store, struct product *product,
                                    struct text ref)
{
    struct key key = key_of_two(product_sku(product), ref);
    struct text value;
    struct batch batch;
    enum store_result result = tables_get(&store->tables, TABLE_BATCHES, key_text(&key), &value);
    if (result != STORE_OK || !record_get_batch(key_text(&key), value, &batch))
        return STORE_DAMAGED;
    batch.ref = ref;
    return product_restore_batch(product, &batch) ? STORE_OK : STORE_FAILED;
}

/* All but the one that is carried, which stands among them. */
static enum store_result load_batches_with_stock(struct lmdb_store *store, struct product *product,
                                                 struct text carried)
{
    struct key prefix = key_prefix(product_sku(product));
    struct table_walk walk;
    uint64_t loaded = 0;
    enum store_result result =
        table_walk_begin(&walk, &store->tables, TABLE_USE, &prefix, text_none());
    while (result == STORE_OK && (result = table_walk_next(&walk)) == STORE_OK) {
        struct text ref;
        bool is_sound = record_get_text(walk.key, walk.value, &ref) && ref.len <= REF_MAX_BYTES;
        if (is_sound && text_equal(carried, ref))
            carried = text_none(); /* it comes once */
        else if (is_sound && product_batch(product, ref) == NULL)
            result = load_batch(store, product, ref);
        else
            result = STORE_DAMAGED;
        loaded++;
    }
    table_walk_end(&walk);
    if (result == STORE_NOT_FOUND)
        result = STORE_OK;
    if (result == STORE_OK && loaded != product_totals(product)->open)
        result = STORE_DAMAGED;
    return result;
}

static enum store_result load_waiting_lines(struct lmdb_store *store, struct product *product)
{
    struct key prefix = key_prefix(product_sku(product));
    struct table_walk walk;
    uint64_t loaded = 0;
    enum store_result result =
        table_walk_begin(&walk, &store->tables, TABLE_WAITING, &prefix, text_none());
    while (result == STORE_OK && (result = table_walk_next(&walk)) == STORE_OK) {
        struct waiting_line line;
        if (!record_get_waiting(walk.key, walk.value, &line) ||
            !key_get_number(table_walk_rest(&walk), &line.seq))
            result = STORE_DAMAGED;
        else if (!product_restore_waiting(product, &line))
            result = STORE_FAILED;
        loaded++;
    }
    table_walk_end(&walk);
    if (result == STORE_NOT_FOUND)
        result = STORE_OK;
    if (result == STORE_OK && loaded != product_totals(product)->waiting)
        result = STORE_DAMAGED;
    return result;
}

/* The batch that the record carries, and the records of the others and of waiting lines as far as
 * the totals say that there are any. */
static enum store_result load_parts(struct lmdb_store *store, struct product *product,
                                    const struct product_record *stored)
{
    const struct product_totals *totals = &stored->totals;
    bool is_carried = !text_is_none(stored->carried.ref);
    enum store_result result = STORE_OK;
    product_restore_totals(product, totals);
    if (is_carried && !product_restore_batch(product, &stored->carried))
        return STORE_FAILED;
    if (totals->open > is_carried)
        result = load_batches_with_stock(store, product, stored->carried.ref);
    if (result == STORE_OK && totals->waiting > 0)
        result = load_waiting_lines(store, product);
    return result;
}

static enum store_result load(struct lmdb_store *store, struct text sku,
                              struct cached_product **out)
{
    struct key key = key_of(sku);
    struct text value;
    struct product_record stored;
    enum store_result result = tables_get(&store->tables, TABLE_PRODUCTS, key_text(&key), &value);
    if (result != STORE_OK)
        return result;
    if (!record_get_product(key_text(&key), value, &stored))
        return STORE_DAMAGED;
    struct product *product = product_new(sku);
    if (product == NULL)
        return STORE_FAILED;
    result = load_parts(store, product, &stored);
    if (result == STORE_OK) {
        *out = product_cache_add(store->cache, product);
        result = *out != NULL ? STORE_OK : STORE_FAILED;
    }
    if (result != STORE_OK)
        product_destroy(&product);
    return result;
}

enum store_result store_product(struct lmdb_store *store, struct text sku,
                                struct cached_product **out)
{
    *out = product_cache_find(store->cache, sku);
    return *out != NULL ? STORE_OK : load(store, sku, out);
}

enum store_result store_need_batch(struct lmdb_store *store, struct product *product,
                                   struct text ref)
{
    if (product_batch(product, ref) != NULL)
        return STORE_OK;
    return load_batch(store, product, ref);
}

/* ---- following an event ---- */

static enum store_result put_product(struct lmdb_store *store, struct cached_product *cached,
                                     const struct batch *carried)
{
    const struct product *product = cached->product;
    struct key key = key_of(product_sku(product));
    struct product_record now = {.totals = *product_totals(product)};
    struct record record;
    now.carried = carried != NULL ? *carried : (struct batch){.ref = text_none()};
    record_put_product(&record, key_text(&key), &now);
    return tables_put_at(&store->tables, TABLE_PRODUCTS, key_text(&key), &record, &cached->record);
}

/* Its record, without what is allocated where the product's record carries that. */
static enum store_result put_batch(struct lmdb_store *store, struct text sku,
                                   const struct batch *batch, bool is_carried)
{
    struct batch now = *batch;
    struct key key = key_of_two(sku, batch->ref);
    struct record record;
    if (is_carried)
        now.allocated = 0;
    record_put_batch(&record, key_text(&key), &now);
    return tables_put(&store->tables, TABLE_BATCHES, key_text(&key), &record);
}

/* A batch stands in the order of use while it has stock. */
static enum store_result follow_use(struct lmdb_store *store, struct text sku,
                                    const struct batch *before, const struct batch *now)
{
    bool was_in = batch_available(before) > 0;
    bool is_in = batch_available(now) > 0;
    bool stays = was_in && is_in && before->eta.yyyymmdd == now->eta.yyyymmdd;
    enum store_result result = STORE_OK;
    if (was_in && !stays) {
        struct key key = key_of_use(sku, before->eta, before->age);
        result = tables_delete(&store->tables, TABLE_USE, key_text(&key));
    }
    if (result == STORE_OK && is_in && !stays) {
        struct key key = key_of_use(sku, now->eta, now->age);
        struct record record;
        record_put_text(&record, key_text(&key), now->ref);
        result = tables_put(&store->tables, TABLE_USE, key_text(&key), &record);
    }
    return result;
}

/* The record of the batch that changed, and of those that the product carried until now and carries
 * from now on. The one that it carried before and still does has its figures in the product's
 * record, so that its own changes with its quantity and ETA alone. */
static enum store_result follow_batches(struct lmdb_store *store, struct text sku,
                                        const struct batch *changed, bool is_figure,
                                        const struct batch *carried_before,
                                        const struct batch *carried)
{
    bool is_carried = changed == carried;
    enum store_result result = STORE_OK;
    if (changed != NULL && !(is_carried && carried_before == carried && is_figure))
        result = put_batch(store, sku, changed, is_carried);
    if (carried == carried_before)
        return result;
    if (result == STORE_OK && carried_before != NULL && carried_before != changed)
        result = put_batch(store, sku, carried_before, false);
    if (result == STORE_OK && carried != NULL && !is_carried)
        result = put_batch(store, sku, carried, true);
    return result;
}

/* Batch reference to SKU: unique in the whole node (rule 4). */
enum store_result store_follow_ref(struct lmdb_store *store, struct text ref, struct text sku)
{
    struct key key = key_of(ref);
    struct record record;
    record_put_text(&record, key_text(&key), sku);
    return tables_put(&store->tables, TABLE_REFS, key_text(&key), &record);
}

static enum store_result follow_waiting(struct lmdb_store *store, struct text sku,
                                        const struct effect *effect)
{
    enum store_result result = STORE_OK;
    if (effect->waited_since != 0) {
        struct key key = key_of_waiting(sku, effect->waited_since);
        result = tables_delete(&store->tables, TABLE_WAITING, key_text(&key));
    }
    if (result == STORE_OK && effect->on_line == LINE_PUT && order_line_waits(&effect->line)) {
        struct waiting_line line = {effect->line.orderid, effect->line.qty, effect->line.seq};
        struct key key = key_of_waiting(sku, line.seq);
        struct record record;
        record_put_waiting(&record, key_text(&key), &line);
        result = tables_put(&store->tables, TABLE_WAITING, key_text(&key), &record);
    }
    return result;
}

enum store_result store_apply(struct lmdb_store *store, struct cached_product *cached,
                              const struct event *event, const struct effect *effect)
{
    struct product *product = cached->product;
    struct text sku = product_sku(product);
    bool has_batch = effect->on_batch != BATCH_UNTOUCHED;
    const struct batch *there = has_batch ? product_batch(product, effect->batchref) : NULL;
    assert((there == NULL) == (!has_batch || effect->on_batch == BATCH_NEW));
    struct batch before = there != NULL ? *there : (struct batch){.ref = text_none()};
    const struct batch *carried_before = product_next_batch(product, NULL);
    if (!product_apply(product, event))
        return STORE_FAILED;
    product_cache_recount(store->cache, cached);
    const struct batch *carried = product_next_batch(product, NULL);
    const struct batch *changed = has_batch ? product_batch(product, effect->batchref) : NULL;
    bool is_figure = effect->on_batch == BATCH_TAKES_LINE || effect->on_batch == BATCH_LOSES_LINE;

    enum store_result result = put_product(store, cached, carried);
    if (result == STORE_OK)
        result = follow_batches(store, sku, changed, is_figure, carried_before, carried);
    if (result == STORE_OK && changed != NULL)
        result = follow_use(store, sku, &before, changed);
    if (result == STORE_OK && effect->on_batch == BATCH_NEW)
        result = store_follow_ref(store, effect->batchref, sku);
    if (result == STORE_OK)
        result = follow_waiting(store, sku, effect);
    return result;
}
