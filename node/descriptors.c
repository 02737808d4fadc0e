#include "node/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

#define LOOKED_AT_MAX 65536 /* open ones have the lowest numbers, or nearly so */

static size_t count_open(size_t limit)
{
    size_t count = 0;
    for (size_t fd = 0; fd < limit && fd < LOOKED_AT_MAX; fd++)
        count += fcntl((int)fd, F_GETFD) != -1 || errno != EBADF;
    return count;
}

bool descriptors_suffice(size_t to_come, char error[ERROR_BYTES])
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return true; /* nobody can tell */
    size_t own = count_open(limit.rlim_cur) + to_come;
    size_t needed = own + DESCRIPTORS_FOR_FILES + DESCRIPTORS_CONNECTIONS_MIN;
    if (limit.rlim_cur >= needed)
        return true;
    snprintf(error, ERROR_BYTES,
             "too few file descriptors: the limit is %zu, and %zu are needed (%zu of its own, "
             "%d in reserve, %d for connections): ulimit -n, or LimitNOFILE= of systemd",
             (size_t)limit.rlim_cur, needed, own, DESCRIPTORS_FOR_FILES,
             DESCRIPTORS_CONNECTIONS_MIN);
    return false;
}

size_t descriptors_for_connections(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return LOOKED_AT_MAX; /* nobody can tell */
    size_t others = count_open(limit.rlim_cur) + DESCRIPTORS_FOR_FILES;
    return limit.rlim_cur > others ? limit.rlim_cur - others : 0;
}
