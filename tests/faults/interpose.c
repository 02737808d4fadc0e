/* Calls of the C library and of ZeroMQ, defined once more: those of an executable come before those
 * of its libraries, in LMDB too. Each does the real call and tells the recorder; the injector may
 * have it fail. All this is for the data directory alone, the one that ALLOCD_WATCH names; sockets
 * and logs never notice. */
#include "tests/faults/injector.h"
#include "tests/faults/recorder.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zmq.h>

#define DESCRIPTORS_MAX 4096 /* a larger one is not watched */
#define VECTORS_MAX 64       /* nobody writes more at once */
#define SPARE "next-"        /* how names of spare segments begin */
#define META_BYTES 120       /* which LMDB writes of a meta page, and nobody of anything else */

/* The call that would have been made without this file, as `real`. Several threads may look for it
 * at once. */
#define REAL(name)                                                                                 \
    static void *_Atomic found;                                                                    \
    if (found == NULL)                                                                             \
        found = dlsym(RTLD_NEXT, #name);                                                           \
    __typeof__(name) *real;                                                                        \
    *(void **)&real = found

static atomic_bool watched[DESCRIPTORS_MAX]; /* other threads ask too, about their sockets */

static bool is_watched(int fd)
{
    bool is = fd >= 0 && fd < DESCRIPTORS_MAX && atomic_load(&watched[fd]);
    injector_is_about(is ? fd : -1);
    return is;
}

static bool is_watched_path(const char *path)
{
    const char *directory = getenv("ALLOCD_WATCH");
    if (directory == NULL)
        return false;
    size_t len = strlen(directory);
    injector_is_about(-1);
    return strncmp(path, directory, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static int opened(int fd, int flags)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX) {
        atomic_store(&watched[fd], true);
        recorder_opened(fd, flags);
    }
    return fd;
}

/* ---- paths ---- */

static mode_t mode_of(int flags, va_list args)
{
    return (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    REAL(open);
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    if (!is_watched_path(path))
        return real(path, flags, mode);
    return injector_fails("open") ? -1 : opened(real(path, flags, mode), flags);
}

int openat(int directory, const char *path, int flags, ...)
{
    REAL(openat);
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    if (!is_watched(directory))
        return real(directory, path, flags, mode);
    bool is_of_spare = (flags & O_CREAT) == 0 && strncmp(path, SPARE, sizeof SPARE - 1) == 0;
    bool fails = injector_fails("openat") || (is_of_spare && injector_fails("openat of spare"));
    return fails ? -1 : opened(real(directory, path, flags, mode), flags);
}

/* What fortified headers make of them where the flags are no constant. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open(path, flags);
}

int __openat_2(int directory, const char *path, int flags);
int __openat_2(int directory, const char *path, int flags)
{
    return openat(directory, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    return is_watched_path(path) && injector_fails("mkdir") ? -1 : real(path, mode);
}

int mkdirat(int directory, const char *path, mode_t mode)
{
    REAL(mkdirat);
    if (!is_watched(directory))
        return real(directory, path, mode);
    int rc = injector_fails("mkdirat") ? -1 : real(directory, path, mode);
    if (rc == 0)
        recorder_made(directory, path);
    return rc;
}

int renameat(int from, const char *path, int to, const char *new_path)
{
    REAL(renameat);
    if (!is_watched(from) || !is_watched(to))
        return real(from, path, to, new_path);
    int rc = injector_fails("renameat") ? -1 : real(from, path, to, new_path);
    if (rc == 0)
        recorder_renamed(from, path, to, new_path);
    return rc;
}

int unlinkat(int directory, const char *path, int flags)
{
    REAL(unlinkat);
    if (!is_watched(directory))
        return real(directory, path, flags);
    int rc = injector_fails("unlinkat") ? -1 : real(directory, path, flags);
    if (rc == 0)
        recorder_unlinked(directory, path);
    return rc;
}

int stat(const char *restrict path, struct stat *restrict out)
{
    REAL(stat);
    return is_watched_path(path) && injector_fails("stat") ? -1 : real(path, out);
}

int fstatat(int directory, const char *restrict path, struct stat *restrict out, int flags)
{
    REAL(fstatat);
    return is_watched(directory) && injector_fails("fstatat") ? -1
                                                              : real(directory, path, out, flags);
}

/* A null pointer is the end of the directory as well: errno tells them apart. */
struct dirent *readdir(DIR *directory)
{
    REAL(readdir);
    return is_watched(dirfd(directory)) && injector_fails("readdir") ? NULL : real(directory);
}

/* ---- bytes ---- */

ssize_t read(int fd, void *bytes, size_t len)
{
    REAL(read);
    return is_watched(fd) && injector_fails_or_cuts("read", &len) ? -1 : real(fd, bytes, len);
}

ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
    REAL(pread);
    return is_watched(fd) && injector_fails_or_cuts("pread", &len) ? -1
                                                                   : real(fd, bytes, len, offset);
}

/* Tells the recorder what came of a write of one piece. */
static ssize_t recorded(int fd, const void *bytes, ssize_t written, off_t offset)
{
    const struct iovec piece = {(void *)(uintptr_t)bytes, written > 0 ? (size_t)written : 0};
    if (written > 0)
        recorder_wrote(fd, &piece, (size_t)written, offset);
    else
        recorder_failed(fd);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    REAL(pwrite);
    if (!is_watched(fd))
        return real(fd, bytes, len, offset);
    bool fails = injector_fails_or_cuts("pwrite", &len) ||
                 (len == META_BYTES && injector_fails_or_cuts("pwrite of meta", &len));
    ssize_t written = fails ? -1 : real(fd, bytes, len, offset);
    return recorded(fd, bytes, written, offset);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    REAL(write);
    if (!is_watched(fd))
        return real(fd, bytes, len);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = injector_fails_or_cuts("write", &len) ? -1 : real(fd, bytes, len);
    return recorded(fd, bytes, written, offset);
}

/* Copies of `vectors` that hold `len` bytes together; returns how many they are. */
static int cut(const struct iovec *vectors, size_t len, struct iovec kept[VECTORS_MAX])
{
    int count = 0;
    for (; len > 0 && count < VECTORS_MAX; count++) {
        kept[count] = vectors[count];
        if (kept[count].iov_len > len)
            kept[count].iov_len = len;
        len -= kept[count].iov_len;
    }
    return count;
}

/* What came of the pieces. */
static ssize_t recorded_pieces(int fd, const struct iovec *vectors, ssize_t written, off_t offset)
{
    if (written > 0)
        recorder_wrote(fd, vectors, (size_t)written, offset);
    else
        recorder_failed(fd);
    return written;
}

static size_t sum_of(const struct iovec *vectors, int count)
{
    size_t all = 0;
    for (int i = 0; i < count; i++)
        all += vectors[i].iov_len;
    return all;
}

ssize_t writev(int fd, const struct iovec *vectors, int count)
{
    REAL(writev);
    if (!is_watched(fd))
        return real(fd, vectors, count);
    size_t all = sum_of(vectors, count);
    struct iovec kept[VECTORS_MAX];
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written =
        injector_fails_or_cuts("writev", &all) ? -1 : real(fd, kept, cut(vectors, all, kept));
    return recorded_pieces(fd, vectors, written, offset);
}

ssize_t pwritev(int fd, const struct iovec *vectors, int count, off_t offset)
{
    REAL(pwritev);
    if (!is_watched(fd))
        return real(fd, vectors, count, offset);
    size_t all = sum_of(vectors, count);
    struct iovec kept[VECTORS_MAX];
    ssize_t written = injector_fails_or_cuts("pwritev", &all)
                          ? -1
                          : real(fd, kept, cut(vectors, all, kept), offset);
    return recorded_pieces(fd, vectors, written, offset);
}

off_t lseek(int fd, off_t offset, int whence)
{
    REAL(lseek);
    return is_watched(fd) && injector_fails("lseek") ? -1 : real(fd, offset, whence);
}

int ftruncate(int fd, off_t length)
{
    REAL(ftruncate);
    if (!is_watched(fd))
        return real(fd, length);
    int rc = injector_fails("ftruncate") ? -1 : real(fd, length);
    if (rc == 0)
        recorder_resized(fd, length);
    return rc;
}

/* `all`: size and blocks too, where they have changed. */
static int synced(int fd, const char *call, int (*real)(int), bool all)
{
    uint64_t sync = recorder_syncing(fd);
    int rc = injector_fails(call) ? -1 : real(fd);
    int error = errno;
    recorder_synced(fd, sync, rc == 0, all);
    errno = error;
    return rc;
}

int fallocate(int fd, int mode, off_t from, off_t len)
{
    REAL(fallocate);
    if (!is_watched(fd))
        return real(fd, mode, from, len);
    int rc = injector_fails("fallocate") ? -1 : real(fd, mode, from, len);
    if (rc == 0)
        recorder_resized(fd, from + len); /* it is used on new files alone */
    return rc;
}

int fsync(int fd)
{
    REAL(fsync);
    return is_watched(fd) ? synced(fd, "fsync", real, true) : real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return is_watched(fd) ? synced(fd, "fdatasync", real, false) : real(fd);
}

/* ---- the rest of what is done with a descriptor ---- */

/* A descriptor is closed even where close fails. */
int close(int fd)
{
    REAL(close);
    if (!is_watched(fd))
        return real(fd);
    bool fails = injector_fails("close");
    atomic_store(&watched[fd], false);
    int error = errno;
    int rc = real(fd);
    if (fails)
        errno = error;
    return fails ? -1 : rc;
}

/* The C library closes the descriptor by a call of its own. */
int closedir(DIR *directory)
{
    REAL(closedir);
    int fd = dirfd(directory);
    if (is_watched(fd))
        atomic_store(&watched[fd], false);
    return real(directory);
}

int flock(int fd, int operation)
{
    REAL(flock);
    return is_watched(fd) && injector_fails("flock") ? -1 : real(fd, operation);
}

/* The third argument is a number or a pointer; both travel as a pointer here. */
int fcntl(int fd, int command, ...)
{
    REAL(fcntl);
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    return is_watched(fd) && injector_fails("fcntl") ? -1 : real(fd, command, argument);
}

int fstat(int fd, struct stat *out)
{
    REAL(fstat);
    return is_watched(fd) && injector_fails("fstat") ? -1 : real(fd, out);
}

/* What fstat was before glibc 2.33; LMDB may have been built with that. */
int __fxstat(int version, int fd, struct stat *out);
int __fxstat(int version, int fd, struct stat *out)
{
    (void)version;
    return fstat(fd, out);
}

int fstatfs(int fd, struct statfs *out)
{
    REAL(fstatfs);
    return is_watched(fd) && injector_fails("fstatfs") ? -1 : real(fd, out);
}

void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    REAL(mmap);
    return is_watched(fd) && injector_fails("mmap") ? MAP_FAILED
                                                    : real(at, len, protection, flags, fd, offset);
}

