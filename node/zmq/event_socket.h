/* The event socket: a PUB that broadcasts events, Heartbeat and Welcome. Its one peer is the front
 * (node/front/front.h), which is an XPUB to subscribers and sends them on. */
#ifndef NODE_ZMQ_EVENT_SOCKET_H
#define NODE_ZMQ_EVENT_SOCKET_H

#include "domain/base/error.h"
#include "bus/ports/world.h"
#include "domain/messages/reply.h"
#include "node/zmq/inner.h"

struct event_socket;
struct front;

/* Binds FRONT_EVENTS. NULL: `error` says why not. */
struct event_socket *event_socket_new(void *context, char error[ERROR_BYTES]);
void event_socket_destroy(struct event_socket **socket);

/* To be called once, before anything is published: the front says whether anybody listens. */
void event_socket_set_front(struct event_socket *socket, const struct front *front);

/* The port of bus/ports/world.h. It lives as long as the socket. */
struct publisher *event_socket_publisher(struct event_socket *socket);

/* Adds what could not be given to the front so far. */
void event_socket_figures(const struct event_socket *socket, struct stats *stats);

#define TOPIC_HEARTBEAT "Heartbeat/"

/* Broadcasts {seq, time} under that topic. */
void event_socket_pulse(struct event_socket *socket, const char *topic, uint64_t seq,
                        uint64_t time_ms);

#endif
