/* The repository of products: loading one with its batches with stock and its waiting lines, and
 * writing those that changed. */
#include "store/lmdb/inside.h"

/* ---- loading ---- */

static enum store_result load_batch(struct lmdb_store *store, struct product *product,
                                    struct text ref)
{
    struct key key = key_of_two(product_sku(product), ref);
    struct text value;
    struct batch batch;
    enum store_result result = lmdb_get(store->txn, store->env.batches, key_text(&key), &value);
    if (result != STORE_OK || !record_get_batch(key_text(&key), value, &batch))
        return STORE_DAMAGED;
    batch.ref = ref;
    return product_restore_batch(product, &batch) ? STORE_OK : STORE_FAILED;
}

/* All but the one that is carried, which stands among them. */
static enum store_result load_batches_with_stock(struct lmdb_store *store, struct product *product,
                                                 const struct batch *carried)
{
    struct key prefix = key_prefix(product_sku(product));
    struct lmdb_walk walk;
    enum store_result result =
        lmdb_walk_begin(&walk, store->txn, store->env.use, key_text(&prefix));
    uint64_t loaded = 0;
    while (result == STORE_OK && (result = lmdb_walk_next(&walk)) == STORE_OK) {
        struct text rest;
        struct text ref;
        if (!lmdb_key_rest(walk.key, &prefix, &rest))
            break;
        bool is_sound = record_get_text(walk.key, walk.value, &ref);
        if (is_sound && carried != NULL && text_equal(carried->ref, ref))
            carried = NULL; /* it comes once */
        else if (is_sound && product_batch(product, ref) == NULL)
            result = load_batch(store, product, ref);
        else
            result = STORE_DAMAGED;
        loaded++;
    }
    lmdb_walk_end(&walk);
    if (result == STORE_NOT_FOUND)
        result = STORE_OK;
    if (result == STORE_OK && loaded != product_totals(product)->open)
        result = STORE_DAMAGED;
    return result;
}

static uint64_t big_endian(const char *bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++)
        number = number << 8 | (unsigned char)bytes[i];
    return number;
}

static enum store_result load_waiting_lines(struct lmdb_store *store, struct product *product)
{
    struct key prefix = key_prefix(product_sku(product));
    struct lmdb_walk walk;
    enum store_result result =
        lmdb_walk_begin(&walk, store->txn, store->env.waiting, key_text(&prefix));
    uint64_t loaded = 0;
    while (result == STORE_OK && (result = lmdb_walk_next(&walk)) == STORE_OK) {
        struct text rest;
        struct waiting_line line;
        if (!lmdb_key_rest(walk.key, &prefix, &rest))
            break;
        if (rest.len != 8 || !record_get_waiting(walk.key, walk.value, &line)) {
            result = STORE_DAMAGED;
            break;
        }
        line.seq = big_endian(rest.data);
        if (!product_restore_waiting(product, &line))
            result = STORE_FAILED;
        loaded++;
    }
    lmdb_walk_end(&walk);
    if (result == STORE_NOT_FOUND)
        result = STORE_OK;
    if (result == STORE_OK && loaded != product_totals(product)->waiting)
        result = STORE_DAMAGED;
    return result;
}

/* The batch that the record carries, and the other parts as far as the totals say that there are
 * any. */
static enum store_result load_parts(struct lmdb_store *store, struct product *product,
                                    const struct product_record *stored,
                                    const struct batch **carried)
{
    const struct product_totals *totals = &stored->totals;
    enum store_result result = STORE_OK;
    *carried = NULL;
    product_restore_totals(product, totals);
    if (!text_is_none(stored->carried.ref)) {
        if (!product_restore_batch(product, &stored->carried))
            return STORE_FAILED;
        *carried = product_next_batch(product, NULL);
    }
    if (totals->open > (*carried != NULL))
        result = load_batches_with_stock(store, product, *carried);
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
    const struct batch *carried = NULL;
    enum store_result result = lmdb_get(store->txn, store->env.products, key_text(&key), &value);
    if (result != STORE_OK)
        return result;
    if (!record_get_product(key_text(&key), value, &stored))
        return STORE_DAMAGED;
    struct product *product = product_new(sku);
    if (product == NULL)
        return STORE_FAILED;
    result = load_parts(store, product, &stored, &carried);
    if (result == STORE_OK)
        *out = product_cache_add(store->cache, product, carried);
    if (result == STORE_OK && *out == NULL)
        result = STORE_FAILED;
    if (result != STORE_OK)
        product_destroy(&product);
    return result;
}

enum store_result lmdb_products_get(struct lmdb_store *store, struct text sku,
                                    struct cached_product **out)
{
    *out = product_cache_find(store->cache, sku);
    return *out != NULL ? STORE_OK : load(store, sku, out);
}

enum store_result lmdb_products_need_batch(struct lmdb_store *store, struct product *product,
                                           struct text ref)
{
    if (product_batch(product, ref) != NULL)
        return STORE_OK;
    return load_batch(store, product, ref);
}

/* ---- writing ---- */

/* Keeps the order of use in step: a batch stands in it while it has stock. `before` is NULL for a
 * batch that is new. */
