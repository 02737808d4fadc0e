/* Rule 7: lines that wait are tried again, in the order in which they began to wait. */
#include "bus/handling.h"

/* Serves one line and comes back for the next one: what the first one takes, the next cannot have.
 * Stock only shrinks meanwhile, so a line that was passed over does not fit later either. */
enum store_result on_stock_grew(struct handling *h, struct product *product,
                                const struct event *event)
{
    struct waiting_line line;
    if (!product_next_servable(product, event->line_seq, &line))
        return STORE_OK;

    struct event required = {.type = MESSAGE_ALLOCATION_REQUIRED, .line_seq = line.seq};
    required.as.allocation_required.qty = line.qty;
    /* The product forgets the line as soon as it is served. */
    if (!arena_text(h->arena, line.orderid, &required.as.allocation_required.orderid))
        return STORE_FAILED;
    enum store_result result = handling_raise(h, product, &required);
    if (result == STORE_OK)
        result = handling_raise(h, product,
                                &(struct event){.type = MESSAGE_STOCK_GREW, .line_seq = line.seq});
    return result;
}
