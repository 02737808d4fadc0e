/* The node's log: one line to stderr, `YYYY-MM-DDTHH:MM:SS.mmmZ LEVEL message`, by one write. */
#ifndef NODE_LOG_H
#define NODE_LOG_H

#include "bus/ports.h"

/* The logger of bus/ports.h that writes. It owns nothing; `fd` stays the caller's. */
struct node_log {
    struct logger port;
    enum log_level level; /* what is less grave than this is not written */
    int fd;
};

void node_log_init(struct node_log *log, int fd, enum log_level level);

/* Writes at every level: for the one line that says that the node is ready. */
void node_log_always(struct node_log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Through the port, so that it works with any logger. Beyond 1 KiB a message is cut. */
void log_printf(struct logger *logger, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Keeps one kind of message, which strangers can cause, from being a flood. Starts as {0}. */
struct log_limit {
    uint64_t quiet_until_ms;
    uint64_t suppressed; /* since the last one that was logged */
};

/* As log_printf, but once in a second at most for each `limit`; then with the number of those that
 * were left out. `now_ms` is of a clock that never goes back. */
void log_limited(struct logger *logger, struct log_limit *limit, uint64_t now_ms,
                 enum log_level level, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Makes a string fit for one line: control characters and what is no UTF-8 become `?`. */
void log_clean(char *string);

#endif
