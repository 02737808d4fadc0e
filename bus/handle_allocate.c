/* A line finds its batch: one that is new, and one that lost its stock or waits for it. */
#include "bus/handling.h"

enum store_result handle_allocate(struct handling *h, const struct allocate *command)
{
    struct product *product = NULL;
    struct order_line line;
    const struct order_line *existing = NULL;
    enum store_result result =
        handling_find_line(h, command->orderid, command->sku, &product, &line, &existing);
    if (result == STORE_NOT_FOUND)
        return handling_refuse(h, OUTCOME_INVALID_SKU);
    if (result != STORE_OK)
        return result;

    enum outcome outcome =
        product_allocate(product, command, existing, &h->reply->batchref, &h->decided);
    return handling_conclude(h, product, outcome);
}

enum store_result on_allocation_required(struct handling *h, struct product *product,
                                         const struct event *event)
{
    const struct allocation_required *required = &event->as.allocation_required;
    struct waiting_line line = {required->orderid, required->qty, event->line_seq};
    if (product_reallocate(product, &line, &h->decided) == OUTCOME_STORAGE_FAILED)
        return STORE_FAILED;
    return handling_record(h, product);
}
