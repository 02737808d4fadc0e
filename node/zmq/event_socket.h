/* The event socket: an XPUB that broadcasts events, Heartbeat and Welcome. Its one peer is the
 * front (node/front/front.h), which sends them on to subscribers. */
#ifndef NODE_ZMQ_EVENT_SOCKET_H
#define NODE_ZMQ_EVENT_SOCKET_H

#include "bus/ports/world.h"
#include "node/zmq/inner.h"

struct event_socket;

#define EVENT_SOCKET_ERROR_BYTES 512

/* Binds FRONT_EVENTS. NULL: `error` says why not. */
struct event_socket *event_socket_new(void *context, char error[EVENT_SOCKET_ERROR_BYTES]);
void event_socket_destroy(struct event_socket **socket);

struct inner *event_socket_inner(struct event_socket *socket); /* to wait for */

/* The port of bus/ports/world.h. It lives as long as the socket. */
struct publisher *event_socket_publisher(struct event_socket *socket);

/* Takes in what was subscribed to. True: somebody subscribed to Welcome/. */
bool event_socket_welcomes(struct event_socket *socket);

#define TOPIC_HEARTBEAT "Heartbeat/"

/* Broadcasts {seq, time} under that topic. */
void event_socket_pulse(struct event_socket *socket, const char *topic, uint64_t seq,
                        uint64_t time_ms);

#endif
