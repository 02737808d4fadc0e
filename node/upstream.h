/* The upstream feed: a SUB that takes BatchQuantityChanged from other nodes (rule 11, external
 * events). */
#ifndef NODE_UPSTREAM_H
#define NODE_UPSTREAM_H

#include "node/log.h"
#include "node/sockets.h"

struct upstream;

#define UPSTREAM_GROUP_MAX 256u /* messages taken into one group */

/* Connects to each of config->upstream; without any it has nothing to do. NULL: `error` says
 * why. */
struct upstream *upstream_new(void *context, const struct config *config, struct stats *stats,
                              struct logger *logger, char error[SOCKET_ERROR_BYTES]);
void upstream_destroy(struct upstream **upstream);

/* To wait for; NULL where nothing is to be read now: no endpoint, or commands that were not
 * committed wait to be tried again. */
void *upstream_socket(const struct upstream *upstream);

/* The next command of the feed: one that was not committed and is due again, else a new
 * one. Its texts live until upstream_end_group. False: none, or enough for one group. */
bool upstream_next(struct upstream *upstream, uint64_t now_ms, struct request *out);

/* What became of the commands of the group, one call for each. Where the group was not committed
 * they are kept and tried again after a while, as nobody else would. */
void upstream_outcome(struct upstream *upstream, bool committed, enum outcome outcome,
                      uint64_t now_ms);

void upstream_end_group(struct upstream *upstream);

#endif
