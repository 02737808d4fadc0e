/* One connection of one socket, watched by a socket monitor.
 *
 * libzmq would reconnect by itself and not say which connection a message went out on. Here a
 * socket lives for one connection, so that "sent on a connection that is gone" is certain, and a
 * late reply of an earlier connection cannot arrive. Trying again is the owner's business. */
#ifndef TOOLS_ZMQ_SEND_CONNECTION_H
#define TOOLS_ZMQ_SEND_CONNECTION_H

#include "domain/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#define CONNECTION_IO_THREADS 2 /* that a context needs for both kinds of sockets */

struct transport {
    void *context; /* of libzmq */
    bool verbose;  /* trace every frame */
};

enum connection_state { CONNECTION_OPENING, CONNECTION_UP, CONNECTION_DOWN };

struct connection {
    void *socket;
    void *monitor;
    struct transport transport;
    const char *endpoint;
    enum connection_state state;
    bool refused;    /* down because the other side does not let us in: trying again is useless */
    bool is_broken;  /* down because the other side broke the protocol */
    const char *why; /* it is down; static text */
    int64_t opened_ms;
    int fd;            /* -1 while it is not connected; libzmq's */
    bool had_to_wait;  /* the other side, as messages were not taken; for the owner to reset */
    uint32_t requests; /* sent */
    uint32_t replies;  /* taken */
};

/* An attempt that takes longer is given up: names may resolve in a moment, or another address. */
#define CONNECTION_ATTEMPT_MS 5000

/* Waits between attempts: doubled up to a limit, back to the first once a connection is up. */
#define RETRY_FIRST_MS 20
#define RETRY_MAX_MS 500

/* True for a tcp:// or ipc:// endpoint that one can connect to. */
bool endpoint_is_valid(const char *endpoint);

/* Begins to connect a DEALER or SUB. NULL: *why says why. `endpoint` must outlive it. */
struct connection *connection_open(struct transport transport, int socket_type,
                                   const char *endpoint, const char **why);
void connection_close(struct connection **connection);

/* Looks at what the monitor reports, and moves `state` on. Does not block. */
void connection_update(struct connection *connection);

/* Fills two items that are ready when something happened. `can_send`: also when it can send. */
#define CONNECTION_POLL_ITEMS 2
void connection_poll_items(const struct connection *connection, bool can_send,
                           zmq_pollitem_t items[CONNECTION_POLL_ITEMS]);

/* Subscribes a SUB. */
void connection_subscribe(struct connection *connection, const char *prefix);

/* Sends a request: an envelope and the body. The envelope is an empty frame and, from the second
 * request on, the number of the request before it. The node sends it back with the reply, so that
 * no reply is taken for that of another request. False: it cannot just now, and nothing was sent.
 */
bool connection_send(struct connection *connection, struct text body);

/* A message as received: `count` frames, of which the first FRAMES_MAX are kept. */
#define FRAMES_MAX 3
struct frames {
    zmq_msg_t frames[FRAMES_MAX];
    size_t count;
};

/* True: *out is a message, for frames_close. False: there is none just now. */
bool connection_receive(struct connection *connection, struct frames *out);
void frames_close(struct frames *frames);

/* The body of what was received, where it is the reply to the oldest request that had none yet;
 * else NULL. Requires: there is such a request. */
zmq_msg_t *connection_take_reply(struct connection *connection, struct frames *received);

struct text frame_text(zmq_msg_t *frame);

#endif
