/* The reader: queries over the tables, with the figures of products that are ahead of them laid
 * over. While a unit is open they see what it has done; else a short transaction of their own. */
#include "store/lmdb/inside.h"

/* The snapshot of the reader, open until the next unit begins: nobody else writes. */
static enum store_result open_snapshot(struct lmdb_store *store)
{
    if (store->is_reading)
        return STORE_OK;
    int rc = store->read_txn == NULL
                 ? mdb_txn_begin(store->env.env, NULL, MDB_RDONLY, &store->read_txn)
                 : mdb_txn_renew(store->read_txn);
    store->is_reading = rc == 0;
    return rc == 0 ? STORE_OK : STORE_FAILED;
}

void lmdb_reader_rest(struct lmdb_store *store)
{
    if (store->is_reading)
        mdb_txn_reset(store->read_txn);
    store->is_reading = false;
}

/* The transaction to read in. */
static enum store_result begin_read(struct lmdb_store *store, MDB_txn **txn)
{
    if (store->txn != NULL) {
        /* A write that fails is the unit's trouble, whatever the query is about. */
        enum store_result result = lmdb_products_write_due(store);
        *txn = store->txn;
        return result == STORE_DAMAGED ? STORE_FAILED : result;
    }
    enum store_result result = open_snapshot(store);
    *txn = store->read_txn;
    if (result != STORE_OK)
        return result;
    store->txn = store->read_txn; /* to replay in */
    result = lmdb_fold_replay(store);
    store->txn = NULL;
    return result;
}

/* How far a page may still go. */
struct page {
    const struct reader *reader;
    size_t rows_left;
    size_t looked_at;
    size_t bytes_left;
    size_t capacity; /* of its array of rows */
};

static struct page page_of(const struct lmdb_store *store, uint32_t limit)
{
    return (struct page){
        .reader = &store->reader, .rows_left = limit, .bytes_left = PAGE_BYTES_MAX};
}

static bool page_has_room(const struct page *page)
{
    return page->rows_left > 0 && page->looked_at < PAGE_SCAN_MAX && page->bytes_left > 0 &&
           !reader_is_late(page->reader, page->looked_at);
}

static void page_took(struct page *page, size_t bytes)
{
    page->rows_left--;
    page->bytes_left = page->bytes_left > bytes ? page->bytes_left - bytes : 0;
}

/* A walk through the keys prefix + X, with X > after. */
struct list {
    struct lmdb_walk walk;
    struct lmdb_lines_walk *lines; /* NULL: the table says all */
    struct key prefix;
    struct text after;
};

static enum store_result list_next(struct list *list)
{
    return list->lines != NULL ? lmdb_lines_walk_next(list->lines, &list->walk)
                               : lmdb_walk_next(&list->walk);
}

/* `lines`: for a list of order lines, to be used by it. */
static enum store_result list_begin(struct list *list, const struct lmdb_store *store, MDB_txn *txn,
                                    MDB_dbi table, const struct key *prefix, struct text after,
                                    struct lmdb_lines_walk *lines)
{
    struct key from = *prefix;
    if (after.len > 0) {
        memcpy(from.bytes + from.len, after.data, after.len);
        from.len += after.len;
    }
    list->prefix = *prefix;
    list->after = after;
    list->lines = lines;
    if (lines != NULL)
        lmdb_lines_walk_begin(lines, store, prefix, key_text(&from));
    /* The walk keeps the key's address for its first step alone. */
    enum store_result result = lmdb_walk_begin(&list->walk, txn, table, key_text(&from));
    if (result != STORE_OK)
        return result;
    result = list_next(list);
    struct text rest;
    if (result == STORE_OK && lmdb_key_rest(list->walk.key, prefix, &rest) &&
        !text_is_none(after) && text_equal(rest, after))
        result = list_next(list);
    return result;
}

/* The part of the current key behind the prefix; false where the list has come to its end. */
static bool list_name(const struct list *list, struct text *name)
{
    return lmdb_key_rest(list->walk.key, &list->prefix, name);
}

/* What a page is made of: the query's parts, and the rows that come of them. */
struct listing {
    struct lmdb_store *store;
    MDB_txn *txn;
    struct arena *arena;
    struct text sku; /* of the product whose batches are listed */
    struct product_record product;
    struct lmdb_lines_walk *lines; /* where lines are listed */
    void *rows;
    size_t count;
    struct text next; /* the last row's name, where more remain */
};

