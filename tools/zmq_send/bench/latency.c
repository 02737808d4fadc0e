#include "tools/zmq_send/bench/latency.h"

#include <stddef.h>

static unsigned bucket_of(uint64_t ns)
{
    if (ns < LATENCY_STEPS)
        return (unsigned)ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns); /* 5 or more */
    return (power - 4) * LATENCY_STEPS + (unsigned)(ns >> (power - 5)) % LATENCY_STEPS;
}

/* The largest time of a bucket. */
static uint64_t limit_of(unsigned bucket)
{
    if (bucket < LATENCY_STEPS)
        return bucket;
    unsigned power = bucket / LATENCY_STEPS + 4;
    uint64_t step = bucket % LATENCY_STEPS + LATENCY_STEPS;
    return ((step + 1) << (power - 5)) - 1;
}

void latency_add(struct latency *latency, uint64_t ns, uint64_t times)
{
    latency->count += times;
    latency->buckets[bucket_of(ns)] += times;
    if (ns > latency->max_ns)
        latency->max_ns = ns;
}

void latency_merge(struct latency *latency, const struct latency *other)
{
    latency->count += other->count;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        latency->buckets[i] += other->buckets[i];
    if (other->max_ns > latency->max_ns)
        latency->max_ns = other->max_ns;
}

uint64_t latency_percentile(const struct latency *latency, double share)
{
    double wanted = share * (double)latency->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen > 0 && (double)seen >= wanted)
            return limit_of(i) < latency->max_ns ? limit_of(i) : latency->max_ns;
    }
    return latency->max_ns;
}
