/* The held log: which lines batches got and lost, in the order in which that happened: what the
 * table of held lines lacks. Adding is cheap, as each allocation does it; looking for the lines of
 * one batch goes through a small array from its end, as only a batch that shrinks asks for them. */
#ifndef STORE_AHEAD_HELD_LOG_H
#define STORE_AHEAD_HELD_LOG_H

#include "domain/base/text.h"

#include <stdint.h>

struct held_item {
    uint64_t seq;         /* of the event that put the line into the batch */
    uint32_t at;          /* of its bytes */
    uint16_t ref_len;     /* these are the batch's ref, ... */
    uint16_t orderid_len; /* ... and the line's order id */
    bool is_gone;         /* the batch has lost the line */
};

struct held_log {
    uint32_t *hashes; /* of the refs */
    struct held_item *items;
    size_t count;
    size_t capacity;
    char *bytes;
    size_t bytes_len;
    size_t bytes_capacity;
};

/* The batch got the line, or lost it. False: no memory, and nothing changed. */
bool held_log_add(struct held_log *log, struct text ref, uint64_t seq, struct text orderid,
                  bool is_gone);

/* The newest line that the batch got before place *at, which becomes its own; begin with
 * log->count. Whether it lost it since is not looked at. NULL: there is none. */
const struct held_item *held_log_before(const struct held_log *log, struct text ref, size_t *at);

static inline struct text held_item_ref(const struct held_log *log, const struct held_item *item)
{
    return (struct text){log->bytes + item->at, item->ref_len};
}

static inline struct text held_item_orderid(const struct held_log *log,
                                            const struct held_item *item)
{
    return (struct text){log->bytes + item->at + item->ref_len, item->orderid_len};
}

/* Whether the batch got or lost the line of that seq. */
bool held_log_has(const struct held_log *log, struct text ref, uint64_t seq);

/* The places of all items by ref, of one ref by seq from the newest to the oldest, and of one line
 * what came last before the others: an array of log->count, to be freed. NULL: no memory, or there
 * are none. Two refs of one hash may stand mixed. */
size_t *held_log_order(const struct held_log *log);

/* Bytes of memory that what is in it takes. */
size_t held_log_bytes(const struct held_log *log);

/* Empty again; its memory stays for the next ones. */
void held_log_clear(struct held_log *log);
void held_log_release(struct held_log *log);

#endif
