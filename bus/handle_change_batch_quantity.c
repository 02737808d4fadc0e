#include "bus/handling.h"

/* Rule 6: the lines that lost their stock are allocated anew, the oldest first. They are decided
 * on newest first, so from the last Deallocated to the first. */
static enum store_result require_allocations(struct handling *h, struct product *product,
                                             const struct order_line *lines, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        struct event required = {.type = MESSAGE_ALLOCATION_REQUIRED};
        required.as.allocation_required.orderid = lines[i - 1].orderid;
        required.as.allocation_required.qty = lines[i - 1].qty;
        enum store_result result = handling_raise(h, product, &required);
        if (result != STORE_OK)
            return result;
    }
    return STORE_OK;
}

enum store_result handle_change_batch_quantity(struct handling *h,
                                               const struct change_batch_quantity *command)
{
    struct product *product = NULL;
    const struct batch *batch = NULL;
    enum store_result result = unit_batch(h->parts.unit, command->ref, &product, &batch);
    if (result == STORE_NOT_FOUND)
        return handling_refuse(h, OUTCOME_UNKNOWN_BATCH);
    if (result != STORE_OK)
        return result;

    struct order_line *displaced = NULL;
    size_t displaced_count = 0;
    uint32_t units = product_units_to_displace(batch, command->qty);
    if (units > 0)
        result =
            unit_newest_lines(h->parts.unit, product, batch, units, &displaced, &displaced_count);
    if (result != STORE_OK)
        return result;

    enum outcome outcome =
        product_change_batch_quantity(product, command, displaced, displaced_count, &h->decided);
    bool changes = h->decided.count > 0;
    result = handling_conclude(h, product, outcome);
    if (result == STORE_OK && changes)
        result = require_allocations(h, product, displaced, displaced_count);
    if (result == STORE_OK && changes)
        result = handling_raise(h, product, &(struct event){.type = MESSAGE_STOCK_GREW});
    return result;
}
