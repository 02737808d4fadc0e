/* The command socket: a ROUTER that takes requests and sends their replies, group by group. It
 * knows envelopes (RFC 28/REQREP), not what stands in a body. */
#ifndef NODE_ROUTER_H
#define NODE_ROUTER_H

#include "node/peers.h"
#include "node/sockets.h"

#define ENVELOPE_MAX 16u /* frames, the empty one counted, the routing id not */

struct router;

/* Binds config->commands. NULL: `error` says why not. What is passed in must outlive it. */
struct router *router_new(void *context, const struct config *config, struct guard *guard,
                          struct stats *stats, struct logger *logger,
                          char error[SOCKET_ERROR_BYTES]);
void router_destroy(struct router **router);

void *router_socket(const struct router *router); /* to wait for */

/* The endpoint as bound. */
const char *router_endpoint(const struct router *router);

enum received {
    RECEIVED_NOTHING, /* no message waits, or the group has no room */
    RECEIVED_BODY,    /* one body frame */
    RECEIVED_BODIES   /* none, or several: nothing that could be decoded */
};

/* Takes the next request into the group. The body lives until router_end_group; of several, *body
 * is the largest one, and it is absent where there is none. */
enum received router_receive(struct router *router, struct text *body);

/* Sends the reply to request `index` of the group, in the order of router_receive. Each request
 * is answered once. A peer that has gone is counted. */
void router_reply(struct router *router, size_t index, struct text body, uint64_t now_ms);

void router_end_group(struct router *router);

/* A connection ended. */
void router_disconnected(struct router *router, int fd);

/* Looks after slow peers. */
void router_check_peers(struct router *router, uint64_t now_ms);

/* As peers_are_slow and peers_have_parked. */
bool router_has_slow_peers(const struct router *router);
bool router_has_parked(const struct router *router);

#endif
