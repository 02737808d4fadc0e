/* The requests of a benchmark. Each is a template with its digits patched, so that making one costs
 * less than sending it. What request number n is depends on n, the plan and the run alone. */
#ifndef TOOLS_ZMQ_SEND_BENCH_LOAD_H
#define TOOLS_ZMQ_SEND_BENCH_LOAD_H

#include "domain/base/text.h"
#include "tools/zmq_send/bench/plan.h"

struct load;

/* `run` tells the orders and ids of this run from those of others. */
struct load *load_new(const struct bench_plan *plan, uint64_t run);
void load_destroy(struct load **load);

/* The CreateBatch of the nth SKU, counted from 0. */
struct text load_batch(struct load *load, uint64_t n);

/* The Allocate of line n, whatever the plan says about other requests. */
struct text load_line(struct load *load, uint64_t n);

/* Request number n. Deallocate and GetAllocations are about one of the plan's lines, numbered from
 * 0, or where it has none about an earlier request. All texts live until the next call with this
 * load. */
struct text load_request(struct load *load, uint64_t n);

#endif
