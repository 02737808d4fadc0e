#include "bus/handling.h"

bool on_out_of_stock(struct handling *h, const struct event *event)
{
    return h->parts.notifier->out_of_stock(h->parts.notifier, event);
}
