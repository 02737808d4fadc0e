#include "node/system_clock.h"

#include <time.h>

static uint64_t read_clock_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t system_clock_now_ms(struct clock *clock)
{
    (void)clock;
    return read_clock_ns(CLOCK_REALTIME) / 1000000u;
}

uint64_t system_clock_monotonic_us(struct clock *clock)
{
    (void)clock;
    return monotonic_us();
}

uint64_t monotonic_ms(void)
{
    return read_clock_ns(CLOCK_MONOTONIC) / 1000000u;
}

uint64_t monotonic_us(void)
{
    return read_clock_ns(CLOCK_MONOTONIC) / 1000u;
}

uint64_t processor_us(void)
{
    return read_clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000u;
}
