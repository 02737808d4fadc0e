/* Beside a benchmark: subscribers to `Allocated/`. Those that listen count what comes and follow
 * the chain of `prev`; deaf ones take nothing. */
#ifndef TOOLS_ZMQ_SEND_BENCH_AUDIENCE_H
#define TOOLS_ZMQ_SEND_BENCH_AUDIENCE_H

#include "tools/zmq_send/bench/latency.h"
#include "tools/zmq_send/status.h"

#define AUDIENCE_TOPIC "Allocated/"

/* Sums over those that listen. */
struct heard {
    uint64_t events;
    uint64_t lost; /* that others have heard */
    uint64_t gaps; /* events whose `prev` is not the one heard before */
    double seconds;
    struct latency lag; /* from the event's time to its arrival */
};

struct audience;

/* Connects them, and listens in a thread of its own. Those that listen are heard by the node when
 * this returns: no later event is to be lost. `endpoint` must outlive them. NULL after a complaint,
 * and *status says why. */
struct audience *audience_start(const char *endpoint, uint64_t listening, uint64_t deaf,
                                int64_t timeout_ms, enum status *status);

/* Listens until nothing comes any more, then frees all. Adds to *out what was heard. A status other
 * than STATUS_DONE comes after a complaint. */
enum status audience_stop(struct audience **audience, struct heard *out);

#endif