/* ---- what leaves the node ---- */

/* What the node's main thread sends leaves the node; the front's thread, passes requests on by the
 * same calls. */
static bool leaves_the_node(void)
{
    return gettid() == getpid();
}

/* The frame is libzmq's once it is sent, so a second reference is kept until then. */
int zmq_msg_send(zmq_msg_t *frame, void *socket, int flags)
{
    REAL(zmq_msg_send);
    zmq_msg_t kept;
    if (zmq_msg_init(&kept) != 0 || zmq_msg_copy(&kept, frame) != 0)
        abort();
    int rc = real(frame, socket, flags);
    int error = errno;
    if (rc >= 0 && leaves_the_node())
        recorder_sent(zmq_msg_data(&kept), zmq_msg_size(&kept), (flags & ZMQ_SNDMORE) != 0);
    zmq_msg_close(&kept);
    errno = error;
    return rc;
}

int zmq_send(void *socket, const void *bytes, size_t len, int flags)
{
    REAL(zmq_send);
    int rc = real(socket, bytes, len, flags);
    if (rc >= 0 && leaves_the_node())
        recorder_sent(bytes, len, (flags & ZMQ_SNDMORE) != 0);
    return rc;
}

/* It may not survive its own end, or never come to it. */
int zmq_ctx_term(void *context)
{
    REAL(zmq_ctx_term);
    if (injector_fails("ctx_term aborts"))
        abort();
    while (injector_fails("ctx_term hangs"))
        pause();
    return real(context);
}
