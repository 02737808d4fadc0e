/* Exit statuses of zmq-send (docs/PROTOCOL.md). Where several count, the highest does. */
#ifndef TOOLS_ZMQ_SEND_STATUS_H
#define TOOLS_ZMQ_SEND_STATUS_H

enum status {
    STATUS_DONE = 0,
    STATUS_REFUSED = 1,       /* the node said "ok": false */
    STATUS_BAD_INPUT = 2,     /* usage, unreadable input, unwritable output */
    STATUS_NO_CONNECTION = 3, /* none before the deadline, or not let in */
    STATUS_UNKNOWN = 4,       /* sent, and no reply came */
    STATUS_BAD_REPLY = 5,     /* the answer broke the protocol */
    STATUS_GAP = 6,           /* events are missing for good */
};

static inline enum status status_worse(enum status a, enum status b)
{
    return a > b ? a : b;
}

#endif
