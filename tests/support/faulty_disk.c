#include "tests/support/faulty_disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR ((size_t)512)
#define SECTORS_MAX 65536
#define NAMES_MAX 64
#define FILES_MAX 64
#define NAME_BYTES 80

ssize_t __real_pwrite(int fd, const void *bytes, size_t len, off_t at);
ssize_t __real_pwritev(int fd, const struct iovec *pieces, int count, off_t at);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_unlinkat(int fd, const char *name, int flags);
int __real_openat(int fd, const char *name, int flags, ...);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at);
ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int count, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __wrap_openat(int fd, const char *name, int flags, ...);

struct sector {
    ino_t file;
    off_t at;
    unsigned char before[SECTOR];
};

/* A name that was given or taken away, and not synced. */
struct name_change {
    int directory_fd;
    char from[NAME_BYTES];
    char to[NAME_BYTES]; /* of a removed file: where it waits for the sync */
    bool is_removal;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;

static struct {
    enum disk_call call;
    uint64_t left; /* calls until the one that fails; 0: none does */
    int code;
    bool for_good;
    bool has_failed;
    bool is_held;
    uint64_t calls[DISK_ANY + 1];
    bool is_watched;
    struct sector *sectors;
    size_t sector_count;
    struct name_change names[NAMES_MAX];
    size_t name_count;
    uint64_t removed;
    struct {
        ino_t file;
        int fd;
    } files[FILES_MAX];
    size_t file_count;
} disk;

static void lock(void)
{
    pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

void faulty_disk_reset(void)
{
    lock();
    disk.left = 0;
    disk.has_failed = disk.is_held = false;
    memset(disk.calls, 0, sizeof disk.calls);
    pthread_cond_broadcast(&released);
    unlock();
}

void faulty_disk_fail(enum disk_call call, uint64_t n, int code, bool for_good)
{
    assert(call <= DISK_ANY);
    lock();
    disk.call = call;
    disk.left = n;
    disk.code = code;
    disk.for_good = for_good;
    disk.has_failed = false;
    unlock();
}

bool faulty_disk_has_failed(void)
{
    lock();
    bool has_failed = disk.has_failed;
    unlock();
    return has_failed;
}

uint64_t faulty_disk_calls(enum disk_call call)
{
    assert(call <= DISK_ANY);
    lock();
    uint64_t calls = disk.calls[call];
    unlock();
    return calls;
}

void faulty_disk_hold(void)
{
    lock();
    disk.is_held = true;
    unlock();
}

void faulty_disk_release(void)
{
    lock();
    disk.is_held = false;
    pthread_cond_broadcast(&released);
    unlock();
}

/* Whether this call fails, and how. With the mutex held. */
static int count_call(enum disk_call call)
{
    disk.calls[call]++;
    disk.calls[DISK_ANY]++;
    if (disk.left == 0 || (disk.call != DISK_ANY && disk.call != call))
        return 0;
    if (disk.left > 1) {
        disk.left--;
        return 0;
    }
    if (!disk.for_good)
        disk.left = 0;
    disk.has_failed = true;
    return disk.code;
}

/* ---- what is not synced ---- */

static void remember_file(int fd, ino_t file)
{
    for (size_t i = 0; i < disk.file_count; i++) {
        if (disk.files[i].file == file)
            return;
    }
    assert(disk.file_count < FILES_MAX);
    disk.files[disk.file_count].file = file;
    disk.files[disk.file_count++].fd = dup(fd);
}

static void remember_sectors(int fd, off_t at, size_t len)
{
    struct stat status;
    if (!disk.is_watched)
        return;
    int rc = fstat(fd, &status);
    assert(rc == 0);
    remember_file(fd, status.st_ino);
    for (off_t sector = at / (off_t)SECTOR * (off_t)SECTOR; sector < at + (off_t)len;
         sector += (off_t)SECTOR) {
        assert(disk.sector_count < SECTORS_MAX);
        struct sector *one = &disk.sectors[disk.sector_count++];
        *one = (struct sector){.file = status.st_ino, .at = sector};
        ssize_t got = pread(fd, one->before, SECTOR, sector);
        assert(got >= 0);
    }
}

static void forget_sectors(ino_t file)
{
    size_t kept = 0;
    for (size_t i = 0; i < disk.sector_count; i++) {
        if (disk.sectors[i].file != file)
            disk.sectors[kept++] = disk.sectors[i];
    }
    disk.sector_count = kept;
}

static void forget_names(void)
{
    for (size_t i = 0; i < disk.name_count; i++) {
        if (disk.names[i].is_removal)
            __real_unlinkat(disk.names[i].directory_fd, disk.names[i].to, 0);
        close(disk.names[i].directory_fd);
    }
    disk.name_count = 0;
}

static void remember_name(int fd, const char *from, const char *to, bool is_removal)
{
    if (!disk.is_watched)
        return;
    assert(disk.name_count < NAMES_MAX);
    struct name_change *change = &disk.names[disk.name_count++];
    change->directory_fd = dup(fd);
    change->is_removal = is_removal;
    snprintf(change->from, sizeof change->from, "%s", from);
    snprintf(change->to, sizeof change->to, "%s", to);
}

static void forget_synced(int fd)
{
    struct stat status;
    int rc = fstat(fd, &status);
    assert(rc == 0);
    if (S_ISDIR(status.st_mode))
        forget_names();
    else
        forget_sectors(status.st_ino);
}

void faulty_disk_watch(void)
{
    lock();
    disk.sectors = calloc(SECTORS_MAX, sizeof *disk.sectors);
    assert(disk.sectors != NULL);
    disk.is_watched = true;
    unlock();
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 31;
}

/* Names come and go in their order, so that the last ones of them are lost. A sector is as before
 * all that was not synced, or as after. */
_Noreturn void faulty_disk_cut_power(uint64_t chance)
{
    lock(); /* for good: nobody else does anything any more */
    size_t lost = disk.name_count > 0 ? mix(chance, 1) % (disk.name_count + 1) : 0;
    for (; lost > 0; lost--) {
        const struct name_change *change = &disk.names[--disk.name_count];
        __real_renameat(change->directory_fd, change->to, change->directory_fd, change->from);
    }
    uint64_t share = mix(chance, 2) % 5; /* none of them, some, all */
    for (size_t i = disk.sector_count; i-- > 0;) {
        const struct sector *sector = &disk.sectors[i];
        uint64_t dice = mix(chance, (uint64_t)sector->file << 20 ^ (uint64_t)sector->at) % 4;
        for (size_t f = 0; dice < share && f < disk.file_count; f++) {
            if (disk.files[f].file == sector->file)
                __real_pwrite(disk.files[f].fd, sector->before, SECTOR, sector->at);
        }
    }
    forget_names();
    raise(SIGKILL);
    abort();
}

/* ---- the calls ---- */

static void wait_for_release(void)
{
    while (disk.is_held)
        pthread_cond_wait(&released, &mutex);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    lock();
    int code = count_call(DISK_PWRITE);
    ssize_t written = -1;
    if (code == DISK_SHORT)
        len = len / 2 + 1;
    if (code <= 0) {
        remember_sectors(fd, at, len);
        written = __real_pwrite(fd, bytes, len, at);
    }
    int result = code > 0 ? code : errno;
    unlock();
    errno = result;
    return written;
}

static size_t sum_of(const struct iovec *pieces, int count)
{
    size_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += pieces[i].iov_len;
    return sum;
}

/* What failed may have written some all the same, as a disk does. */
ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int count, off_t at)
{
    lock();
    int code = count_call(DISK_PWRITEV);
    ssize_t written;
    remember_sectors(fd, at, sum_of(pieces, count));
    if (code != 0)
        written = __real_pwrite(fd, pieces[0].iov_base,
                                pieces[0].iov_len / (code > 0 ? 1 : 3) + 1 - (code > 0), at);
    else
        written = __real_pwritev(fd, pieces, count, at);
    if (code > 0)
        written = -1;
    int result = code > 0 ? code : errno;
    unlock();
    errno = result;
    return written;
}

static int sync_with(int (*real)(int), enum disk_call call, int fd)
{
    lock();
    wait_for_release();
    int code = count_call(call);
    int rc = code != 0 ? -1 : real(fd);
    int result = code > 0 ? code : errno;
    if (code == DISK_SHORT)
        result = EINTR;
    if (rc == 0 && disk.is_watched)
        forget_synced(fd);
    unlock();
    errno = result;
    return rc;
}

int __wrap_fdatasync(int fd)
{
    return sync_with(__real_fdatasync, DISK_FDATASYNC, fd);
}

int __wrap_fsync(int fd)
{
    return sync_with(__real_fsync, DISK_FSYNC, fd);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    lock();
    int code = count_call(DISK_RENAME);
    int rc = code > 0 ? -1 : __real_renameat(from_fd, from, to_fd, to);
    int result = code > 0 ? code : errno;
    if (rc == 0)
        remember_name(from_fd, from, to, false);
    unlock();
    errno = result;
    return rc;
}

int __wrap_unlinkat(int fd, const char *name, int flags)
{
    char grave[NAME_BYTES];
    lock();
    int code = count_call(DISK_UNLINK);
    int rc = -1;
    if (code <= 0 && disk.is_watched) {
        snprintf(grave, sizeof grave, "removed-%u", (unsigned)disk.removed++);
        rc = __real_renameat(fd, name, fd, grave);
        if (rc == 0)
            remember_name(fd, name, grave, true);
    } else if (code <= 0) {
        rc = __real_unlinkat(fd, name, flags);
    }
    int result = code > 0 ? code : errno;
    unlock();
    errno = result;
    return rc;
}

int __wrap_openat(int fd, const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    lock();
    int code = count_call(DISK_OPEN);
    int opened = code > 0 ? -1 : __real_openat(fd, name, flags, mode);
    int result = code > 0 ? code : errno;
    unlock();
    errno = result;
    return opened;
}