/* Fills a row, whose first member is its name, from a record. *bytes is what it takes. */
typedef enum store_result make_row(const struct listing *listing, const struct lmdb_walk *walk,
                                   struct text name, void *row, size_t *bytes);

static enum store_result read_listing(struct listing *listing, MDB_dbi table,
                                      const struct key *prefix, struct text after, uint32_t limit,
                                      make_row *make, size_t row_size)
{
    struct list list;
    struct text name;
    struct page page = page_of(listing->store, limit);
    enum store_result result =
        list_begin(&list, listing->store, listing->txn, table, prefix, after, listing->lines);
    for (; result == STORE_OK && list_name(&list, &name); result = list_next(&list)) {
        if (listing->count > 0 && !page_has_room(&page)) {
            memcpy(&listing->next, (char *)listing->rows + (listing->count - 1) * row_size,
                   sizeof listing->next);
            break;
        }
        listing->rows =
            arena_grow(listing->arena, listing->rows, listing->count, &page.capacity, row_size);
        if (listing->rows == NULL) {
            result = STORE_FAILED;
            break;
        }
        size_t bytes = 0;
        char *row = (char *)listing->rows + listing->count * row_size;
        result = make(listing, &list.walk, name, row, &bytes);
        if (result != STORE_OK)
            break;
        listing->count++;
        page.looked_at++;
        page_took(&page, bytes);
    }
    lmdb_walk_end(&list.walk);
    return result == STORE_NOT_FOUND ? STORE_OK : result;
}

_Static_assert(offsetof(struct line_view, sku) == 0 && offsetof(struct batch_view, ref) == 0 &&
                   offsetof(struct product_view, sku) == 0,
               "a row begins with its name");

/* ---- GetAllocations ---- */

static enum store_result line_row(const struct listing *listing, const struct lmdb_walk *walk,
                                  struct text sku, void *out, size_t *bytes)
{
    struct line_view *row = out;
    uint64_t seq;
    struct event event;
    if (!record_get_line(walk->key, walk->value, &seq))
        return STORE_DAMAGED;
    enum store_result result = lmdb_log_get(listing->store, listing->txn, seq, &event);
    if (result != STORE_OK)
        return result;
    struct effect effect = effect_of(&event);
    if (effect.on_line != LINE_PUT)
        return STORE_DAMAGED;
    *row = (struct line_view){.qty = effect.line.qty};
    *bytes = sizeof *row + sku.len + effect.line.batchref.len;
    bool copied = arena_text(listing->arena, sku, &row->sku) &&
                  arena_text(listing->arena, effect.line.batchref, &row->batchref);
    return copied ? STORE_OK : STORE_FAILED;
}

/* Whether the order has any line, where a page shows none. */
static enum store_result find_order(struct lmdb_store *store, MDB_txn *txn, struct text orderid)
{
    struct key prefix = key_prefix(orderid);
    struct lmdb_lines_walk lines;
    struct list list;
    struct text sku;
    enum store_result result =
        list_begin(&list, store, txn, store->env.lines, &prefix, text_none(), &lines);
    if (result == STORE_OK && !list_name(&list, &sku))
        result = STORE_NOT_FOUND;
    lmdb_walk_end(&list.walk);
    return result;
}

static enum store_result lines_(struct reader *reader, const struct get_allocations *query,
                                struct arena *arena, struct line_page *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    struct lmdb_lines_walk lines;
    struct listing listing = {.store = store, .arena = arena, .lines = &lines};
    struct key prefix = key_prefix(query->orderid);
    enum store_result result = begin_read(store, &listing.txn);
    if (result == STORE_OK)
        result = read_listing(&listing, store->env.lines, &prefix, query->after, query->limit,
                              line_row, sizeof *out->rows);
    if (result == STORE_OK && listing.count == 0)
        result = find_order(store, listing.txn, query->orderid);
    if (result == STORE_OK)
        *out = (struct line_page){listing.rows, listing.count, listing.next};
    return result;
}

/* ---- products and batches ---- */

