#include "node/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_SIZE 1024
#define LIMIT_MS 1000

static const char *const level_names[] = {
    [LOG_ERROR] = "ERROR", [LOG_WARN] = "WARN", [LOG_INFO] = "INFO", [LOG_DEBUG] = "DEBUG"};

void log_clean(char *string)
{
    size_t left = strlen(string);
    while (left > 0) {
        size_t size = text_character(string, left);
        /* One character at a time is a name only if it is no control character. */
        bool is_clean = size > 0 && text_is_name((struct text){string, size}, size);
        if (!is_clean)
            memset(string, '?', size > 0 ? size : 1);
        string += size > 0 ? size : 1;
        left -= size > 0 ? size : 1;
    }
}

static size_t format_time(char *out, size_t size)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return len + (size_t)snprintf(out + len, size - len, ".%03ldZ", now.tv_nsec / 1000000);
}

/* One write, so that lines of several processes on one stderr do not mix. A log that cannot be
 * written has nowhere to complain. */
static void write_line(int fd, enum log_level level, const char *message)
{
    char clean[MESSAGE_SIZE];
    char line[MESSAGE_SIZE + 64];
    snprintf(clean, sizeof(clean), "%s", message);
    log_clean(clean);
    size_t len = format_time(line, sizeof(line));
    len += (size_t)snprintf(line + len, sizeof(line) - len, " %s %s\n", level_names[level], clean);
    while (write(fd, line, len) < 0 && errno == EINTR)
        ;
}

static void node_log_write(struct logger *logger, enum log_level level, const char *message)
{
    struct node_log *log = (struct node_log *)logger;
    if (level <= log->level)
        write_line(log->fd, level, message);
}

void node_log_init(struct node_log *log, int fd, enum log_level level)
{
    *log = (struct node_log){.port = {node_log_write}, .level = level, .fd = fd};
}

void node_log_always(struct node_log *log, const char *format, ...)
{
    char message[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    write_line(log->fd, LOG_INFO, message);
}

void log_printf(struct logger *logger, enum log_level level, const char *format, ...)
{
    char message[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    logger->log(logger, level, message);
}

void log_limited(struct logger *logger, struct log_limit *limit, uint64_t now_ms,
                 enum log_level level, const char *format, ...)
{
    if (now_ms < limit->quiet_until_ms) {
        limit->suppressed++;
        return;
    }
    char message[MESSAGE_SIZE - 64]; /* leaves room for the count */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (limit->suppressed > 0)
        log_printf(logger, level, "%s (and %" PRIu64 " more like it, not logged)", message,
                   limit->suppressed);
    else
        logger->log(logger, level, message);
    *limit = (struct log_limit){.quiet_until_ms = now_ms + LIMIT_MS};
}
