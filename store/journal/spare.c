#include "store/journal/spare.h"

#include "domain/base/crash_point.h"
#include "store/journal/disk.h"
#include "store/journal/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define STEP_BYTES (UINT64_C(1) << 20)

void spare_drop(struct spare *spare, int directory_fd)
{
    char name[SEGMENT_NAME_BYTES];
    if (spare->fd < 0)
        return;
    assert(spare->ordinal > 0 && spare->done <= spare->bytes);
    segment_spare_name(spare->ordinal, name);
    close(spare->fd);
    unlinkat(directory_fd, name, 0);
    spare->fd = -1;
}

static enum store_result failed(struct spare *spare, int directory_fd)
{
    int code = errno;
    spare_drop(spare, directory_fd);
    errno = code; /* for whoever tells why */
    return disk_is_full(code) ? STORE_FULL : STORE_FAILED;
}

enum store_result spare_begin(struct spare *spare, int directory_fd, uint64_t ordinal,
                              uint64_t bytes)
{
    char name[SEGMENT_NAME_BYTES];
    assert(spare->fd < 0 && bytes >= SEGMENT_BYTES_MIN);
    segment_spare_name(ordinal, name);
    *spare = (struct spare){.ordinal = ordinal, .bytes = bytes};
    CRASH_POINT(journal_before_preparing);
    spare->fd = openat(directory_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (spare->fd < 0)
        return failed(spare, directory_fd);
    /* A full disk is found out before anything is written to it. Not all file systems can tell. */
    if (fallocate(spare->fd, 0, 0, (off_t)bytes) != 0 && disk_is_full(errno))
        return failed(spare, directory_fd);
    return STORE_OK;
}

enum store_result spare_go_on(struct spare *spare, int directory_fd, bool *is_ready)
{
    assert(spare->fd >= 0 && spare->done < spare->bytes);
    uint64_t left = spare->bytes - spare->done;
    uint64_t to = spare->done + (left < STEP_BYTES ? left : STEP_BYTES);
    *is_ready = false;
    if (!disk_write_zeros(spare->fd, spare->done, to))
        return failed(spare, directory_fd);
    CRASH_POINT(journal_preparing);
    if (!(to == spare->bytes ? disk_sync_all(spare->fd) : disk_sync(spare->fd)))
        return failed(spare, directory_fd);
    spare->done = to;
    if (to < spare->bytes)
        return STORE_OK;
    close(spare->fd);
    spare->fd = -1;
    *is_ready = true;
    CRASH_POINT(journal_prepared);
    return STORE_OK;
}

enum store_result spare_make(int directory_fd, uint64_t ordinal, uint64_t bytes)
{
    struct spare spare = {.fd = -1};
    bool is_ready = false;
    assert(ordinal > 0);
    enum store_result result = spare_begin(&spare, directory_fd, ordinal, bytes);
    while (result == STORE_OK && !is_ready)
        result = spare_go_on(&spare, directory_fd, &is_ready);
    assert(spare.fd < 0);
    return result;
}
