/* What `zmq-send bench` is asked to do. */
#ifndef TOOLS_ZMQ_SEND_BENCH_PLAN_H
#define TOOLS_ZMQ_SEND_BENCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

/* MIX(name, its default share of the requests, what it sends) */
#define BENCH_MIX(MIX)                                                                             \
    MIX(allocate, 100, "Allocate, one line of one unit")                                           \
    MIX(deallocate, 0, "Deallocate of a line that was allocated before")                           \
    MIX(change, 0, "ChangeBatchQuantity, one up or one down")                                      \
    MIX(get, 0, "GetStock")                                                                        \
    MIX(lines, 0, "GetAllocations of an order that was allocated before")                          \
    MIX(swap, 0, "Allocate, and next the Deallocate of the same line: their number stays")

enum bench_kind {
#define MIX(name, share, what) BENCH_##name,
    BENCH_MIX(MIX)
#undef MIX
        BENCH_KINDS
};

struct bench_plan {
    uint64_t clients;
    uint64_t inflight; /* of each client */
    double seconds;
    uint64_t skus;
    uint64_t lines; /* allocated before it is measured */
    double zipf;    /* exponent; 0: all SKUs alike */
    bool ids;
    bool random_orders; /* order ids in no order, as uuid4 would be */
    uint64_t shares[BENCH_KINDS];
    double rate;          /* requests a second; 0: as fast as it goes */
    uint64_t queries;     /* connections that read lists */
    uint64_t subscribers; /* that listen */
    uint64_t deaf;        /* that do not */
    bool json;
    bool ceiling;
    const char *ceiling_directory; /* where the commit loop has its file */
};

#define BENCH_CLIENTS_MAX 10000u
#define BENCH_INFLIGHT_MAX 10000000u
#define BENCH_SKUS_MAX 10000000u
#define BENCH_BESIDE_MAX 10000u /* of each sort beside the clients */
#define BENCH_LINES_MAX 1000000000u

struct bench_plan bench_plan_default(void);

/* Takes KIND=SHARE,KIND=SHARE...; kinds that are not named get none. False after a complaint. */
bool bench_plan_mix(struct bench_plan *plan, const char *text);

#endif
