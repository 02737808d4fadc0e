#include "bus/handling.h"

enum store_result handle_change_batch_eta(struct handling *h,
                                          const struct change_batch_eta *command)
{
    struct product *product = NULL;
    const struct batch *batch = NULL;
    enum store_result result = unit_batch(h->parts.unit, command->ref, &product, &batch);
    if (result == STORE_NOT_FOUND)
        return handling_refuse(h, OUTCOME_UNKNOWN_BATCH);
    if (result != STORE_OK)
        return result;
    return handling_conclude(h, product, product_change_batch_eta(product, command, &h->decided));
}
