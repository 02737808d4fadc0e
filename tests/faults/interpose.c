/* Calls of the C library and of ZeroMQ, defined once more: those of an executable come before those
 * of its libraries, in LMDB too. Each does the real call and tells the recorder; the injector may
 * have it fail. All this is for the data directory alone, the one that ALLOCD_WATCH names; sockets
 * and logs never notice. */
#include "tests/faults/injector.h"
#include "tests/faults/recorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
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
#define VECTORS_MAX 64       /* LMDB writes no more at once */
#define META_BYTES 120       /* which LMDB writes of a meta page, and nobody of anything else */

/* The call that would have been made without this file, as `real`. */
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (real == NULL)                                                                              \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

static atomic_bool watched[DESCRIPTORS_MAX]; /* other threads ask too, about their sockets */

static bool is_watched(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS_MAX && atomic_load(&watched[fd]);
}

static bool is_watched_path(const char *path)
{
    const char *directory = getenv("ALLOCD_WATCH");
    if (directory == NULL)
        return false;
    size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static int opened(int fd, const char *path, int flags)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX) {
        atomic_store(&watched[fd], true);
        recorder_opened(fd, path, flags);
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
    return injector_fails("open") ? -1 : opened(real(path, flags, mode), path, flags);
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
    return injector_fails("openat") ? -1 : opened(real(directory, path, flags, mode), path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    return is_watched_path(path) && injector_fails("mkdir") ? -1 : real(path, mode);
}

int unlinkat(int directory, const char *path, int flags)
{
    REAL(unlinkat);
    if (!is_watched(directory))
        return real(directory, path, flags);
    int rc = injector_fails("unlinkat") ? -1 : real(directory, path, flags);
    if (rc == 0)
        recorder_unlinked(path);
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

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    REAL(pwrite);
    if (!is_watched(fd))
        return real(fd, bytes, len, offset);
    bool fails = injector_fails_or_cuts("pwrite", &len) ||
                 (len == META_BYTES && injector_fails_or_cuts("pwrite of meta", &len));
    ssize_t written = fails ? -1 : real(fd, bytes, len, offset);
    if (written > 0)
        recorder_wrote(fd, bytes, (size_t)written, offset);
    return written;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    REAL(write);
    if (!is_watched(fd))
        return real(fd, bytes, len);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = injector_fails_or_cuts("write", &len) ? -1 : real(fd, bytes, len);
    if (written > 0)
        recorder_wrote(fd, bytes, (size_t)written, offset);
    return written;
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

static void record_vectors(int fd, const struct iovec *vectors, size_t written, off_t offset)
{
    for (; written > 0; vectors++) {
        size_t len = vectors->iov_len < written ? vectors->iov_len : written;
        recorder_wrote(fd, vectors->iov_base, len, offset);
        written -= len;
        offset += (off_t)len;
    }
}

ssize_t writev(int fd, const struct iovec *vectors, int count)
{
    REAL(writev);
    if (!is_watched(fd))
        return real(fd, vectors, count);
    size_t all = 0;
    for (int i = 0; i < count; i++)
        all += vectors[i].iov_len;
    struct iovec kept[VECTORS_MAX];
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written =
        injector_fails_or_cuts("writev", &all) ? -1 : real(fd, kept, cut(vectors, all, kept));
    if (written > 0)
        record_vectors(fd, vectors, (size_t)written, offset);
    return written;
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

int fsync(int fd)
{
    REAL(fsync);
    if (!is_watched(fd))
        return real(fd);
    int rc = injector_fails("fsync") ? -1 : real(fd);
    if (rc == 0)
        recorder_synced(fd);
    return rc;
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    if (!is_watched(fd))
        return real(fd);
    int rc = injector_fails("fdatasync") ? -1 : real(fd);
    if (rc == 0)
        recorder_synced(fd);
    return rc;
}

/* ---- the rest of what is done with a descriptor ---- */

/* A descriptor is closed even where close fails. */
int close(int fd)
{
    REAL(close);
    if (!is_watched(fd))
        return real(fd);
    bool fails = injector_fails("close");
    recorder_closed(fd);
    atomic_store(&watched[fd], false);
    int error = errno;
    int rc = real(fd);
    if (fails)
        errno = error;
    return fails ? -1 : rc;
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
