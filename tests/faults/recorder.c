#include "tests/faults/recorder.h"

void recorder_opened(int fd, const char *path, int flags)
{
    (void)fd;
    (void)path;
    (void)flags;
}

void recorder_wrote(int fd, const void *bytes, size_t len, off_t offset)
{
    (void)fd;
    (void)bytes;
    (void)len;
    (void)offset;
}

void recorder_resized(int fd, off_t length)
{
    (void)fd;
    (void)length;
}

void recorder_synced(int fd)
{
    (void)fd;
}

void recorder_closed(int fd)
{
    (void)fd;
}

void recorder_unlinked(const char *path)
{
    (void)path;
}

void recorder_sent(const void *bytes, size_t len, bool more)
{
    (void)bytes;
    (void)len;
    (void)more;
}