/* Its totals, and what is carried where the tables say all. The ref is LMDB's. */
static enum store_result get_product(struct lmdb_store *store, MDB_txn *txn, struct text sku,
                                     struct product_record *out)
{
    const struct cached_product *ahead = product_cache_ahead(store->cache, sku);
    if (ahead != NULL) {
        out->totals = *product_totals(ahead->product);
        out->carried.ref = text_none();
        return STORE_OK;
    }
    struct key key = key_of(sku);
    struct text value;
    enum store_result result = lmdb_get(txn, store->env.products, key_text(&key), &value);
    if (result == STORE_OK && !record_get_product(key_text(&key), value, out))
        result = STORE_DAMAGED;
    return result;
}

/* A batch of a product that is ahead of its tables, or that carries it; NULL: its own record says
 * all. */
static const struct batch *batch_elsewhere(const struct lmdb_store *store, struct text sku,
                                           struct text ref, const struct batch *carried)
{
    if (!text_is_none(carried->ref) && text_equal(carried->ref, ref))
        return carried;
    const struct cached_product *ahead = product_cache_ahead(store->cache, sku);
    return ahead != NULL ? product_batch(ahead->product, ref) : NULL;
}

static struct batch_view view_of(const struct batch *batch, struct text ref, struct text sku)
{
    return (struct batch_view){ref, sku, batch->qty, batch_available(batch), batch->eta};
}

/* A batch that must be there, with its ref copied into the arena. */
static enum store_result batch_row(struct lmdb_store *store, MDB_txn *txn, struct text sku,
                                   struct text ref, const struct batch *carried,
                                   struct arena *arena, struct batch_view *row)
{
    struct key key = key_of_two(sku, ref);
    struct text value;
    struct batch batch;
    struct text copy;
    if (!arena_text(arena, ref, &copy))
        return STORE_FAILED;
    const struct batch *elsewhere = batch_elsewhere(store, sku, ref, carried);
    if (elsewhere != NULL) {
        *row = view_of(elsewhere, copy, sku);
        return STORE_OK;
    }
    enum store_result result = lmdb_get(txn, store->env.batches, key_text(&key), &value);
    if (result != STORE_OK || !record_get_batch(key_text(&key), value, &batch))
        return STORE_DAMAGED;
    *row = view_of(&batch, copy, sku);
    return STORE_OK;
}

/* The batches with stock, in their order of use, as the tables have them. */
static enum store_result batches_in_use(struct lmdb_store *store, MDB_txn *txn,
                                        const struct batch *carried, size_t shown,
                                        struct arena *arena, struct stock_view *out)
{
    struct key prefix = key_prefix(out->sku);
    struct list list;
    struct text place;
    enum store_result result =
        list_begin(&list, store, txn, store->env.use, &prefix, text_none(), NULL);
    while (result == STORE_OK && out->batch_count < shown && list_name(&list, &place)) {
        struct text ref;
        if (record_get_text(list.walk.key, list.walk.value, &ref))
            result = batch_row(store, txn, out->sku, ref, carried, arena,
                               &out->batches[out->batch_count++]);
        else
            result = STORE_DAMAGED;
        if (result == STORE_OK)
            result = lmdb_walk_next(&list.walk);
    }
    lmdb_walk_end(&list.walk);
    if (result == STORE_NOT_FOUND)
        result = STORE_OK;
    return result == STORE_OK && out->batch_count != shown ? STORE_DAMAGED : result;
}

/* The same, of a product in memory. */
static enum store_result batches_in_memory(const struct product *product, size_t shown,
                                           struct arena *arena, struct stock_view *out)
{
    const struct batch *batch = product_next_batch(product, NULL);
    for (; batch != NULL && out->batch_count < shown; batch = product_next_batch(product, batch)) {
        struct text ref;
        if (!arena_text(arena, batch->ref, &ref))
            return STORE_FAILED;
        out->batches[out->batch_count++] = view_of(batch, ref, out->sku);
    }
    return STORE_OK;
}

/* What is in memory need not be read, ahead of its tables or not. NULL: it is not, or it is one
 * that was added and has no event. */
static const struct product *product_in_memory(const struct lmdb_store *store, struct text sku)
{
    const struct cached_product *cached = product_cache_peek(store->cache, sku);
    bool is_there = cached != NULL && product_totals(cached->product)->version > 0;
    return is_there ? cached->product : NULL;
}

