#include "node/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void memory_gauge_open(struct memory_gauge *gauge)
{
    gauge->fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    gauge->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
}

void memory_gauge_close(struct memory_gauge *gauge)
{
    if (gauge->fd >= 0)
        close(gauge->fd);
    gauge->fd = -1;
}

/* proc(5): size, resident, shared, all in pages. */
uint64_t memory_gauge_read(const struct memory_gauge *gauge)
{
    char text[128];
    ssize_t len = gauge->fd < 0 ? -1 : pread(gauge->fd, text, sizeof text - 1, 0);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    char *next;
    strtoull(text, &next, 10);
    uint64_t resident = strtoull(next, &next, 10);
    uint64_t shared = strtoull(next, NULL, 10);
    return shared < resident ? (resident - shared) * gauge->page_bytes : 0;
}
