/* The upstream feed: BatchQuantityChanged of other nodes (rule 11, external events), which the
 * front (node/front/feeds.c) has subscribed to. A PULL socket. */
#ifndef NODE_ZMQ_UPSTREAM_H
#define NODE_ZMQ_UPSTREAM_H

#include "domain/base/error.h"
#include "domain/messages/reply.h"
#include "node/config/config.h"
#include "node/zmq/inner.h"
#include "node/log.h"

struct upstream;

#define UPSTREAM_GROUP_MAX 256u /* messages taken into one group */

/* Binds FRONT_UPSTREAM; where no upstream node is configured it has nothing to do. NULL: `error`
 * says why not. */
struct upstream *upstream_new(void *context, const struct config *config, struct stats *stats,
                              struct logger *logger, char error[ERROR_BYTES]);
void upstream_destroy(struct upstream **upstream);

/* To wait for; NULL where nothing is to be read now: no endpoint, or commands that were not
 * committed wait to be tried again. */
struct inner *upstream_inner(struct upstream *upstream);

/* The next command of the feed: one that was not committed and is due again, else a new
 * one. Its texts live until upstream_end_group. False: none, or enough for one group. */
bool upstream_next(struct upstream *upstream, uint64_t now_ms, struct request *out);

/* Ends the open group, as router_send_group. */
void upstream_send_group(struct upstream *upstream);

/* What became of the commands of the group that was sent, one call for each. Where the group was
 * not committed they are kept and tried again after a while, as nobody else would. */
void upstream_outcome(struct upstream *upstream, bool committed, enum outcome outcome,
                      uint64_t now_ms);

/* log_rest for what was said of bad messages. */
void upstream_log_rest(struct upstream *upstream, uint64_t now_ms, bool now);

void upstream_end_group(struct upstream *upstream);

#endif
