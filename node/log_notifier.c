#include "node/log_notifier.h"

#include "node/system_clock.h"

static bool out_of_stock(struct notifier *port, const struct event *event)
{
    struct log_notifier *notifier = (struct log_notifier *)(void *)port;
    log_limited(notifier->logger, &notifier->limit, monotonic_ms(), LOG_INFO,
                "Out of stock for sku %.*s: order %.*s asks for %u", TEXT_ARG(event->sku),
                TEXT_ARG(event->as.out_of_stock.orderid), event->as.out_of_stock.qty);
    return true;
}

_Static_assert(offsetof(struct log_notifier, port) == 0, "out_of_stock finds its notifier there");

void log_notifier_init(struct log_notifier *notifier, struct logger *logger)
{
    *notifier = (struct log_notifier){.port = {out_of_stock}, .logger = logger};
}