static enum store_result read_stock(struct lmdb_store *store, MDB_txn *txn, struct text sku,
                                    struct arena *arena, struct stock_view *out)
{
    const struct product *in_memory = product_in_memory(store, sku);
    struct product_record stored;
    const struct product_totals *totals = &stored.totals;
    enum store_result result = STORE_OK;
    if (in_memory != NULL)
        totals = product_totals(in_memory);
    else
        result = get_product(store, txn, sku, &stored);
    if (result != STORE_OK)
        return result;
    size_t shown = totals->open < STOCK_BATCHES_MAX ? (size_t)totals->open : STOCK_BATCHES_MAX;
    *out = (struct stock_view){.sku = sku,
                               .version = totals->version,
                               .available = totals->available,
                               .batches = arena_alloc(arena, shown * sizeof *out->batches),
                               .exhausted = totals->batches - totals->open};
    if (out->batches == NULL)
        return STORE_FAILED;
    return in_memory != NULL ? batches_in_memory(in_memory, shown, arena, out)
                             : batches_in_use(store, txn, &stored.carried, shown, arena, out);
}
static enum store_result stock_(struct reader *reader, const struct get_stock *query,
                                struct arena *arena, struct stock_view *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    struct stock_view view;
    MDB_txn *txn;
    enum store_result result = begin_read(store, &txn);
    if (result == STORE_OK)
        result = read_stock(store, txn, query->sku, arena, &view);
    if (result == STORE_OK)
        *out = view;
    return result;
}

static enum store_result listed_batch(const struct listing *listing, const struct lmdb_walk *walk,
                                      struct text ref, void *row, size_t *bytes)
{
    struct batch batch;
    struct text copy;
    if (!record_get_batch(walk->key, walk->value, &batch))
        return STORE_DAMAGED;
    if (!arena_text(listing->arena, ref, &copy))
        return STORE_FAILED;
    const struct batch *elsewhere =
        batch_elsewhere(listing->store, listing->sku, ref, &listing->product.carried);
    *(struct batch_view *)row = view_of(elsewhere != NULL ? elsewhere : &batch, copy, listing->sku);
    *bytes = sizeof(struct batch_view) + ref.len;
    return STORE_OK;
}

static enum store_result batches_(struct reader *reader, const struct list_batches *query,
                                  struct arena *arena, struct batch_page *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    struct listing listing = {.store = store, .arena = arena, .sku = query->sku};
    struct key prefix = key_prefix(query->sku);
    enum store_result result = begin_read(store, &listing.txn);
    if (result == STORE_OK)
        result = get_product(store, listing.txn, query->sku, &listing.product);
    if (result == STORE_OK)
        result = read_listing(&listing, store->env.batches, &prefix, query->after, query->limit,
                              listed_batch, sizeof *out->rows);
    if (result == STORE_OK)
        *out = (struct batch_page){listing.rows, listing.count, listing.next};
    return result;
}

static enum store_result batch_(struct reader *reader, const struct get_batch *query,
                                struct arena *arena, struct batch_view *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    struct key key = key_of(query->ref);
    struct text value;
    struct text sku;
    struct product_record product;
    MDB_txn *txn;
    enum store_result result = begin_read(store, &txn);
    if (result == STORE_OK)
        result = lmdb_get(txn, store->env.refs, key_text(&key), &value);
    bool is_known = result == STORE_OK;
    if (result == STORE_OK &&
        !(record_get_text(key_text(&key), value, &sku) && sku.len <= SKU_MAX_BYTES))
        result = STORE_DAMAGED;
    if (result == STORE_OK && !arena_text(arena, sku, &sku))
        result = STORE_FAILED;
    if (result == STORE_OK)
        result = get_product(store, txn, sku, &product);
    if (result == STORE_OK)
        result = batch_row(store, txn, sku, query->ref, &product.carried, arena, out);
    else if (result == STORE_NOT_FOUND && is_known)
        result = STORE_DAMAGED;
    return result;
}

static enum store_result listed_product(const struct listing *listing, const struct lmdb_walk *walk,
                                        struct text sku, void *out, size_t *bytes)
{
    struct product_view *row = out;
    struct product_record stored;
    if (!record_get_product(walk->key, walk->value, &stored))
        return STORE_DAMAGED;
    const struct cached_product *ahead = product_cache_ahead(listing->store->cache, sku);
    const struct product_totals *totals =
        ahead != NULL ? product_totals(ahead->product) : &stored.totals;
    if (!arena_text(listing->arena, sku, &row->sku))
        return STORE_FAILED;
    row->version = totals->version;
    row->available = totals->available;
    row->batches = totals->batches;
    *bytes = sizeof *row + sku.len;
    return STORE_OK;
}

