/* What the node's libzmq sockets have in common. */
#ifndef NODE_SOCKETS_H
#define NODE_SOCKETS_H

#include "node/config.h"

#include <zmq.h>

#define FRAME_MAX_BYTES ((int64_t)1024 * 1024) /* a larger one ends its connection */
#define KERNEL_BUFFER_BYTES (128 * 1024)       /* what a peer can send while nobody reads */
#define LINGER_MS 1000                         /* for replies and events on the way at the end */
#define SOCKET_ERROR_BYTES 512

/* Sets an integer option. Requires: libzmq knows it and takes that value. */
void socket_set(void *socket, int option, int value);

/* A socket of that type with the options that all have: linger, the largest frame, time for the
 * handshake, heartbeats, keep-alive, IPv6 where the endpoint needs it. NULL: libzmq is out of
 * sockets or memory. */
void *socket_new(void *context, int type, const struct config *config, const char *endpoint);

/* Binds, and writes the endpoint as bound. False: `error` says why not, in one line. */
bool socket_bind(void *socket, const char *endpoint, char bound[ENDPOINT_SIZE],
                 char error[SOCKET_ERROR_BYTES]);

/* The descriptor that becomes readable when something comes for the socket: only what comes after
 * socket_has_message said that there is nothing. */
int socket_fd(void *socket);

/* Whether a message can be received now. */
bool socket_has_message(void *socket);

#endif
