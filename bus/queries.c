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

enum store_result handle_get_allocations(struct handling *h, const struct get_allocations *query)
{
    return answered(h, READ(h, lines, query, lines), OUTCOME_UNKNOWN_ORDER);
}

enum store_result handle_get_stock(struct handling *h, const struct get_stock *query)
{
    return answered(h, READ(h, stock, query, stock), OUTCOME_INVALID_SKU);
}

enum store_result handle_list_batches(struct handling *h, const struct list_batches *query)
{
    return answered(h, READ(h, batches, query, batches), OUTCOME_INVALID_SKU);
}

enum store_result handle_get_batch(struct handling *h, const struct get_batch *query)
{
    return answered(h, READ(h, batch, query, batch), OUTCOME_UNKNOWN_BATCH);
}

enum store_result handle_list_products(struct handling *h, const struct list_products *query)
{
    return READ(h, products, query, products);
}

enum store_result handle_get_events(struct handling *h, const struct get_events *query)
{
    return READ(h, events, query, events);
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
    return STORE_OK;
}

enum store_result handle_ping(struct handling *h, const struct ping *query)
{
    (void)h;
    (void)query;
    return STORE_OK;
}