static int write_use(struct lmdb_store *store, struct text sku, const struct batch *before,
                     const struct batch *now)
{
    bool was_in = before != NULL && batch_available(before) > 0;
    bool is_in = batch_available(now) > 0;
    bool stays = was_in && is_in && before->eta.yyyymmdd == now->eta.yyyymmdd;
    int rc = 0;
    if (was_in && !stays) {
        struct key key = key_of_use(sku, before->eta, before->age);
        rc = lmdb_delete(store->txn, store->env.use, key_text(&key));
    }
    if (rc == 0 && is_in && !stays) {
        struct key key = key_of_use(sku, now->eta, now->age);
        struct record record;
        record_put_text(&record, key_text(&key), now->ref);
        rc = lmdb_put(store->txn, store->env.use, key_text(&key), &record);
    }
    return rc;
}

/* The same for one whose quantity and ETA are those of its record, so that its place is known. Its
 * record is not read: where it is damaged it is mended, and commands for others go on. */
static enum store_result write_use_in_place(struct lmdb_store *store, struct text sku,
                                            const struct batch *now)
{
    struct key key = key_of_use(sku, now->eta, now->age);
    struct text value;
    enum store_result result = lmdb_get(store->txn, store->env.use, key_text(&key), &value);
    bool was_in = result == STORE_OK;
    if (!was_in && result != STORE_NOT_FOUND)
        return result;
    int rc = 0;
    if (batch_available(now) > 0 && !was_in) {
        struct record record;
        record_put_text(&record, key_text(&key), now->ref);
        rc = lmdb_put(store->txn, store->env.use, key_text(&key), &record);
    } else if (batch_available(now) == 0 && was_in) {
        rc = lmdb_delete(store->txn, store->env.use, key_text(&key));
    }
    return lmdb_write_result(&store->env, rc);
}

static enum store_result write_use_anew(struct lmdb_store *store, struct text sku,
                                        const struct batch *now)
{
    struct key key = key_of_two(sku, now->ref);
    struct text value;
    struct batch before;
    enum store_result result = lmdb_get(store->txn, store->env.batches, key_text(&key), &value);
    bool existed = result == STORE_OK;
    if (result == STORE_DAMAGED || (existed && !record_get_batch(key_text(&key), value, &before)))
        return STORE_DAMAGED;
    return lmdb_write_result(&store->env, write_use(store, sku, existed ? &before : NULL, now));
}

/* Its record, without what is allocated where the product carries that. */
static enum store_result write_batch(struct lmdb_store *store, const struct product *product,
                                     const struct batch *batch, bool is_carried, bool is_due)
{
    struct text sku = product_sku(product);
    struct batch now = *batch;
    struct key key = key_of_two(sku, batch->ref);
    enum store_result result =
        is_due ? write_use_anew(store, sku, batch) : write_use_in_place(store, sku, batch);
    if (result != STORE_OK)
        return result;
    if (is_carried) {
        now.allocated = 0;
        now.newest = 0;
    }
    struct record record;
    record_put_batch(&record, key_text(&key), &now);
    return lmdb_write_result(&store->env,
                             lmdb_put(store->txn, store->env.batches, key_text(&key), &record));
}

/* Batches that changed. The one that was carried and still is has its figures in the product's
 * record: a record of its own changes with its quantity and ETA alone, which makes it due. */
static enum store_result write_batches(struct lmdb_store *store,
                                       const struct cached_product *cached,
                                       const struct batch *carried, bool is_due)
{
    const struct product *product = cached->product;
    const struct batch *before = cached->carried;
    enum store_result result = STORE_OK;
    if (before != NULL && before != carried)
        result = write_batch(store, product, before, false, is_due);
    if (result == STORE_OK && carried != NULL && (before != carried || is_due))
        result = write_batch(store, product, carried, true, is_due);
    for (const struct batch *batch = product_next_changed(product, NULL);
         result == STORE_OK && batch != NULL; batch = product_next_changed(product, batch))
        if (batch != before && batch != carried)
            result = write_batch(store, product, batch, false, is_due);
    return result;
}

static enum store_result write_product(struct lmdb_store *store, struct cached_product *cached,
                                       bool is_due)
{
    struct product *product = cached->product;
    const struct batch *carried = product_next_batch(product, NULL);
    struct key key = key_of(product_sku(product));
    struct product_record now = {.totals = *product_totals(product)};
    struct record record;
    now.carried = carried != NULL ? *carried : (struct batch){.ref = text_none()};
    record_put_product(&record, key_text(&key), &now);
    int rc = lmdb_put(store->txn, store->env.products, key_text(&key), &record);
    if (rc != 0)
        return lmdb_write_result(&store->env, rc);
    enum store_result result = write_batches(store, cached, carried, is_due);
    if (result == STORE_OK)
        product_cache_written(store->cache, cached, carried);
    return result;
}

enum store_result lmdb_products_write(struct lmdb_store *store, struct cached_product *cached)
{
    return write_product(store, cached, false);
}

enum store_result lmdb_products_write_due(struct lmdb_store *store)
{
    enum store_result result = STORE_OK;
    struct cached_product *cached;
    while (result == STORE_OK && (cached = product_cache_take_due(store->cache)) != NULL)
        result = write_product(store, cached, true);
    return result;
}
