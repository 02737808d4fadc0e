/* The reader of the memory store. */
#include "tests/support/memory_store/inside.h"

/* ---- pages of a table ---- */

/* Writes the row of an entry, with its texts in the arena. False: no memory. */
typedef bool fill_row(struct arena *arena, const struct memory_entry *entry, void *row);

struct page {
    const struct reader *reader;
    void *rows;
    size_t count;
    struct text next;
};

/* How many entries from `at` on have that `first`; `most` at most. */
static size_t count_entries(const struct memory_table *table, size_t at, struct text first,
                            size_t most)
{
    size_t count = 0;
    while (count < most && at + count < table->count &&
           text_equal(table->entries[at + count].first, first))
        count++;
    return count;
}

/* The entries with that `first` and a `second` beyond `after`, as rows. Requires: *out has its
 * reader. */
static enum store_result read_page(const struct memory_table *table, struct text first,
                                   struct text after, size_t limit, struct arena *arena,
                                   fill_row *fill, size_t row_size, struct page *out)
{
    size_t at = memory_table_after(table, first, after);
    size_t there = count_entries(table, at, first, limit + 1);
    size_t room = there < limit ? there : limit;
    struct page page = {
        .reader = out->reader, .rows = arena_alloc(arena, room * row_size), .next = text_none()};
    if (page.rows == NULL)
        return STORE_FAILED;
    size_t start = arena_used(arena);
    for (; page.count < room; page.count++) {
        if (arena_used(arena) - start + page.count * row_size >= PAGE_BYTES_MAX ||
            reader_is_late(page.reader, page.count))
            break;
        void *row = (char *)page.rows + page.count * row_size;
        if (!fill(arena, &table->entries[at + page.count], row))
            return STORE_FAILED;
    }
    if (page.count < there &&
        !arena_text(arena, table->entries[at + page.count - 1].second, &page.next))
        return STORE_FAILED;
    *out = page;
    return STORE_OK;
}

static bool fill_line(struct arena *arena, const struct memory_entry *entry, void *row)
{
    const struct memory_record *record = entry->value;
    struct order_line line = effect_of(&record->event).line;
    struct line_view *view = row;
    view->qty = line.qty;
    return arena_text(arena, line.sku, &view->sku) &&
           arena_text(arena, line.batchref, &view->batchref);
}

static bool fill_batch(struct arena *arena, const struct batch *batch, struct text sku,
                       struct batch_view *view)
{
    view->qty = batch->qty;
    view->available = batch_available(batch);
    view->eta = batch->eta;
    return arena_text(arena, batch->ref, &view->ref) && arena_text(arena, sku, &view->sku);
}

/* Of an entry (sku, ref). */
static bool fill_product_batch(struct arena *arena, const struct memory_entry *entry, void *row)
{
    return fill_batch(arena, product_batch(entry->value, entry->second), entry->first, row);
}

static bool fill_product(struct arena *arena, const struct memory_entry *entry, void *row)
{
    const struct product_totals *totals = product_totals(entry->value);
    struct product_view *view = row;
    view->version = totals->version;
    view->available = totals->available;
    view->batches = totals->batches;
    return arena_text(arena, entry->second, &view->sku);
}

static enum store_result read_lines(struct reader *reader, const struct get_allocations *query,
                                    struct arena *arena, struct line_page *out)
{
    const struct memory_table *lines = &memory_store_of_reader(reader)->state.lines;
    size_t at = memory_table_after(lines, query->orderid, text_none());
    if (count_entries(lines, at, query->orderid, 1) == 0)
        return STORE_NOT_FOUND;
    struct page page = {.reader = reader};
    enum store_result result = read_page(lines, query->orderid, query->after, query->limit, arena,
                                         fill_line, sizeof *out->rows, &page);
    if (result == STORE_OK)
        *out = (struct line_page){page.rows, page.count, page.next};
    return result;
}

static enum store_result read_batches(struct reader *reader, const struct list_batches *query,
                                      struct arena *arena, struct batch_page *out)
{
    const struct memory_state *state = &memory_store_of_reader(reader)->state;
    if (memory_state_product(state, query->sku) == NULL)
        return STORE_NOT_FOUND;
    struct page page = {.reader = reader};
    enum store_result result =
        read_page(&state->product_batches, query->sku, query->after, query->limit, arena,
                  fill_product_batch, sizeof *out->rows, &page);
    if (result == STORE_OK)
        *out = (struct batch_page){page.rows, page.count, page.next};
    return result;
}

static enum store_result read_products(struct reader *reader, const struct list_products *query,
                                       struct arena *arena, struct product_page *out)
{
    const struct memory_table *products = &memory_store_of_reader(reader)->state.products;
    struct page page = {.reader = reader};
    enum store_result result = read_page(products, text_empty(), query->after, query->limit, arena,
                                         fill_product, sizeof *out->rows, &page);
    if (result == STORE_OK)
        *out = (struct product_page){page.rows, page.count, page.next};
    return result;
}

