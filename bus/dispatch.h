/* Who handles what. */
#ifndef BUS_DISPATCH_H
#define BUS_DISPATCH_H

#include "bus/handling.h"

/* Takes a request to its handler. */
enum store_result dispatch_request(struct handling *h, const struct request *request);

/* Takes an event to its handlers within the transaction, one after the other. */
enum store_result dispatch_event(struct handling *h, struct product *product,
                                 const struct event *event);

/* True where an event of that type has handlers within the transaction. */
bool dispatch_is_handled(enum message_type type);

/* True where an event of that type has handlers after the commit. */
bool dispatch_is_awaited(enum message_type type);

/* Takes a committed event to those handlers. One that fails is logged and counted; it undoes and
 * hides nothing. */
void dispatch_committed(struct handling *h, const struct event *event);

#endif
