/* The client of a benchmark: DEALER sockets that keep so many requests in flight each. It drains
 * and sends in bulk, looks at every reply, and takes one time for what it drained at once. */
#ifndef TOOLS_ZMQ_SEND_BENCH_DRIVE_H
#define TOOLS_ZMQ_SEND_BENCH_DRIVE_H

#include "domain/base/text.h"
#include "tools/zmq_send/bench/latency.h"
#include "tools/zmq_send/status.h"

#include <stdbool.h>

#define REFUSALS_MAX 16u /* different codes; further ones go with the last */
#define CODE_BYTES 32u

struct refusals {
    char code[CODE_BYTES];
    uint64_t count;
};

struct figures {
    uint64_t replies;
    uint64_t refused;
    double seconds;
    struct latency latency;
    struct refusals refusals[REFUSALS_MAX];
};

struct drive {
    void *context;
    const char *endpoint;
    uint64_t clients;
    uint64_t inflight;
    uint64_t first;     /* number of the first request */
    uint64_t count;     /* how many; 0: as many as go into the time */
    double seconds;     /* with count 0 */
    double rate;        /* requests a second, sent when they are due; 0: as fast as it goes */
    int64_t timeout_ms; /* without any reply */
    bool is_echo;       /* replies are the requests, and not looked into */
    struct text (*request)(void *maker, uint64_t n);
    void *maker;
};

/* Adds to *out what happened, and sets *next to the number of the first request that was not sent.
 * A status other than STATUS_DONE comes after a complaint. */
enum status drive_run(const struct drive *drive, struct figures *out, uint64_t *next);

/* Requests answered in a second; 0 where there was no time. */
double figures_rate(const struct figures *figures);

#endif