static enum store_result products_(struct reader *reader, const struct list_products *query,
                                   struct arena *arena, struct product_page *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    struct listing listing = {.store = store, .arena = arena};
    const struct key no_prefix = {.len = 0};
    enum store_result result = begin_read(store, &listing.txn);
    if (result == STORE_OK)
        result = read_listing(&listing, store->env.products, &no_prefix, query->after, query->limit,
                              listed_product, sizeof *out->rows);
    if (result == STORE_OK)
        *out = (struct product_page){listing.rows, listing.count, listing.next};
    return result;
}

/* ---- events ---- */

/* STORE_NOT_FOUND: the query does not want it. */
static enum store_result event_row(struct lmdb_store *store, const struct get_events *query,
                                   uint64_t seq, struct text value, struct arena *arena,
                                   struct event_view *row)
{
    struct logged_event logged;
    if (!record_get_event(seq, value, &logged))
        return STORE_DAMAGED;
    if (query->types != 0 && (query->types & type_bit(logged.type)) == 0)
        return STORE_NOT_FOUND;
    if (!text_is_none(query->sku)) {
        struct event event;
        if (!lmdb_log_decode(store, seq, &logged, &event))
            return STORE_DAMAGED;
        if (!text_equal(event.sku, query->sku))
            return STORE_NOT_FOUND;
    }
    row->seq = seq;
    return arena_text(arena, logged.body, &row->body) ? STORE_OK : STORE_FAILED;
}

static enum store_result read_events(struct lmdb_store *store, MDB_txn *txn,
                                     const struct get_events *query, struct arena *arena,
                                     struct event_page *out)
{
    struct page page = page_of(store, query->limit);
    uint64_t seq = query->after;
    struct lmdb_walk walk;
    uint64_t from = seq + 1;
    enum store_result result = lmdb_walk_begin(&walk, txn, store->env.events,
                                               (struct text){(const char *)&from, sizeof from});
    while (result == STORE_OK && seq < out->head && page_has_room(&page)) {
        result = lmdb_walk_next(&walk);
        if (result == STORE_OK && memcmp(walk.key.data, &(uint64_t){seq + 1}, sizeof seq) != 0)
            result = STORE_DAMAGED;
        if (result != STORE_OK)
            break;
        seq++;
        page.looked_at++;
        out->rows = arena_grow(arena, out->rows, out->count, &page.capacity, sizeof *out->rows);
        if (out->rows == NULL) {
            result = STORE_FAILED;
            break;
        }
        struct event_view *row = &out->rows[out->count];
        result = event_row(store, query, seq, walk.value, arena, row);
        if (result == STORE_OK) {
            out->count++;
            page_took(&page, sizeof *row + row->body.len);
        } else if (result == STORE_NOT_FOUND) {
            result = STORE_OK;
        }
    }
    lmdb_walk_end(&walk);
    out->next = seq < out->head ? seq : 0;
    return result == STORE_NOT_FOUND ? STORE_DAMAGED : result; /* the log has no gap */
}

static enum store_result events_(struct reader *reader, const struct get_events *query,
                                 struct arena *arena, struct event_page *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    uint64_t head = store->meta.last_seq;
    struct event_page page = {.head = head, .first = head > 0 ? 1 : 0};
    MDB_txn *txn;
    enum store_result result = begin_read(store, &txn);
    if (result == STORE_OK && query->after < head)
        result = read_events(store, txn, query, arena, &page);
    if (result == STORE_OK)
        *out = page;
    return result;
}

static enum store_result figures(struct reader *reader, struct store_figures *out)
{
    const struct lmdb_store *store = store_of_reader(reader);
    *out = (struct store_figures){.seq = store->meta.last_seq,
                                  .products = store->meta.products,
                                  .waiting_lines = store->meta.waiting_lines,
                                  .bytes = lmdb_env_bytes(&store->env),
                                  .events_behind = store->meta.last_seq - store->meta.folded_seq};
    return STORE_OK;
}

const struct reader_ops lmdb_reader_ops = {
    .lines = lines_,
    .stock = stock_,
    .batches = batches_,
    .batch = batch_,
    .products = products_,
    .events = events_,
    .figures = figures,
};
