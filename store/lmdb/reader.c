/* The reader: queries over the tables and the journal. While a unit is open they see what it has
 * done. */
#include "store/lmdb/inside.h"

#include <assert.h>

/* Catches up. Within a unit that is done. */
static enum store_result begin_read(struct lmdb_store *store)
{
    if (store->unit.is_open)
        return STORE_OK;
    return store_catch_up(store);
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

/* Whether the walk is at the very name behind which a page begins, which it has not to show. */
static bool is_at(const struct table_walk *walk, struct text after)
{
    return !text_is_none(after) && text_equal(table_walk_rest(walk), after);
}

/* What a page is made of: the query's parts, and the rows that come of them. */
struct listing {
    struct lmdb_store *store;
    struct arena *arena;
    struct text sku; /* of the product whose batches are listed */
    struct product_record product;
    void *rows;
    size_t count;
    struct text next; /* the last row's name, where more remain */
};

/* Fills a row, whose first member is its name, from a record. *bytes is what it takes. */
typedef enum store_result make_row(const struct listing *listing, const struct table_walk *walk,
                                   void *row, size_t *bytes);

/* The rows of keys prefix + X, with X > after. */
static enum store_result read_listing(struct listing *listing, enum table table,
                                      const struct key *prefix, struct text after, uint32_t limit,
                                      make_row *make, size_t row_size)
{
    struct table_walk walk;
    struct page page = page_of(listing->store, limit);
    enum store_result result =
        table_walk_begin(&walk, &listing->store->tables, table, prefix, after);
    while (result == STORE_OK && (result = table_walk_next(&walk)) == STORE_OK) {
        if (is_at(&walk, after))
            continue;
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
        result = make(listing, &walk, row, &bytes);
        listing->count++;
        page.looked_at++;
        page_took(&page, bytes);
    }
    table_walk_end(&walk);
    return result == STORE_NOT_FOUND ? STORE_OK : result;
}

_Static_assert(offsetof(struct line_view, sku) == 0 && offsetof(struct batch_view, ref) == 0 &&
                   offsetof(struct product_view, sku) == 0,
               "a row begins with its name");

/* ---- GetAllocations ---- */

static enum store_result line_row(const struct listing *listing, const struct table_walk *walk,
                                  void *out, size_t *bytes)
{
    struct line_view *row = out;
    struct order_line line;
    struct text sku = table_walk_rest(walk);
    if (!record_get_line(walk->key, walk->value, &line) || sku.len > SKU_MAX_BYTES)
        return STORE_DAMAGED;
    *row = (struct line_view){.qty = line.qty};
    *bytes = sizeof *row + sku.len + line.batchref.len;
    bool copied = arena_text(listing->arena, sku, &row->sku) &&
                  arena_text(listing->arena, line.batchref, &row->batchref);
    return copied ? STORE_OK : STORE_FAILED;
}

/* Whether the order has any line, where a page shows none. */
static enum store_result find_order(const struct lmdb_store *store, struct text orderid)
{
    struct key prefix = key_prefix(orderid);
    struct table_walk walk;
    enum store_result result =
        table_walk_begin(&walk, &store->tables, TABLE_LINES, &prefix, text_none());
    if (result == STORE_OK)
        result = table_walk_next(&walk);
    table_walk_end(&walk);
    return result;
}

static enum store_result lines_(struct reader *reader, const struct get_allocations *query,
                                struct arena *arena, struct line_page *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    struct listing listing = {.store = store, .arena = arena};
    struct key prefix = key_prefix(query->orderid);
    enum store_result result = begin_read(store);
    if (result == STORE_OK)
        result = read_listing(&listing, TABLE_LINES, &prefix, query->after, query->limit, line_row,
                              sizeof *out->rows);
    if (result == STORE_OK && listing.count == 0)
        result = find_order(store, query->orderid);
    if (result == STORE_OK)
        *out = (struct line_page){listing.rows, listing.count, listing.next};
    return result;
}

/* ---- products and batches ---- */

/* Its totals, and what it carries. The ref is the table's. */
static enum store_result get_product(const struct lmdb_store *store, struct text sku,
                                     struct product_record *out)
{
    struct key key = key_of(sku);
    struct text value;
    enum store_result result = tables_get(&store->tables, TABLE_PRODUCTS, key_text(&key), &value);
    if (result == STORE_OK && !record_get_product(key_text(&key), value, out))
        result = STORE_DAMAGED;
    return result;
}

static struct batch_view view_of(const struct batch *batch, struct text ref, struct text sku)
{
    return (struct batch_view){ref, sku, batch->qty, batch_available(batch), batch->eta};
}

static bool is_carried(const struct batch *carried, struct text ref)
{
    return !text_is_none(carried->ref) && text_equal(carried->ref, ref);
}

/* A batch that must be there, with its ref copied into the arena. */
static enum store_result batch_row(const struct lmdb_store *store, struct text sku, struct text ref,
                                   const struct batch *carried, struct arena *arena,
                                   struct batch_view *row)
{
    struct key key = key_of_two(sku, ref);
    struct text value;
    struct batch batch;
    struct text copy;
    if (!arena_text(arena, ref, &copy))
        return STORE_FAILED;
    if (is_carried(carried, ref)) {
        *row = view_of(carried, copy, sku);
        return STORE_OK;
    }
    enum store_result result = tables_get(&store->tables, TABLE_BATCHES, key_text(&key), &value);
    if (result != STORE_OK || !record_get_batch(key_text(&key), value, &batch))
        return STORE_DAMAGED;
    *row = view_of(&batch, copy, sku);
    return STORE_OK;
}

/* The batches with stock, in their order of use. */
static enum store_result batches_in_use(const struct lmdb_store *store, const struct batch *carried,
                                        size_t shown, struct arena *arena, struct stock_view *out)
{
    struct key prefix = key_prefix(out->sku);
    struct table_walk walk;
    enum store_result result =
        table_walk_begin(&walk, &store->tables, TABLE_USE, &prefix, text_none());
    while (result == STORE_OK && out->batch_count < shown &&
           (result = table_walk_next(&walk)) == STORE_OK) {
        struct text ref;
        if (record_get_text(walk.key, walk.value, &ref) && ref.len <= REF_MAX_BYTES)
            result =
                batch_row(store, out->sku, ref, carried, arena, &out->batches[out->batch_count++]);
        else
            result = STORE_DAMAGED;
    }
    table_walk_end(&walk);
    return result == STORE_NOT_FOUND ? STORE_DAMAGED : result; /* the totals say that there are */
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

static enum store_result read_stock(const struct lmdb_store *store, struct text sku,
                                    struct arena *arena, struct stock_view *out)
{
    const struct product *in_memory = product_in_memory(store, sku);
    struct product_record stored;
    const struct product_totals *totals = &stored.totals;
    enum store_result result = STORE_OK;
    if (in_memory != NULL)
        totals = product_totals(in_memory);
    else
        result = get_product(store, sku, &stored);
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
                             : batches_in_use(store, &stored.carried, shown, arena, out);
}

static enum store_result stock_(struct reader *reader, const struct get_stock *query,
                                struct arena *arena, struct stock_view *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    struct stock_view view;
    enum store_result result = begin_read(store);
    if (result == STORE_OK)
        result = read_stock(store, query->sku, arena, &view);
    if (result == STORE_OK)
        *out = view;
    return result;
}

static enum store_result listed_batch(const struct listing *listing, const struct table_walk *walk,
                                      void *row, size_t *bytes)
{
    struct batch batch;
    struct text ref = table_walk_rest(walk);
    struct text copy;
    if (!record_get_batch(walk->key, walk->value, &batch))
        return STORE_DAMAGED;
    if (!arena_text(listing->arena, ref, &copy))
        return STORE_FAILED;
    const struct batch *carried = &listing->product.carried;
    *(struct batch_view *)row =
        view_of(is_carried(carried, ref) ? carried : &batch, copy, listing->sku);
    *bytes = sizeof(struct batch_view) + ref.len;
    return STORE_OK;
}

static enum store_result batches_(struct reader *reader, const struct list_batches *query,
                                  struct arena *arena, struct batch_page *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    struct listing listing = {.store = store, .arena = arena, .sku = query->sku};
    struct key prefix = key_prefix(query->sku);
    enum store_result result = begin_read(store);
    if (result == STORE_OK)
        result = get_product(store, query->sku, &listing.product);
    if (result == STORE_OK)
        result = read_listing(&listing, TABLE_BATCHES, &prefix, query->after, query->limit,
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
    enum store_result result = begin_read(store);
    if (result == STORE_OK)
        result = tables_get(&store->tables, TABLE_REFS, key_text(&key), &value);
    bool is_known = result == STORE_OK;
    if (result == STORE_OK &&
        !(record_get_text(key_text(&key), value, &sku) && sku.len <= SKU_MAX_BYTES))
        result = STORE_DAMAGED;
    if (result == STORE_OK && !arena_text(arena, sku, &sku))
        result = STORE_FAILED;
    if (result == STORE_OK)
        result = get_product(store, sku, &product);
    if (result == STORE_OK)
        result = batch_row(store, sku, query->ref, &product.carried, arena, out);
    else if (result == STORE_NOT_FOUND && is_known)
        result = STORE_DAMAGED;
    return result;
}

static enum store_result listed_product(const struct listing *listing,
                                        const struct table_walk *walk, void *out, size_t *bytes)
{
    struct product_view *row = out;
    struct product_record stored;
    if (!record_get_product(walk->key, walk->value, &stored))
        return STORE_DAMAGED;
    if (!arena_text(listing->arena, walk->key, &row->sku))
        return STORE_FAILED;
    row->version = stored.totals.version;
    row->available = stored.totals.available;
    row->batches = stored.totals.batches;
    *bytes = sizeof *row + row->sku.len;
    return STORE_OK;
}

static enum store_result products_(struct reader *reader, const struct list_products *query,
                                   struct arena *arena, struct product_page *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    struct listing listing = {.store = store, .arena = arena};
    const struct key no_prefix = {.len = 0};
    enum store_result result = begin_read(store);
    if (result == STORE_OK)
        result = read_listing(&listing, TABLE_PRODUCTS, &no_prefix, query->after, query->limit,
                              listed_product, sizeof *out->rows);
    if (result == STORE_OK)
        *out = (struct product_page){listing.rows, listing.count, listing.next};
    return result;
}

/* ---- events ---- */

/* A page of events on its way. */
struct event_listing {
    struct lmdb_store *store;
    const struct get_events *query;
    struct arena *arena;
    struct page page;
    struct event_page out;
    uint64_t seq; /* looked at last */
};

static enum store_result is_wanted(struct event_listing *listing, uint64_t seq, struct text body,
                                   bool *wanted)
{
    const struct get_events *query = listing->query;
    struct event event;
    *wanted = true;
    if (query->types == 0 && text_is_none(query->sku))
        return STORE_OK;
    if (!codec_decode_event(listing->store->codec, body, &event) || event.seq != seq)
        return STORE_DAMAGED;
    *wanted = (query->types == 0 || (query->types & type_bit(event.type)) != 0) &&
              (text_is_none(query->sku) || text_equal(event.sku, query->sku));
    return STORE_OK;
}

static enum store_result list_event(struct event_listing *listing, uint64_t seq, struct text body)
{
    struct event_page *out = &listing->out;
    bool wanted;
    enum store_result result = is_wanted(listing, seq, body, &wanted);
    if (result != STORE_OK || !wanted)
        return result;
    out->rows = arena_grow(listing->arena, out->rows, out->count, &listing->page.capacity,
                           sizeof *out->rows);
    if (out->rows == NULL)
        return STORE_FAILED;
    struct event_view *row = &out->rows[out->count];
    row->seq = seq;
    if (!arena_text(listing->arena, body, &row->body))
        return STORE_FAILED;
    out->count++;
    page_took(&listing->page, sizeof *row + row->body.len);
    return STORE_OK;
}

/* The events of an entry, the first of which has that seq, as far as the page has room. */
static enum store_result list_entry(struct event_listing *listing, uint64_t seq, struct text rest)
{
    struct entry_item item;
    enum store_result result = STORE_OK;
    while (result == STORE_OK && rest.len > 0 && page_has_room(&listing->page)) {
        if (!entry_next(&rest, &item))
            return STORE_DAMAGED;
        if (item.kind != ENTRY_EVENT)
            continue;
        if (seq > listing->seq) {
            listing->page.looked_at++;
            result = list_event(listing, seq, item.as.event.body);
            listing->seq = seq;
        }
        seq++;
    }
    return result;
}

static uint64_t submitted_seq(const struct lmdb_store *store)
{
    return store->meta.last_seq - (store->unit.is_open ? store->open->events : 0);
}

static enum store_result list_journal(struct event_listing *listing)
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    struct lmdb_store *store = listing->store;
    enum store_result result = store_noted(
        store, journal_read_begin(store->journal, JOURNAL_BY_SEQ, listing->seq + 1, &cursor));
    while (result == STORE_OK && listing->seq < submitted_seq(store) &&
           page_has_room(&listing->page)) {
        result = store_noted(store, journal_read_next(cursor, &entry));
        if (result == STORE_OK)
            result = list_entry(listing, entry.first_seq, entry.body);
    }
    journal_read_end(&cursor);
    return result == STORE_NOT_FOUND ? STORE_DAMAGED : result; /* it has them all */
}

/* What is in the journal, that of a unit under way counted, and behind it what the open one did. */
static enum store_result read_events(struct event_listing *listing)
{
    const struct lmdb_store *store = listing->store;
    uint64_t submitted = submitted_seq(store);
    enum store_result result = STORE_OK;
    if (listing->seq < submitted)
        result = list_journal(listing);
    if (result == STORE_OK && listing->seq >= submitted && store->unit.is_open)
        result = list_entry(listing, submitted + 1, entry_text(&store->open->entry));
    return result;
}

static enum store_result events_(struct reader *reader, const struct get_events *query,
                                 struct arena *arena, struct event_page *out)
{
    struct lmdb_store *store = store_of_reader(reader);
    enum store_result result = begin_read(store);
    uint64_t head = store->meta.last_seq;
    struct event_listing listing = {.store = store,
                                    .query = query,
                                    .arena = arena,
                                    .page = page_of(store, query->limit),
                                    .out = {.head = head, .first = head > 0 ? 1 : 0},
                                    .seq = query->after};
    if (result == STORE_OK && query->after < head)
        result = read_events(&listing);
    if (result != STORE_OK)
        return result;
    *out = listing.out;
    out->next = listing.seq < head ? listing.seq : 0;
    return STORE_OK;
}

static enum store_result figures(struct reader *reader, struct store_figures *out)
{
    const struct lmdb_store *store = store_of_reader(reader);
    uint64_t projected = store->projected.last_seq;
    *out = (struct store_figures){.seq = store->meta.last_seq,
                                  .products = store->meta.products,
                                  .waiting_lines = store->meta.waiting_lines,
                                  .bytes = journal_bytes(store->journal) +
                                           lmdb_env_bytes(&store->tables.env),
                                  .events_behind = store->meta.last_seq - projected};
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
