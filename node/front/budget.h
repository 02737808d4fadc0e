/* The memory that all peers together may cost, as one sum. Arithmetic alone.
 *
 * Each peer is charged with what it takes, to the byte where that is known. Shares of
 * clients/max_memory_mib:
 *
 *     1/6   the backlog of events, once for all subscribers
 *     5/24  what is on its way through libzmq's queues inside the node, and what malloc adds to all
 *     5/8   peers: connections, half messages, requests that are not answered, subscriptions,
 *           replies that were not read. At most 2/5 of that is for requests
 *
 * Who has no more than BUDGET_SMALL is left alone. */
#ifndef NODE_FRONT_BUDGET_H
#define NODE_FRONT_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

#define BUDGET_SMALL ((size_t)16 * 1024)

struct budget {
    size_t backlog;       /* bytes for events */
    size_t peers;         /* bytes for all peers */
    size_t requests;      /* of these, for requests that are not answered */
    size_t used;          /* by peers */
    size_t requests_used; /* of these, by requests */
    size_t large;         /* peers that have more than BUDGET_SMALL */
};

static inline struct budget budget_of(size_t bytes)
{
    return (struct budget){.backlog = bytes / 6, .peers = bytes / 8 * 5, .requests = bytes / 4};
}

/* A peer costs `now` where it cost `before`. */
static inline void budget_charge(struct budget *budget, size_t before, size_t now)
{
    budget->used = budget->used - before + now;
    budget->large = budget->large - (before > BUDGET_SMALL) + (now > BUDGET_SMALL);
}

/* Whether those over their share have to wait. */
static inline bool budget_is_crowded(const struct budget *budget)
{
    return budget->used > budget->peers / 2;
}

static inline bool budget_is_exceeded(const struct budget *budget)
{
    return budget->used > budget->peers;
}

/* What each peer may have while it is crowded: together they then have half of what it takes to be
 * crowded, so that one more reply for each does no harm. */
static inline size_t budget_share(const struct budget *budget)
{
    size_t share = budget->peers / 4 / (budget->large + 1);
    return share > BUDGET_SMALL ? share : BUDGET_SMALL;
}

#endif
