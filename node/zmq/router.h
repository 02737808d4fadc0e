/* The command socket: a ROUTER whose one peer is the front (node/front/front.h). It takes requests
 * into groups and sends their replies, and it keeps those that have to wait for a later group.
 *
 * Some requests wait: a long query when the group has spent its time for them, all of a client that
 * has left too many replies unread, and whatever comes behind one of the same client, as replies to
 * a client leave in the order of its requests. Clients with something that waits have their turns,
 * one request each, before anything new. How much can wait is bounded by the front, which passes on
 * no more than a window of requests that are not answered. */
#ifndef NODE_ZMQ_ROUTER_H
#define NODE_ZMQ_ROUTER_H

#include "domain/base/error.h"
#include "node/front/front.h"
#include "node/zmq/inner.h"

struct router;

/* Binds FRONT_COMMANDS. NULL: `error` says why not. */
struct router *router_new(void *context, char error[ERROR_BYTES]);
void router_destroy(struct router **router);

/* Says who passes requests on. False: no memory. Requires: to be called once, before the first
 * router_next; `front` outlives the router's use. */
bool router_set_front(struct router *router, const struct front *front);

struct inner *router_inner(struct router *router); /* to wait for */

enum arrival {
    ARRIVAL_NONE,        /* nothing that can be served now, or the group has no room */
    ARRIVAL_REQUEST,     /* with a body */
    ARRIVAL_TOO_LARGE,   /* its body was over REQUEST_MAX_BYTES */
    ARRIVAL_NOT_ONE_BODY /* it had none, or several */
};

/* Whether the open group has room for another request. */
bool router_has_room(const struct router *router);

/* Begins to fill the open group, or goes on: each client with something that waits gets its turns.
 */
void router_begin_group(struct router *router);

/* The next request to be looked at. Unless it is NONE, router_take, router_defer or router_drop
 * must follow. `long_queries_wait`: those that are known to be such are left where
 * they are. *body lives until router_end_group, *origin is what router_reply wants to know. */
enum arrival router_next(struct router *router, bool long_queries_wait, struct text *body,
                         void **origin);

/* Whether the client of the request has gone. */
bool router_client_is_gone(struct router *router);

/* The request becomes the next one of the open group; router_reply must follow. */
void router_take(struct router *router);

/* The request is a long query and waits for a later group. Without memory it is taken: false. */
bool router_defer(struct router *router);

/* The request is not answered. */
void router_drop(struct router *router);

/* Ends the open group, whose replies are to be sent, and opens the next one. Requires: the group
 * that was sent before has ended. */
void router_send_group(struct router *router);

/* Sends the reply to a request of the group that was sent. Each is replied to once, in the order of
 * router_take; an empty body says that there was no memory for a reply. */
void router_reply(struct router *router, void *origin, struct text body);

/* Adds what was dropped so far. */
void router_figures(const struct router *router, struct stats *stats);

/* The group that was sent has its replies. */
void router_end_group(struct router *router);

/* Whether so many bytes of replies wait for the front that queries had better wait: it has still to
 * say whose replies are not read. */
bool router_is_ahead(const struct router *router);

/* Whether something that waits can be served at once. */
bool router_has_turns(const struct router *router);

/* Whether a Welcome was asked for since the last call. */
bool router_takes_welcome(struct router *router);

/* Whether nothing more can be served: the front has passed on its last, and what waits is for
 * clients that do not read. */
bool router_is_done(const struct router *router);

#endif
