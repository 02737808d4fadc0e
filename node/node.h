/* The node: everything wired together (bootstrap, chapter 13), and its one loop. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "domain/base/error.h"
#include "node/config/config.h"
#include "node/log.h"

struct node;

/* Opens the store and binds the sockets. NULL: `error` says why not, in one line. What is passed
 * in must outlive it. Requires: SIGINT and SIGTERM are blocked (node_block_signals). */
struct node *node_new(const struct config *config, struct node_log *log, char error[ERROR_BYTES]);

/* Sends what is on its way and closes everything. */
void node_destroy(struct node **node);

/* The endpoints as bound. */
const char *node_commands(const struct node *node);
const char *node_events(const struct node *node);

/* Serves until SIGINT or SIGTERM: what was read by then is committed and answered. False: the store
 * broke or is gone from its place, nobody can tell what the next start will find, and the process
 * must end at once. */
bool node_run(struct node *node);

/* What happened where node_run gave false, in one line. */
const char *node_complaint(const struct node *node);

/* Sees to it that signals reach node_run alone, and that a full disk or a closed pipe is an error
 * and no end. To be called before any thread is started. */
void node_block_signals(void);

#endif
