#include "store/journal/disk.h"

#include <assert.h>
#include <errno.h>
#include <sys/file.h>
#include <sys/types.h>
#include <unistd.h>

#define ZEROS_BYTES ((size_t)256 * 1024)

/* Whether to go on. A call that writes nothing and names no error would be repeated for ever. */
static bool goes_on(ssize_t written)
{
    if (written > 0)
        return true;
    if (written == 0)
        errno = ENOSPC;
    return written < 0 && errno == EINTR;
}

bool disk_write(int fd, const void *bytes, size_t len, uint64_t at)
{
    assert(fd >= 0 && len > 0);
    const unsigned char *next = bytes;
    while (len > 0) {
        ssize_t written = pwrite(fd, next, len, (off_t)at);
        if (!goes_on(written))
            return false;
        size_t step = written > 0 ? (size_t)written : 0;
        next += step;
        at += step;
        len -= step;
    }
    return true;
}

bool disk_write_pieces(int fd, struct iovec *pieces, int count, uint64_t at)
{
    assert(fd >= 0 && count > 0);
    while (count > 0) {
        ssize_t written = pwritev(fd, pieces, count, (off_t)at);
        if (!goes_on(written))
            return false;
        size_t step = written > 0 ? (size_t)written : 0;
        at += step;
        for (; count > 0 && step >= pieces->iov_len; pieces++, count--)
            step -= pieces->iov_len;
        if (count > 0) {
            pieces->iov_base = (unsigned char *)pieces->iov_base + step;
            pieces->iov_len -= step;
        }
    }
    return true;
}

bool disk_write_zeros(int fd, uint64_t from, uint64_t to)
{
    static const unsigned char zeros[ZEROS_BYTES];
    assert(fd >= 0 && from <= to);
    while (from < to) {
        size_t step = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;
        if (!disk_write(fd, zeros, step, from))
            return false;
        from += step;
    }
    return true;
}

bool disk_read(int fd, void *bytes, size_t len, uint64_t at, size_t *got)
{
    assert(fd >= 0 && len > 0);
    *got = 0;
    while (*got < len) {
        ssize_t count =
            pread(fd, (unsigned char *)bytes + *got, len - *got, (off_t)(at + (uint64_t)*got));
        if (count == 0)
            break;
        if (count < 0 && errno != EINTR)
            return false;
        *got += count > 0 ? (size_t)count : 0;
    }
    return true;
}

bool disk_sync(int fd)
{
    int rc;
    assert(fd >= 0);
    do
        rc = fdatasync(fd);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

bool disk_sync_all(int fd)
{
    int rc;
    assert(fd >= 0);
    do
        rc = fsync(fd);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

bool disk_lock(int fd)
{
    int rc;
    assert(fd >= 0);
    do
        rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

bool disk_is_full(int code)
{
    return code == ENOSPC || code == EDQUOT || code == EFBIG;
}
