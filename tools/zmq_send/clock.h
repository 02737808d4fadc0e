/* Time for deadlines: monotonic, so that setting the clock moves none of them. */
#ifndef TOOLS_ZMQ_SEND_CLOCK_H
#define TOOLS_ZMQ_SEND_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The same clock, for measuring. */
static inline uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* For zmq_poll: how long until `then_ms`, rounded so that it is not woken too early. */
static inline long clock_wait_ms(int64_t then_ms)
{
    int64_t wait_ms = then_ms - clock_now_ms();
    return wait_ms > 0 ? (long)wait_ms : 0;
}

#endif
