/* The smaller ports: time, those that are told of events, the log.
 *
 * The caller owns an interface, so all ports stand in this folder, and store/ and node/ implement
 * them ("Architecture Patterns with Python", chapters 2, 6 and 13). A port is a struct with a table
 * of functions, or one function, as its first member; an adapter embeds the port in a struct of its
 * own. No port function may be called from another one, nor from a second thread. */
#ifndef BUS_PORTS_WORLD_H
#define BUS_PORTS_WORLD_H

#include "domain/messages/message.h"

struct clock {
    uint64_t (*now_ms)(struct clock *clock);       /* since 1970, UTC; it may jump */
    uint64_t (*monotonic_us)(struct clock *clock); /* since some moment, for time spans */
};

/* Sends one event to whoever listens. Called after the commit, in the order of seq. Must not
 * block; what it cannot send it drops, as every event can be read again. */
struct publisher {
    void (*publish)(struct publisher *publisher, enum message_type type, struct text sku,
                    struct text body);
};

/* Tells purchasing that a line found no stock. False: it failed; that is counted and logged. */
struct notifier {
    bool (*out_of_stock)(struct notifier *notifier, const struct event *event);
};

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct logger {
    void (*log)(struct logger *logger, enum log_level level, const char *message);
};

#endif
