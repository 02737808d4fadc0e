/* What is still to be handled for the command under way: first in, first out, bounded. */
#ifndef BUS_QUEUE_H
#define BUS_QUEUE_H

#include "domain/messages/message.h"

/* One command may displace two million lines, each of which waits here: 300 MB. More is refused. */
#define QUEUE_MAX ((size_t)2 * 1024 * 1024)

struct queued {
    struct product *product; /* of the event */
    struct event event;
};

struct queue {
    struct queued *items; /* a ring */
    size_t capacity;      /* a power of two, or 0 */
    size_t head;          /* the oldest one */
    size_t count;
};

void queue_release(struct queue *queue);

/* False, and nothing is queued: no memory, or QUEUE_MAX is reached. */
bool queue_push(struct queue *queue, const struct queued *item);

/* False: it is empty. */
bool queue_pop(struct queue *queue, struct queued *out);

static inline void queue_clear(struct queue *queue)
{
    queue->head = queue->count = 0;
}

#endif