/* ---- single ones ---- */

static enum store_result read_stock(struct reader *reader, const struct get_stock *query,
                                    struct arena *arena, struct stock_view *out)
{
    const struct memory_state *state = &memory_store_of_reader(reader)->state;
    const struct product *product = memory_state_product(state, query->sku);
    if (product == NULL)
        return STORE_NOT_FOUND;
    const struct product_totals *totals = product_totals(product);
    struct stock_view view = {.version = totals->version,
                              .available = totals->available,
                              .exhausted = totals->batches - totals->open};
    size_t room = totals->open < STOCK_BATCHES_MAX ? totals->open : STOCK_BATCHES_MAX;
    view.batches = arena_alloc(arena, room * sizeof *view.batches);
    if (view.batches == NULL || !arena_text(arena, query->sku, &view.sku))
        return STORE_FAILED;
    const struct batch *batch = product_next_batch(product, NULL);
    for (; view.batch_count < room; view.batch_count++) {
        if (!fill_batch(arena, batch, view.sku, &view.batches[view.batch_count]))
            return STORE_FAILED;
        batch = product_next_batch(product, batch);
    }
    *out = view;
    return STORE_OK;
}

static enum store_result read_batch(struct reader *reader, const struct get_batch *query,
                                    struct arena *arena, struct batch_view *out)
{
    const struct memory_state *state = &memory_store_of_reader(reader)->state;
    const struct product *product = memory_table_find(&state->batches, text_empty(), query->ref);
    if (product == NULL)
        return STORE_NOT_FOUND;
    struct batch_view view;
    if (!fill_batch(arena, product_batch(product, query->ref), product_sku(product), &view))
        return STORE_FAILED;
    *out = view;
    return STORE_OK;
}

static enum store_result read_figures(struct reader *reader, struct store_figures *out)
{
    const struct memory_store *store = memory_store_of_reader(reader);
    struct store_figures figures = {.seq = store->records.count,
                                    .products = store->state.products.count};
    for (size_t i = 0; i < store->state.products.count; i++)
        figures.waiting_lines += product_totals(store->state.products.entries[i].value)->waiting;
    for (uint64_t seq = 1; seq <= figures.seq; seq++)
        figures.bytes += memory_record_at(store, seq)->body.len;
    *out = figures;
    return STORE_OK;
}

/* ---- events ---- */

static bool is_wanted(const struct get_events *query, const struct event *event)
{
    bool type_wanted = query->types == 0 || (query->types & type_bit(event->type)) != 0;
    return type_wanted && (text_is_none(query->sku) || text_equal(query->sku, event->sku));
}

/* Fills the page with what is wanted beyond query->after. */
static enum store_result fill_events(const struct memory_store *store,
                                     const struct get_events *query, struct arena *arena,
                                     struct event_page *page)
{
    uint64_t seq = query->after;
    size_t start = arena_used(arena);
    for (uint64_t looked_at = 0; seq < page->head && looked_at < PAGE_SCAN_MAX; looked_at++) {
        if (page->count == query->limit || arena_used(arena) - start >= PAGE_BYTES_MAX ||
            reader_is_late(&store->reader, looked_at))
            break;
        const struct memory_record *record = memory_record_at(store, ++seq);
        if (!is_wanted(query, &record->event))
            continue;
        struct event_view *row = &page->rows[page->count++];
        row->seq = seq;
        if (!arena_text(arena, record->body, &row->body))
            return STORE_FAILED;
    }
    page->next = seq < page->head ? seq : 0;
    return STORE_OK;
}

static enum store_result read_events(struct reader *reader, const struct get_events *query,
                                     struct arena *arena, struct event_page *out)
{
    const struct memory_store *store = memory_store_of_reader(reader);
    struct event_page page = {.head = store->records.count, .first = store->records.count > 0};
    uint64_t there = query->after < page.head ? page.head - query->after : 0;
    bool known =
        text_is_none(query->sku) || memory_state_product(&store->state, query->sku) != NULL;
    if (!known)
        there = 0;
    page.rows =
        arena_alloc(arena, (there < query->limit ? there : query->limit) * sizeof *page.rows);
    if (page.rows == NULL)
        return STORE_FAILED;
    enum store_result result = STORE_OK;
    if (there > 0)
        result = fill_events(store, query, arena, &page);
    if (result == STORE_OK)
        *out = page;
    return result;
}

const struct reader_ops memory_reader_ops = {
    .lines = read_lines,
    .stock = read_stock,
    .batches = read_batches,
    .batch = read_batch,
    .products = read_products,
    .events = read_events,
    .figures = read_figures,
};
