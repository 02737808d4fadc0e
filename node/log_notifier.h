/* A notifier that tells of a line without stock in the log. */
#ifndef NODE_LOG_NOTIFIER_H
#define NODE_LOG_NOTIFIER_H

#include "node/log.h"

struct log_notifier {
    struct notifier port;
    struct logger *logger;
    struct log_limit limit;
};

/* The logger must outlive it. */
void log_notifier_init(struct log_notifier *notifier, struct logger *logger);

#endif
