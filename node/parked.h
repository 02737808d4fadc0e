/* Messages of one peer that wait until it has read more of its replies, in their order. */
#ifndef NODE_PARKED_H
#define NODE_PARKED_H

#include <stdbool.h>
#include <stddef.h>

#include <zmq.h>

struct message_size {
    size_t total; /* frames, the routing id counted */
    size_t kept;  /* of these, those that a request can have; the first ones */
    size_t bytes; /* on the wire, where no routing id is */
};

struct parked_message;

/* All zeros: empty. */
struct parked {
    struct parked_message *first;
    struct parked_message *last;
};

static inline bool parked_is_empty(const struct parked *parked)
{
    return parked->first == NULL;
}

/* Takes the frames that were kept: the caller's are closed. False: no memory, and it has them
 * still.
 */
bool parked_add(struct parked *parked, zmq_msg_t *frames, const struct message_size *size);

/* Moves those of the first message to frames that are not initialised. Requires: it is not empty.
 */
void parked_take(struct parked *parked, zmq_msg_t *frames, struct message_size *size);

/* Drops all, and returns how many messages that were. */
size_t parked_clear(struct parked *parked);

#endif
