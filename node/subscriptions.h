/* Which subscriptions each subscriber has. libzmq keeps them without bound, and in one tree for
 * all, so they are counted here: by a hash of each. */
#ifndef NODE_SUBSCRIPTIONS_H
#define NODE_SUBSCRIPTIONS_H

#include "bus/ports.h"

/* A subscription counts with its bytes and so many more, as even the shortest takes memory. */
#define SUBSCRIPTION_BYTES 96u

struct subscriptions;

/* One subscriber may have so many bytes of them. NULL: no memory. */
struct subscriptions *subscriptions_new(size_t max_bytes);
void subscriptions_destroy(struct subscriptions **subscriptions);

/* The subscriber with that descriptor, 0 or more, has one more; it counts once, however often it is
 * added. False: now it has more than it may, or there is no memory to know. What it adds after that
 * is passed over, until it has gone. */
bool subscriptions_add(struct subscriptions *subscriptions, int fd, struct text prefix);

/* One less, if it had it. */
void subscriptions_remove(struct subscriptions *subscriptions, int fd, struct text prefix);

/* It has gone: so have its subscriptions. */
void subscriptions_forget(struct subscriptions *subscriptions, int fd);

#endif
