/* The event socket: an XPUB that broadcasts events, Heartbeat and Welcome. */
#ifndef NODE_EVENT_SOCKET_H
#define NODE_EVENT_SOCKET_H

#include "node/guard.h"
#include "node/log.h"

struct event_socket;

/* Binds config->events. NULL: `error` says why not. What is passed in must outlive it. */
struct event_socket *event_socket_new(void *context, const struct config *config,
                                      struct guard *guard, struct stats *stats,
                                      struct logger *logger, char error[SOCKET_ERROR_BYTES]);
void event_socket_destroy(struct event_socket **socket);

void *event_socket_socket(const struct event_socket *socket); /* to wait for */
const char *event_socket_endpoint(const struct event_socket *socket);

/* The port of bus/ports.h. It lives as long as the socket. */
struct publisher *event_socket_publisher(struct event_socket *socket);

/* Takes what subscribers asked for, and cuts off who asks for too much. True: somebody subscribed
 * to Welcome/. */
bool event_socket_welcomes(struct event_socket *socket, uint64_t now_ms);

/* A connection ended. */
void event_socket_disconnected(struct event_socket *socket, int fd);

#define TOPIC_HEARTBEAT "Heartbeat/"
#define TOPIC_WELCOME "Welcome/"

/* Broadcasts {seq, time} under that topic. */
void event_socket_pulse(struct event_socket *socket, const char *topic, uint64_t seq,
                        uint64_t time_ms);

#endif
