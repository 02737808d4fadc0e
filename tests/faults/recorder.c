/* Writes the trace that ALLOCD_TRACE names (power_loss_trace.h). Calls go to the kernel directly,
 * past tests/faults/interpose.c, which calls this. */
#include "tests/faults/recorder.h"

#include "tests/faults/power_loss_trace.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 4096 /* as in interpose.c */
#define PATH_BYTES 4096
#define HELD_BYTES ((size_t)64 * 1024) /* of what a file holds, in one entry */

static atomic_flag busy = ATOMIC_FLAG_INIT; /* libzmq's thread sends too, to its monitors */
static int trace_fd = -1;
static uint32_t opens;
static uint32_t opened[DESCRIPTORS_MAX]; /* by descriptor */

static void start(void)
{
    const char *path = getenv("ALLOCD_TRACE");
    if (path != NULL)
        trace_fd = (int)syscall(SYS_openat, AT_FDCWD, path,
                                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static bool is_on(void)
{
    static pthread_once_t started = PTHREAD_ONCE_INIT;
    pthread_once(&started, start);
    return trace_fd >= 0;
}

/* A trace with a hole would accuse the node of what it did not do. */
static void append(struct trace_head head, const void *bytes)
{
    struct iovec parts[] = {{&head, sizeof head}, {(void *)(uintptr_t)bytes, head.len}};
    while (atomic_flag_test_and_set(&busy))
        continue;
    if (syscall(SYS_writev, trace_fd, parts, 2) != (long)(sizeof head + head.len))
        abort();
    atomic_flag_clear(&busy);
}

static uint32_t opened_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS_MAX ? opened[fd] : 0;
}

static void append_held(int fd)
{
    static unsigned char bytes[HELD_BYTES];
    off_t at = 0;
    for (;;) {
        long len = syscall(SYS_pread64, fd, bytes, sizeof bytes, at);
        if (len <= 0)
            return;
        append((struct trace_head){TRACE_HELD, opened_of(fd), (uint64_t)at, (uint64_t)len}, bytes);
        at += len;
    }
}

void recorder_opened(int fd, const char *path, int flags)
{
    (void)path; /* it may be relative to another descriptor */
    if (!is_on() || fd >= DESCRIPTORS_MAX)
        return;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    char target[PATH_BYTES];
    long target_len = syscall(SYS_readlink, link, target, sizeof target);
    if (target_len <= 0)
        abort();
    opened[fd] = ++opens;
    append((struct trace_head){TRACE_OPENED, opened[fd], (uint64_t)flags, (uint64_t)target_len},
           target);
    if ((flags & O_ACCMODE) == O_RDWR)
        append_held(fd);
    else if ((flags & O_TRUNC) != 0)
        recorder_resized(fd, 0);
}

void recorder_wrote(int fd, const void *bytes, size_t len, off_t offset)
{
    if (is_on())
        append((struct trace_head){TRACE_WROTE, opened_of(fd), (uint64_t)offset, len}, bytes);
}

void recorder_resized(int fd, off_t length)
{
    if (is_on())
        append((struct trace_head){TRACE_RESIZED, opened_of(fd), (uint64_t)length, 0}, NULL);
}

void recorder_synced(int fd)
{
    if (is_on())
        append((struct trace_head){TRACE_SYNCED, opened_of(fd), 0, 0}, NULL);
}

void recorder_closed(int fd)
{
    (void)fd; /* nothing that a power cut could change */
}

void recorder_unlinked(const char *path)
{
    if (is_on())
        append((struct trace_head){TRACE_UNLINKED, 0, 0, strlen(path)}, path);
}

void recorder_sent(const void *bytes, size_t len, bool more)
{
    if (is_on())
        append((struct trace_head){TRACE_SENT, 0, more ? 1 : 0, len}, bytes);
}
