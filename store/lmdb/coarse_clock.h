/* A clock for waiting and trying again: it never goes back, is some milliseconds behind, and asks
 * nothing of the kernel. */
#ifndef STORE_LMDB_COARSE_CLOCK_H
#define STORE_LMDB_COARSE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

#endif
