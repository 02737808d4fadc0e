#include "bus/handling.h"

static enum store_result product_of(struct handling *h, struct text sku, struct product **out)
{
    enum store_result result = unit_product(h->parts.unit, sku, out);
    if (result == STORE_NOT_FOUND) /* rule 5: it comes to be with its first batch */
        result = unit_add_product(h->parts.unit, sku, out);
    return result;
}

enum store_result handle_create_batch(struct handling *h, const struct create_batch *command)
{
    struct product *owner = NULL;
    const struct batch *existing = NULL;
    struct text owner_sku = text_none();
    enum store_result result = unit_batch(h->parts.unit, command->ref, &owner, &existing);
    if (result == STORE_OK)
        owner_sku = product_sku(owner);
    else if (result != STORE_NOT_FOUND)
        return result;

    enum outcome outcome = product_create_batch(command, existing, owner_sku, &h->decided);
    if (h->decided.count == 0)
        return handling_conclude(h, owner, outcome);
    struct product *product = NULL;
    result = product_of(h, command->sku, &product);
    if (result == STORE_OK)
        result = handling_conclude(h, product, outcome);
    if (result == STORE_OK)
        result = handling_raise(h, product, &(struct event){.type = MESSAGE_STOCK_GREW});
    return result;
}
