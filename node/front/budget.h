/* The memory that all peers together may cost, as one sum. Arithmetic alone.
 *
 * Each peer is charged with what it takes, to the byte where that is known. Shares of
 * clients/max_memory_mib:
 *
 *     1/6   the backlog of events, once for all subscribers
 *     1/3   what is on its way through libzmq's queues inside the node, and what malloc adds to all
 *     1/2   peers: connections, half messages, requests that are not answered, subscriptions,
 *           replies that were not read. At most 2/5 of that is for requests
 *
 * Of the last part half is for what is small, split among all connections: who has no more than
 * that is left alone, whatever the others do. So there can be only so many connections. */
#ifndef NODE_FRONT_BUDGET_H
#define NODE_FRONT_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

#define BUDGET_SMALL_MIN ((size_t)2 * 1024)
#define BUDGET_SMALL_MAX ((size_t)16 * 1024)

struct budget {
    size_t backlog;       /* bytes for events */
    size_t peers;         /* bytes for all peers */
    size_t requests;      /* of these, for requests that are not answered */
    size_t small;         /* bytes that every peer may have */
    size_t used;          /* by peers */
    size_t requests_used; /* of these, by requests */
    size_t large;         /* peers that have more than `small` */
};

/* What one peer was charged with. All zeros: nothing. */
struct charge {
    size_t bytes;
    bool is_large; /* it counts among budget.large */
};

static inline struct budget budget_of(size_t bytes)
{
    return (struct budget){
        .backlog = bytes / 6, .peers = bytes / 2, .requests = bytes / 5, .small = BUDGET_SMALL_MAX};
}

/* How many connections there may be. */
static inline size_t budget_connections_max(const struct budget *budget)
{
    return budget->peers / 2 / BUDGET_SMALL_MIN;
}

/* Splits what is for small ones among so many connections. Peers count as large or not from their
 * next charge on. */
static inline void budget_split(struct budget *budget, size_t connections)
{
    size_t small = budget->peers / 2 / (connections + 1);
    if (small > BUDGET_SMALL_MAX)
        small = BUDGET_SMALL_MAX;
    budget->small = small > BUDGET_SMALL_MIN ? small : BUDGET_SMALL_MIN;
}

/* A peer costs `bytes` from now on. */
static inline void budget_charge(struct budget *budget, struct charge *charge, size_t bytes)
{
    bool is_large = bytes > budget->small;
    budget->used = budget->used - charge->bytes + bytes;
    budget->large = budget->large - charge->is_large + is_large;
    *charge = (struct charge){bytes, is_large};
}

/* Whether those over their share have to wait. */
static inline bool budget_is_crowded(const struct budget *budget)
{
    return budget->used > budget->peers / 2;
}

/* Whether somebody has to go. */
static inline bool budget_is_exceeded(const struct budget *budget)
{
    return budget->used > budget->peers;
}

/* Whether no more requests may be passed on. */
static inline bool budget_requests_are_exceeded(const struct budget *budget)
{
    return budget->requests_used >= budget->requests;
}

/* What each peer may have while it is crowded: the large ones together a quarter of all, so that
 * one more reply for each does no harm. */
static inline size_t budget_share(const struct budget *budget)
{
    size_t share = budget->peers / 4 / (budget->large + 1);
    return share > budget->small ? share : budget->small;
}

/* What a peer may have now. */
static inline size_t budget_allows(const struct budget *budget)
{
    if (budget_is_exceeded(budget))
        return budget->small;
    return budget_is_crowded(budget) ? budget_share(budget) : budget->peers;
}

#endif
