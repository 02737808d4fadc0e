/* What a handler works with, and what it may do with it. A handler looks up what it needs in the
 * unit of work, asks the product for a decision, and concludes. */
#ifndef BUS_HANDLING_H
#define BUS_HANDLING_H

#include "bus/bus.h"
#include "bus/queue.h"

struct published {
    enum message_type type;
    struct text sku;
    struct text body;
    const struct event *awaited; /* by a handler after the commit, else NULL */
};

/* Events of a group, to be sent once it is durable. */
struct outbox {
    struct published *items;
    size_t count;
    size_t capacity;
};

struct handling {
    struct bus_parts parts;
    struct queue queue;        /* events of the command under way that wait for their handlers */
    struct event_list decided; /* by the decision under way */
    struct reply *reply;       /* to the request under way */
    struct text cause;         /* its id, absent where it has none */
    struct arena *arena;       /* of the group under way: lives as long as that */
    struct outbox *outbox;     /* the same */
    uint64_t queries_us;       /* that the queries of the group took, roughly */
    uint64_t page_began_us;
};

/* Handlers of commands and queries, one for each row: `handle_create_batch` and so on. They fill
 * h->reply. STORE_OK, or why the store ended the group. */
#define COMMAND(upper, lower, wire)                                                                \
    enum store_result handle_##lower(struct handling *h, const struct lower *command);
#define QUERY(upper, lower, wire)                                                                  \
    enum store_result handle_##lower(struct handling *h, const struct lower *query);
#include "domain/messages/messages.def"

/* Handlers of events. Those of the transaction return as the ones above; the others run after the
 * commit and return false where they failed. */
enum store_result on_allocation_required(struct handling *h, struct product *product,
                                         const struct event *event);
enum store_result on_stock_grew(struct handling *h, struct product *product,
                                const struct event *event);
bool on_out_of_stock(struct handling *h, const struct event *event);

/* ---- for handlers ---- */

/* Refuses the request. Returns STORE_OK, as the store is well. */
enum store_result handling_refuse(struct handling *h, enum outcome outcome);

/* What a command on an order line is about: its product, and the line, in *line, where the order
 * has one; else *existing is NULL. STORE_NOT_FOUND: no product has that SKU. */
enum store_result handling_find_line(struct handling *h, struct text orderid, struct text sku,
                                     struct product **product, struct order_line *line,
                                     const struct order_line **existing);

/* Ends a command with what was decided: the outcome goes into the reply; the events in h->decided
 * are appended to the unit, applied and queued for their handlers. Done without an event means that
 * it was so already. */
enum store_result handling_conclude(struct handling *h, struct product *product,
                                    enum outcome outcome);

/* The same for events that no reply waits for. */
enum store_result handling_record(struct handling *h, struct product *product);

/* Queues an internal event. */
enum store_result handling_raise(struct handling *h, struct product *product,
                                 const struct event *event);

#endif
