/* CQRS: the view of allocations (lines by order) follows its events, within the transaction. */
#include "bus/handling.h"

#include "domain/base/crash_point.h"

enum store_result on_line_moved(struct handling *h, struct product *product,
                                const struct event *event)
{
    (void)product;
    CRASH_POINT(before_line_moves);
    return unit_project(h->parts.unit, event);
}
