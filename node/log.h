/* The node's log: one line to stderr, `YYYY-MM-DDTHH:MM:SS.mmmZ LEVEL message`, by one write.
 *
 * It never blocks. A line that cannot be written at once, as a pipe or a terminal is full and
 * nobody reads it, is dropped and counted, and before the next one that can be written stands a
 * line that says how many were lost. Any thread may log. */
#ifndef NODE_LOG_H
#define NODE_LOG_H

#include "bus/ports/world.h"

#include <pthread.h>

#define LOG_MESSAGE_BYTES 1024
#define LOG_LINE_BYTES (LOG_MESSAGE_BYTES + 64) /* with time, level and newline */

/* How a line is written without waiting. O_NONBLOCK would hold for all who share the description,
 * such as the shell of a terminal, so that it is not set on what the node was given. */
enum log_way {
    LOG_WAY_WRITE, /* never waits: a file, or a description of the log's own */
    LOG_WAY_SEND,  /* a socket */
    LOG_WAY_POLL   /* anything else: asked first whether there is room */
};

/* The logger of bus/ports/world.h that writes. `fd` stays the caller's. */
struct node_log {
    struct logger port;
    enum log_level level; /* what is less grave than this is not written */
    int fd;
    int own_fd; /* the same pipe or terminal, opened once more, or -1 */
    enum log_way way;
    pthread_mutex_t mutex; /* of what follows */
    uint64_t lost;         /* lines since the last one that was written */
    char rest[LOG_LINE_BYTES];
    size_t rest_len; /* of a line that was written in part */
};

void node_log_init(struct node_log *log, int fd, enum log_level level);
void node_log_release(struct node_log *log);

/* Writes at every level: for the one line that says that the node is ready. */
void node_log_always(struct node_log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Through the port, so that it works with any logger. Beyond 1 KiB a message is cut. */
void log_printf(struct logger *logger, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define LOG_LIMIT_SAMPLE_BYTES 256

/* Keeps one kind of message, which strangers can cause, from being a flood. Starts as {0}. It is of
 * one thread. */
struct log_limit {
    uint64_t quiet_until_ms;
    uint64_t suppressed; /* since the last one that was logged */
    enum log_level level;
    char first[LOG_LIMIT_SAMPLE_BYTES]; /* of those: it stands for the others in log_rest */
};

/* As log_printf, but once in a second at most for each `limit`; then with the number of those that
 * were left out. `now_ms` is of a clock that never goes back. */
void log_limited(struct logger *logger, struct log_limit *limit, uint64_t now_ms,
                 enum log_level level, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Logs what was left out, once its second has passed, or `now`: else the last ones of a flood would
 * never be told. To be called now and then, and at the end. */
void log_rest(struct logger *logger, struct log_limit *limit, uint64_t now_ms, bool now);

/* Makes a string fit for one line: control characters and what is no UTF-8 become `?`. */
void log_clean(char *string);

#endif
