#include "bus/handling.h"

enum store_result handle_deallocate(struct handling *h, const struct deallocate *command)
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

    enum outcome outcome = product_deallocate(existing, &h->decided);
    result = handling_conclude(h, product, outcome);
    if (result == STORE_OK && outcome == OUTCOME_DONE)
        result = handling_raise(h, product, &(struct event){.type = MESSAGE_STOCK_GREW});
    return result;
}
