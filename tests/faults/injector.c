#include "tests/faults/injector.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CUT_SHORT (-1)

static const struct {
    const char *name;
    int code;
} errors[] = {
    {"EACCES", EACCES},   {"EAGAIN", EAGAIN}, {"EDQUOT", EDQUOT}, {"EFBIG", EFBIG},
    {"EINTR", EINTR},     {"EIO", EIO},       {"EMFILE", EMFILE}, {"ENFILE", ENFILE},
    {"ENOLCK", ENOLCK},   {"ENOMEM", ENOMEM}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS},
    {"SHORT", CUT_SHORT},
};

struct order {
    char call[24];
    int code; /* 0: nothing is ordered */
    unsigned long nth;
    bool forever;
};

/* The next part of CALL:ERROR:N, cut to `size`. */
static const char *take_part(const char *text, char *part, size_t size)
{
    size_t len = strcspn(text, ":");
    size_t kept = len < size ? len : size - 1;
    memcpy(part, text, kept);
    part[kept] = '\0';
    return text[len] == ':' ? text + len + 1 : text + len;
}

static struct order read_order(void)
{
    struct order order = {.code = 0};
    char error[16];
    const char *text = getenv("ALLOCD_FAULT");
    if (text == NULL)
        return order;
    text = take_part(text, order.call, sizeof order.call);
    text = take_part(text, error, sizeof error);
    char *end;
    order.nth = strtoul(text, &end, 10);
    order.forever = strcmp(end, ":forever") == 0;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (strcmp(error, errors[i].name) == 0)
            order.code = errors[i].code;
    }
    if (order.code == 0 || order.nth == 0 || (*end != '\0' && !order.forever))
        abort(); /* a typing error must not pass for a run without faults */
    return order;
}

static _Thread_local int subject = -1; /* of the call that this thread makes */

void injector_is_about(int fd)
{
    subject = fd;
}

/* The file gets its name when it has its text, as a test may look at any time. */
static void tell_that_it_fired(void)
{
    char link[32];
    char name[PATH_MAX];
    char made[PATH_MAX];
    const char *path = getenv("ALLOCD_FAULT_FIRED");
    if (path == NULL)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", subject);
    ssize_t len = subject >= 0 ? readlink(link, name, sizeof name) : 0;
    snprintf(made, sizeof made, "%s.new", path);
    int fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || (len > 0 && write(fd, name, (size_t)len) != len) || rename(made, path) != 0)
        abort();
    close(fd);
}

static struct order order;

static void take_order(void)
{
    order = read_order();
}

/* The ordered code if it is the turn of this call, else 0. Calls of all threads count. */
static int turn_of(const char *call)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static atomic_ulong calls;
    pthread_once(&once, take_order);
    if (order.code == 0 || strcmp(call, order.call) != 0)
        return 0;
    unsigned long count = atomic_fetch_add(&calls, 1) + 1;
    if (count < order.nth || (count > order.nth && !order.forever))
        return 0;
    if (count == order.nth)
        tell_that_it_fired();
    return order.code;
}

bool injector_fails_or_cuts(const char *call, size_t *len)
{
    int code = turn_of(call);
    if (code == CUT_SHORT)
        *len /= 2;
    else if (code != 0)
        errno = code;
    return code > 0;
}

bool injector_fails(const char *call)
{
    size_t all = 0;
    return injector_fails_or_cuts(call, &all);
}
