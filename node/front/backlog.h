/* The newest events, as they go over the wire, once for all subscribers.
 *
 * Two rings: one of bytes, in which events stand one behind the other without a gap (but at its
 * end), and one that says where each begins and which part of it is the topic. Each subscriber has
 * a place, the number of the event that it gets next; places are never given back. So a subscriber
 * that does not read costs nothing here: when the ring comes round, the oldest events go, and whose
 * place they were has missed them.
 *
 *     events   first ............... end        first <= place <= end for who has missed nothing
 *     bytes    [ 41 | 42 | 43 |      | 38 | 39 | 40 ] */
#ifndef NODE_FRONT_BACKLOG_H
#define NODE_FRONT_BACKLOG_H

#include "domain/base/text.h"

#include <stdint.h>

struct backlog;

struct backlog_event {
    const unsigned char *wire; /* both frames, with their headers */
    uint32_t len;
    struct text topic; /* within it */
};

/* NULL: no memory. `bytes` is what both rings take together, roughly. */
struct backlog *backlog_new(size_t bytes);
void backlog_destroy(struct backlog **backlog);

/* The number of the oldest event that is there, and that of the next one to come. */
uint64_t backlog_first(const struct backlog *backlog);
uint64_t backlog_end(const struct backlog *backlog);

/* Adds one. Over a quarter of the ring it is passed over: false. */
bool backlog_add(struct backlog *backlog, struct text topic, struct text body);

/* The event with that number; it lives until the next backlog_add. Requires: it is there. */
struct backlog_event backlog_at(const struct backlog *backlog, uint64_t number);

#endif
