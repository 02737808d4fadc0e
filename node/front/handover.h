/* What one thread writes into a message before it sends it, another reads after it has received it.
 * libzmq's queues order the two. ThreadSanitizer does not see that, as libzmq is not built with it,
 * and is told here. In other builds this is nothing. */
#ifndef NODE_FRONT_HANDOVER_H
#define NODE_FRONT_HANDOVER_H

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>

static inline void handover_send(void *queue)
{
    __tsan_release(queue);
}

static inline void handover_receive(void *queue)
{
    __tsan_acquire(queue);
}
#else
/* Before a message is sent into that queue. Any address may stand for one. */
static inline void handover_send(void *queue)
{
    (void)queue;
}

/* After one was received from it. */
static inline void handover_receive(void *queue)
{
    (void)queue;
}
#endif

/* One for each way that messages go between the front and the node. */
extern char handover_requests;
extern char handover_replies;
extern char handover_events;
extern char handover_upstream;

#endif
