/* The front: one thread that stands between the node and the world.
 *
 *     clients     --tcp, ipc-->  front  --DEALER, inproc-->  ROUTER  node
 *     subscribers <--tcp, ipc--  front  <--SUB, inproc-----  PUB     node
 *     upstream    --tcp, ipc-->  front  --PUSH, inproc---->  PULL    node
 *
 * It accepts all connections, and speaks ZMTP with them (node/front/zmtp.h). The node's libzmq
 * sockets have one peer each, which is the front, over inproc. So nobody else reaches libzmq, which
 * bounds the memory of no peer, and which strangers can bring to a stop or to an abort.
 *
 * What it guards, and how:
 *
 * 1. Whole requests alone are passed on, and so many at a time as the node can take in soon: each
 *    client has a window of requests that are not answered yet. Who has sent more is not read from,
 *    so that its bytes wait in the kernel and at last at its own end. Nobody is cut off for that.
 * 2. A connection is a descriptor and some hundred bytes; buffers are there only while something
 *    waits in them. All that connections take is added up (node/front/budget.h). Beyond half of the
 *    limit those that have more than their share are not read from. Beyond all of it, who has most
 *    of what only its own peer could release is cut off.
 * 3. Replies that a client leaves unread wait here. Over a limit its queries wait too, and if it
 *    reads nothing at all for a while it is cut off.
 * 4. Events are kept once for all subscribers (node/front/backlog.h). Who falls too far behind
 *    misses the oldest ones.
 * 5. The end of a connection is seen at once, also when it is not read from. Its whole commands are
 *    carried out, its queries are not.
 * 6. Work that strangers can cause in plenty (new connections, subscriptions, what they send,
 * events for those that listen) has a share of each turn of the loop, so that requests are served
 * in between. */
#ifndef NODE_FRONT_FRONT_H
#define NODE_FRONT_FRONT_H

#include "domain/base/error.h"
#include "domain/messages/reply.h"
#include "node/config/config.h"

struct front;

/* The endpoints at which the node's own sockets are bound before front_new. */
#define FRONT_COMMANDS "inproc://commands" /* ROUTER; frames: route (node/front/route.h), body */
#define FRONT_EVENTS "inproc://events"     /* PUB; frames: topic, body */
#define FRONT_EVENTS_QUEUE 8192            /* messages, at each end: 0 at one would be no limit */
#define FRONT_UPSTREAM "inproc://upstream" /* PULL; a body, empty where the message was no good */

/* Whoever subscribes to it is to get one: the front asks for it by a ROUTE_WELCOME. */
#define TOPIC_WELCOME "Welcome/"

/* Binds config->commands and config->events, and connects to the node's sockets in `context`. NULL:
 * `error` says why not, in one line. What is passed in must outlive it. */
struct front *front_new(void *context, const struct config *config, struct logger *logger,
                        char error[ERROR_BYTES]);

/* The endpoints as bound. */
const char *front_commands(const struct front *front);
const char *front_events(const struct front *front);

/* Makes room for as many connections as there may be. Requires: all other descriptors are open, the
 * rest is for connections. False: no memory; `error` says so. */
bool front_make_room(struct front *front, char error[ERROR_BYTES]);

/* Starts the thread. Requires: there is room. False: it cannot. Signals are for the main thread:
 * they are blocked already (node_block_signals). */
bool front_start(struct front *front);

/* Nothing more is read from anybody, and ROUTE_END follows what was passed on. */
void front_stop_reading(struct front *front);

/* Ends the thread once all that was sent to it is with its peers, or FRONT_LINGER_MS have passed.
 * Requires: no more replies and events will be sent. Nothing to do where it was not started. */
void front_stop(struct front *front);

#define FRONT_LINGER_MS 1000u

/* Closes all connections. Requires: it was stopped, or never started. */
void front_destroy(struct front **front);

/* ---- for the main thread, while requests of that client are not answered ---- */

enum client_state {
    CLIENT_IS_GONE = 1, /* nobody waits for its replies any more */
    CLIENT_IS_FULL = 2  /* it has left so many unread that its requests have to wait */
};

/* Any of enum client_state. */
unsigned front_client_state(const struct front *front, uint32_t slot);

/* Bytes of replies that the front has taken from the ROUTER so far: what was sent and not taken
 * waits in between. */
uint64_t front_reply_bytes(const struct front *front);

/* Whether anybody has subscribed to anything: before that no event has to be sent. */
bool front_is_heard(const struct front *front);

/* How many slots there are: each is less. */
uint32_t front_slots(const struct front *front);

/* Adds what the front counts to the statistics, which had none of it. */
void front_figures(const struct front *front, struct stats *stats);

#endif
