/* The event socket: an XPUB that broadcasts events, Heartbeat and Welcome. */
#ifndef NODE_EVENT_SOCKET_H
#define NODE_EVENT_SOCKET_H

#include "node/sockets.h"

struct event_socket;

/* Binds config->events. NULL: `error` says why not. */
struct event_socket *event_socket_new(void *context, const struct config *config,
                                      char error[SOCKET_ERROR_BYTES]);
void event_socket_destroy(struct event_socket **socket);

void *event_socket_socket(const struct event_socket *socket); /* for zmq_poll */
const char *event_socket_endpoint(const struct event_socket *socket);

/* The port of bus/ports.h. It lives as long as the socket. */
struct publisher *event_socket_publisher(struct event_socket *socket);

/* Takes what subscribers asked for. True: somebody subscribed to Welcome/. */
bool event_socket_welcomes(struct event_socket *socket);

#define TOPIC_HEARTBEAT "Heartbeat/"
#define TOPIC_WELCOME "Welcome/"

/* Broadcasts {seq, time} under that topic. */
void event_socket_pulse(struct event_socket *socket, const char *topic, uint64_t seq,
                        uint64_t time_ms);

#endif
