/* A histogram of times that takes nanoseconds to fill: 32 steps to a power of two, so that a
 * percentile is at most 3 % too large. */
#ifndef TOOLS_ZMQ_SEND_BENCH_LATENCY_H
#define TOOLS_ZMQ_SEND_BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS 32u
#define LATENCY_BUCKETS (60u * LATENCY_STEPS) /* up to 2^64 ns */

struct latency {
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t ns, uint64_t times);

/* Adds all of another one. */
void latency_merge(struct latency *latency, const struct latency *other);

/* The time that `share` (0 to 1) of all did not exceed; 0 where there are none. */
uint64_t latency_percentile(const struct latency *latency, double share);

#endif
