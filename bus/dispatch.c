#include "bus/dispatch.h"

#include <assert.h>
#include <stdio.h>

/* Commands and queries: one handler each, grown from the rows. A row without a handler fails at
 * the link, by its name. */
#define WRAPPER(lower)                                                                             \
    static enum store_result take_##lower(struct handling *h, const struct request *request)       \
    {                                                                                              \
        return handle_##lower(h, &request->as.lower);                                              \
    }
#define COMMAND(upper, lower, wire) WRAPPER(lower)
#define QUERY(upper, lower, wire) WRAPPER(lower)
#include "domain/messages/messages.def"

enum store_result dispatch_request(struct handling *h, const struct request *request)
{
    typedef enum store_result take(struct handling *, const struct request *);
    static take *const takers[MESSAGE_TYPES] = {
#define COMMAND(upper, lower, wire) [MESSAGE_##upper] = take_##lower,
#define QUERY(upper, lower, wire) [MESSAGE_##upper] = take_##lower,
#include "domain/messages/messages.def"
    };
    assert(takers[request->type] != NULL);
    return takers[request->type](h, request);
}

/* Events: written by hand, as the order means something. Handlers of the transaction, in the order
 * in which they run; where one fails, the group does. */
typedef enum store_result in_transaction(struct handling *, struct product *, const struct event *);

static const struct {
    enum message_type event;
    in_transaction *handler;
} handlers_in_transaction[] = {
    {MESSAGE_ALLOCATION_REQUIRED, on_allocation_required},
    {MESSAGE_STOCK_GREW, on_stock_grew},
};

/* Handlers that reach out of the node, once the event is on disk. */
typedef bool after_commit(struct handling *, const struct event *);

static const struct {
    enum message_type event;
    after_commit *handler;
    const char *name;
} handlers_after_commit[] = {
    {MESSAGE_OUT_OF_STOCK, on_out_of_stock, "out-of-stock notification"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum store_result dispatch_event(struct handling *h, struct product *product,
                                 const struct event *event)
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < COUNT_OF(handlers_in_transaction) && result == STORE_OK; i++)
        if (handlers_in_transaction[i].event == event->type)
            result = handlers_in_transaction[i].handler(h, product, event);
    return result;
}

bool dispatch_is_handled(enum message_type type)
{
    for (size_t i = 0; i < COUNT_OF(handlers_in_transaction); i++)
        if (handlers_in_transaction[i].event == type)
            return true;
    return false;
}

bool dispatch_is_awaited(enum message_type type)
{
    for (size_t i = 0; i < COUNT_OF(handlers_after_commit); i++)
        if (handlers_after_commit[i].event == type)
            return true;
    return false;
}

void dispatch_committed(struct handling *h, const struct event *event)
{
    for (size_t i = 0; i < COUNT_OF(handlers_after_commit); i++) {
        if (handlers_after_commit[i].event != event->type ||
            handlers_after_commit[i].handler(h, event))
            continue;
        h->parts.stats->handler_failures++;
        char line[80];
        snprintf(line, sizeof line, "%s failed", handlers_after_commit[i].name);
        h->parts.logger->log(h->parts.logger, LOG_WARN, line);
    }
}
