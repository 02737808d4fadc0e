/* Writes the trace that ALLOCD_TRACE names (power_loss_trace.h). Calls go to the kernel directly,
 * past tests/faults/interpose.c, which calls this. */
#include "tests/faults/recorder.h"

#include "tests/faults/power_loss_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 4096 /* as in interpose.c */
#define PATH_BYTES 4096
#define HELD_BYTES ((size_t)64 * 1024) /* of what a file holds, in one entry */
#define PIECES_MAX 64                  /* of one write */
#define SEEN_MAX 1024                  /* files that were opened */

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER; /* several threads write and send */
static int trace_fd = -1;
static atomic_uint opens;
static _Atomic uint64_t syncs;
static atomic_uint opened[DESCRIPTORS_MAX]; /* by descriptor */
static ino_t seen[SEEN_MAX];                /* files whose bytes are in the trace */
static size_t seen_count;

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
static void append_pieces(struct trace_head head, const struct iovec *pieces)
{
    struct iovec parts[PIECES_MAX + 1] = {{&head, sizeof head}};
    size_t left = (size_t)head.len;
    int count = 1;
    for (; left > 0; pieces++, count++) {
        if (count > PIECES_MAX)
            abort();
        /* There are as many as head.len says. */
        size_t len = pieces->iov_len; /* NOLINT(clang-analyzer-core.*) */
        len = len < left ? len : left;
        parts[count] = (struct iovec){pieces->iov_base, len};
        left -= len;
    }
    int error = errno;
    pthread_mutex_lock(&busy);
    if (syscall(SYS_writev, trace_fd, parts, count) != (long)(sizeof head + head.len))
        abort();
    pthread_mutex_unlock(&busy);
    errno = error;
}

static void append(struct trace_head head, const void *bytes)
{
    const struct iovec piece = {(void *)(uintptr_t)bytes, (size_t)head.len};
    append_pieces(head, &piece);
}

static uint32_t opened_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS_MAX ? atomic_load(&opened[fd]) : 0;
}

static void append_held(int fd)
{
    unsigned char *bytes = malloc(HELD_BYTES);
    off_t at = 0;
    long len;
    if (bytes == NULL)
        abort();
    while ((len = syscall(SYS_pread64, fd, bytes, HELD_BYTES, at)) > 0) {
        append((struct trace_head){TRACE_HELD, opened_of(fd), (uint64_t)at, (uint64_t)len}, bytes);
        at += len;
    }
    free(bytes);
}

/* What the process does itself is in the trace: what a file held before is told once. */
static bool is_seen(int fd)
{
    struct stat status;
    bool is_known = false;
    if (syscall(SYS_fstat, fd, &status) != 0 || !S_ISREG(status.st_mode))
        return true;
    pthread_mutex_lock(&busy);
    for (size_t i = 0; i < seen_count && !is_known; i++)
        is_known = seen[i] == status.st_ino;
    if (!is_known && seen_count == SEEN_MAX)
        abort();
    if (!is_known)
        seen[seen_count++] = status.st_ino;
    pthread_mutex_unlock(&busy);
    return is_known;
}

/* The path of what is open. */
static size_t path_of(int fd, char out[PATH_BYTES])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long len = syscall(SYS_readlink, link, out, PATH_BYTES);
    if (len <= 0 || len == PATH_BYTES)
        abort();
    return (size_t)len;
}

/* A path in a directory that is open. */
static size_t path_in(int directory, const char *path, char out[PATH_BYTES])
{
    size_t len = path_of(directory, out);
    int more = snprintf(out + len, PATH_BYTES - len, "/%s", path);
    if (more < 0 || (size_t)more >= PATH_BYTES - len)
        abort();
    return len + (size_t)more;
}

void recorder_opened(int fd, int flags)
{
    int error = errno;
    char path[PATH_BYTES];
    if (!is_on() || fd >= DESCRIPTORS_MAX)
        return;
    size_t len = path_of(fd, path);
    atomic_store(&opened[fd], atomic_fetch_add(&opens, 1) + 1);
    append((struct trace_head){TRACE_OPENED, opened_of(fd), (uint64_t)flags, len}, path);
    if ((flags & O_TRUNC) != 0)
        recorder_resized(fd, 0);
    if ((flags & O_ACCMODE) == O_RDWR && !is_seen(fd))
        append_held(fd);
    errno = error;
}

void recorder_wrote(int fd, const struct iovec *pieces, size_t len, off_t offset)
{
    if (is_on())
        append_pieces((struct trace_head){TRACE_WROTE, opened_of(fd), (uint64_t)offset, len},
                      pieces);
}

void recorder_failed(int fd)
{
    if (is_on())
        append((struct trace_head){TRACE_FAILED, opened_of(fd), 0, 0}, NULL);
}

void recorder_resized(int fd, off_t length)
{
    if (is_on())
        append((struct trace_head){TRACE_RESIZED, opened_of(fd), (uint64_t)length, 0}, NULL);
}

uint64_t recorder_syncing(int fd)
{
    uint64_t sync = atomic_fetch_add(&syncs, 1) + 1;
    if (is_on())
        append((struct trace_head){TRACE_SYNCING, opened_of(fd), 4 * sync, 0}, NULL);
    return sync;
}

void recorder_synced(int fd, uint64_t sync, bool done, bool all)
{
    uint64_t flags = (all ? TRACE_SYNC_OF_ALL : 0) | (done ? 0 : TRACE_SYNC_FAILED);
    if (is_on())
        append((struct trace_head){TRACE_SYNCED, opened_of(fd), 4 * sync | flags, 0}, NULL);
}

static void append_path(enum trace_kind kind, int directory, const char *name)
{
    char path[PATH_BYTES];
    if (!is_on())
        return;
    size_t len = path_in(directory, name, path);
    append((struct trace_head){kind, 0, 0, len}, path);
}

void recorder_made(int directory, const char *path)
{
    append_path(TRACE_MADE, directory, path);
}

void recorder_unlinked(int directory, const char *path)
{
    append_path(TRACE_UNLINKED, directory, path);
}

void recorder_renamed(int from, const char *path, int to, const char *new_path)
{
    char old_one[PATH_BYTES];
    char new_one[PATH_BYTES];
    if (!is_on())
        return;
    size_t len = path_in(from, path, old_one) + 1;
    size_t new_len = path_in(to, new_path, new_one);
    const struct iovec pieces[] = {{old_one, len}, {new_one, new_len}};
    append_pieces((struct trace_head){TRACE_RENAMED, 0, 0, len + new_len}, pieces);
}

void recorder_sent(const void *bytes, size_t len, bool more)
{
    if (is_on())
        append((struct trace_head){TRACE_SENT, 0, more ? 1 : 0, len}, bytes);
}
