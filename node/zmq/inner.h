/* One end of a queue between the front and the node: a libzmq socket with one peer, over inproc.
 *
 * To ask libzmq whether something has come takes system calls, and a lone request would pay for
 * each. So it is asked only where something may have come: after its descriptor was readable, and
 * after a send, which may take in what made it readable. */
#ifndef NODE_ZMQ_INNER_H
#define NODE_ZMQ_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <zmq.h>

struct inner {
    void *socket;  /* NULL: not open */
    int fd;        /* to watch; when it is readable, has_news is to be set */
    bool has_news; /* something may have come */
    int flags;     /* of a send: whether it waits for room */
    enum inner_end { INNER_BIND, INNER_CONNECT } end; /* the node's, the front's */
};

/* `queue` is how many messages may wait at this end, 0: any number, where the sender sees to that.
 * False: libzmq could not; inner_close is to be called all the same. */
bool inner_open(struct inner *inner, void *context, int type, enum inner_end end,
                const char *endpoint, int queue);
void inner_close(struct inner *inner);

/* Has a send wait for room, so long at most. Requires: it is open. False: libzmq could not. */
bool inner_waits(struct inner *inner, int milliseconds);

/* Receives a frame, which is then the caller's. False: none waits. */
bool inner_receive(struct inner *inner, zmq_msg_t *frame);

/* Sends a frame, which is then libzmq's. False: there is no room, and it is the caller's still. */
bool inner_send(struct inner *inner, zmq_msg_t *frame, bool is_last);

/* Makes a message of these bytes a frame and sends it. False: there is no room, or no memory. */
bool inner_send_bytes(struct inner *inner, const void *bytes, size_t len, bool is_last);

/* Takes in what made the descriptor readable, of a socket that receives nothing. */
void inner_settle(struct inner *inner);

#endif
