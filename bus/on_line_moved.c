/* CQRS: the view of allocations (lines by order) follows its events, within the transaction. */
#include "bus/handling.h"

enum store_result on_line_moved(struct handling *h, struct product *product,
                                const struct event *event)
{
    (void)product;
    return unit_project(h->parts.unit, event);
}
