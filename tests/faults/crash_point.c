#include "domain/base/crash_point.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* tools/coverage wants to know what a process did that ends at once; nobody else does. */
#ifdef ALLOCD_COVERAGE
extern void __gcov_dump(void);

static void keep_counters(void)
{
    __gcov_dump();
}

void _exit(int status)
{
    keep_counters();
    _Exit(status);
}
#else
static void keep_counters(void)
{
}
#endif

/* ALLOCD_CRASH is NAME or NAME:N. What it writes tells a death here from any other. Some points are
 * passed by several threads. */
void crash_point(const char *name)
{
    static atomic_ulong passed;
    const char *wanted = getenv("ALLOCD_CRASH");
    size_t len = strlen(name);
    if (wanted == NULL || strncmp(wanted, name, len) != 0)
        return;
    if (wanted[len] != '\0' && (wanted[len] != ':' || strtoul(wanted + len + 1, NULL, 10) >
                                                          atomic_fetch_add(&passed, 1) + 1))
        return;
    dprintf(STDERR_FILENO, "crash point %s\n", name);
    keep_counters();
    kill(getpid(), SIGKILL);
}
