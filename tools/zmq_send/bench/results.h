/* What a benchmark found, and how it is printed. */
#ifndef TOOLS_ZMQ_SEND_BENCH_RESULTS_H
#define TOOLS_ZMQ_SEND_BENCH_RESULTS_H

#include "tools/zmq_send/bench/audience.h"
#include "tools/zmq_send/bench/commits.h"
#include "tools/zmq_send/bench/drive.h"
#include "tools/zmq_send/bench/plan.h"

/* Of GetStats: sums over the rounds of a run, but for the last two, which are as of its end. */
struct node_stats {
    uint64_t requests;
    uint64_t commits;
    uint64_t cpu_us;
    uint64_t group_max;
    uint64_t store_bytes;
};

struct results {
    struct figures node;
    struct node_stats stats;
    struct figures pages; /* with queries alone */
    struct heard heard;   /* with subscribers alone */
    struct figures echo;  /* these two with a ceiling alone */
    struct commits commits;
};

/* Adds what happened between two looks. */
void node_stats_add(struct node_stats *sum, const struct node_stats *before,
                    const struct node_stats *after);

void results_print(const struct results *results, const struct bench_plan *plan);

/* One line of JSON. */
void results_print_json(const struct results *results, const struct bench_plan *plan);

#endif
