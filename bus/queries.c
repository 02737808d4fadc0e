/* Queries: each asks the reader for a view, and never the model (CQRS). */
#include "bus/handling.h"

/* What was not found is a refusal; everything else is the store's word. */
static enum store_result answered(struct handling *h, enum store_result result,
                                  enum outcome not_found)
{
    return result == STORE_NOT_FOUND ? handling_refuse(h, not_found) : result;
}

#define READ(h, function, query, member)                                                           \
    (h)->parts.reader->ops->function((h)->parts.reader, query, (h)->arena, &(h)->reply->as.member)

/* However many pages a group of requests asks for, its commands do not wait for them long: each
 * page may take half of the time that the ones before it have left over. */
static void begin_page(struct handling *h)
{
    struct reader *reader = h->parts.reader;
    uint64_t left_us = h->queries_us < GROUP_QUERIES_US ? GROUP_QUERIES_US - h->queries_us : 0;
    reader->clock = h->parts.clock;
    h->page_began_us = reader->clock->monotonic_us(reader->clock);
    reader->page_ends_us = h->page_began_us + left_us / 2;
}

static enum store_result end_page(struct handling *h, enum store_result result)
{
    struct clock *clock = h->parts.clock;
    h->parts.reader->clock = NULL;
    h->queries_us += clock->monotonic_us(clock) - h->page_began_us;
    return result;
}

#define STOCK_BATCHES_PER_US 8u

#define READ_PAGE(h, function, query, member)                                                      \
    (begin_page(h), end_page(h, READ(h, function, query, member)))

enum store_result handle_get_allocations(struct handling *h, const struct get_allocations *query)
{
    return answered(h, READ_PAGE(h, lines, query, lines), OUTCOME_UNKNOWN_ORDER);
}

/* It is not cut by time, so what it took is put down by what it tells. */
enum store_result handle_get_stock(struct handling *h, const struct get_stock *query)
{
    enum store_result result = READ(h, stock, query, stock);
    if (result == STORE_OK)
        h->queries_us += 1 + h->reply->as.stock.batch_count / STOCK_BATCHES_PER_US;
    return answered(h, result, OUTCOME_INVALID_SKU);
}

enum store_result handle_list_batches(struct handling *h, const struct list_batches *query)
{
    return answered(h, READ_PAGE(h, batches, query, batches), OUTCOME_INVALID_SKU);
}

enum store_result handle_get_batch(struct handling *h, const struct get_batch *query)
{
    return answered(h, READ(h, batch, query, batch), OUTCOME_UNKNOWN_BATCH);
}

enum store_result handle_list_products(struct handling *h, const struct list_products *query)
{
    return READ_PAGE(h, products, query, products);
}

enum store_result handle_get_events(struct handling *h, const struct get_events *query)
{
    return READ_PAGE(h, events, query, events);
}

enum store_result handle_get_stats(struct handling *h, const struct get_stats *query)
{
    (void)query;
    struct store_figures figures;
    enum store_result result = h->parts.reader->ops->figures(h->parts.reader, &figures);
    if (result != STORE_OK)
        return result;
    struct stats *stats = &h->reply->as.stats;
    *stats = *h->parts.stats;
    stats->seq = figures.seq;
    stats->products = figures.products;
    stats->waiting_lines = figures.waiting_lines;
    stats->store_bytes = figures.bytes;
    stats->events_behind = figures.events_behind;
    return STORE_OK;
}

enum store_result handle_ping(struct handling *h, const struct ping *query)
{
    (void)h;
    (void)query;
    return STORE_OK;
}
