/* The other limit: how often LMDB commits one small change on this disk. */
#ifndef TOOLS_ZMQ_SEND_BENCH_COMMITS_H
#define TOOLS_ZMQ_SEND_BENCH_COMMITS_H

#include "tools/zmq_send/bench/latency.h"

#include <stdbool.h>

struct commits {
    struct latency latency;
    double seconds;
};

/* Commits for so long in a file of its own below `directory`, which it removes. Adds to *out. False
 * after a complaint. */
bool commits_run(const char *directory, double seconds, struct commits *out);

#endif
