#include "node/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 1000

_Static_assert(LOG_LINE_BYTES <= PIPE_BUF, "a pipe takes a line as a whole, or not at all");

static const char *const level_names[] = {
    [LOG_ERROR] = "ERROR", [LOG_WARN] = "WARN", [LOG_INFO] = "INFO", [LOG_DEBUG] = "DEBUG"};

void log_clean(char *string)
{
    size_t left = strlen(string);
    while (left > 0) {
        size_t size = text_printable(string, left);
        if (size == 0) {
            size = text_character(string, left);
            size = size > 0 ? size : 1;
            memset(string, '?', size);
        }
        string += size;
        left -= size;
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

/* ---- writing without waiting ---- */

static ssize_t put(const struct node_log *log, const char *bytes, size_t len)
{
    int fd = log->own_fd >= 0 ? log->own_fd : log->fd;
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    if (log->way == LOG_WAY_SEND)
        return send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (log->way == LOG_WAY_POLL && poll(&room, 1, 0) != 1)
        return -1;
    return write(fd, bytes, len);
}

/* A line that was begun is ended before another one begins. */
static bool put_rest(struct node_log *log)
{
    ssize_t done = log->rest_len > 0 ? put(log, log->rest, log->rest_len) : 0;
    if (done > 0) {
        log->rest_len -= (size_t)done;
        memmove(log->rest, log->rest + done, log->rest_len);
    }
    return log->rest_len == 0;
}

/* One write, so that lines of several processes on one stderr do not mix. False: there was no room
 * for it, or whoever read it has gone. A log that cannot be written has nowhere to complain. */
static bool put_line(struct node_log *log, const char *line, size_t len)
{
    if (!put_rest(log))
        return false;
    ssize_t done = put(log, line, len);
    if (done < 0)
        return false;
    log->rest_len = len - (size_t)done;
    memcpy(log->rest, line + done, log->rest_len);
    return true;
}

static size_t format_line(char line[LOG_LINE_BYTES], enum log_level level, const char *message)
{
    char clean[LOG_MESSAGE_BYTES];
    snprintf(clean, sizeof(clean), "%s", message);
    log_clean(clean);
    size_t len = format_time(line, LOG_LINE_BYTES);
    return len + (size_t)snprintf(line + len, LOG_LINE_BYTES - len, " %s %s\n", level_names[level],
                                  clean);
}

static bool put_lost(struct node_log *log)
{
    char line[LOG_LINE_BYTES];
    char message[LOG_MESSAGE_BYTES];
    snprintf(message, sizeof(message), "lines lost here, as nobody took them: %" PRIu64, log->lost);
    if (!put_line(log, line, format_line(line, LOG_WARN, message)))
        return false;
    log->lost = 0;
    return true;
}

static void write_line(struct node_log *log, enum log_level level, const char *message)
{
    char line[LOG_LINE_BYTES];
    size_t len = format_line(line, level, message);
    pthread_mutex_lock(&log->mutex);
    if ((log->lost > 0 && !put_lost(log)) || !put_line(log, line, len))
        log->lost++;
    pthread_mutex_unlock(&log->mutex);
}

static void node_log_write(struct logger *logger, enum log_level level, const char *message)
{
    struct node_log *log = (struct node_log *)logger;
    if (level <= log->level)
        write_line(log, level, message);
}

/* A second description of a pipe or a terminal, which others than this process may share. */
static int open_again(int fd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void node_log_init(struct node_log *log, int fd, enum log_level level)
{
    struct stat what = {.st_mode = 0};
    *log = (struct node_log){.port = {node_log_write}, .level = level, .fd = fd, .own_fd = -1};
    pthread_mutex_init(&log->mutex, NULL);
    if (fstat(fd, &what) == 0 && (S_ISFIFO(what.st_mode) || isatty(fd)))
        log->own_fd = open_again(fd);
    if (S_ISSOCK(what.st_mode))
        log->way = LOG_WAY_SEND;
    else if (log->own_fd < 0 && !S_ISREG(what.st_mode))
        log->way = LOG_WAY_POLL;
}

void node_log_release(struct node_log *log)
{
    if (log->own_fd >= 0)
        close(log->own_fd);
    log->own_fd = -1;
    pthread_mutex_destroy(&log->mutex);
}

/* ---- what is logged ---- */

void node_log_always(struct node_log *log, const char *format, ...)
{
    char message[LOG_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    write_line(log, LOG_INFO, message);
}

void log_printf(struct logger *logger, enum log_level level, const char *format, ...)
{
    char message[LOG_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    logger->log(logger, level, message);
}

static void log_counted(struct logger *logger, enum log_level level, const char *message,
                        uint64_t more)
{
    if (more > 0)
        log_printf(logger, level, "%s (and %" PRIu64 " more like it, not logged)", message, more);
    else
        logger->log(logger, level, message);
}

void log_limited(struct logger *logger, struct log_limit *limit, uint64_t now_ms,
                 enum log_level level, const char *format, ...)
{
    bool is_quiet = now_ms < limit->quiet_until_ms;
    if (is_quiet && limit->suppressed++ > 0)
        return;
    char message[LOG_MESSAGE_BYTES - 64]; /* leaves room for the count */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    limit->level = level;
    if (is_quiet) {
        snprintf(limit->first, sizeof limit->first, "%.255s", message);
        return;
    }
    log_counted(logger, level, message, limit->suppressed);
    limit->suppressed = 0;
    limit->quiet_until_ms = now_ms + LIMIT_MS;
}

void log_rest(struct logger *logger, struct log_limit *limit, uint64_t now_ms, bool now)
{
    if (limit->suppressed == 0 || (!now && now_ms < limit->quiet_until_ms))
        return;
    log_counted(logger, limit->level, limit->first, limit->suppressed - 1);
    limit->suppressed = 0;
    limit->quiet_until_ms = now_ms + LIMIT_MS;
}
