/* A batch of stock, and a line of a customer's order: the parts of a product. */
#ifndef DOMAIN_BATCH_H
#define DOMAIN_BATCH_H

#include "domain/messages/message.h"

struct batch {
    struct text ref;    /* unique in the whole node */
    uint64_t age;       /* seq of its BatchCreated: the smaller, the older */
    struct date eta;    /* none: in the warehouse */
    uint32_t qty;       /* purchased */
    uint32_t allocated; /* sum of its lines' quantities */
};

/* What can still be allocated. Never below zero when a command is done; 0 while one is under way
 * that took away more than there was. */
static inline uint32_t batch_available(const struct batch *batch)
{
    return batch->qty > batch->allocated ? batch->qty - batch->allocated : 0;
}

static inline bool batch_is_over_allocated(const struct batch *batch)
{
    return batch->allocated > batch->qty;
}

/* An order line: known by (orderid, sku). */
struct order_line {
    struct text orderid;
    struct text sku;
    uint32_t qty;
    struct text batchref; /* absent: it waits for stock */
    uint64_t seq;         /* of the event that put it there: Allocated, or OutOfStock if it waits */
};

static inline bool order_line_waits(const struct order_line *line)
{
    return text_is_none(line->batchref);
}

#endif
