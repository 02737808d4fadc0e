#include "node/flow.h"

struct intake_mark intake_now(struct intake *intake)
{
    return (struct intake_mark){atomic_load_explicit(&intake->messages, memory_order_acquire),
                                atomic_load_explicit(&intake->drains, memory_order_acquire)};
}

/* The first drain counted after `mark` may have begun before it. While nothing is ever drained,
 * each connection has its turn. */
bool intake_has_passed(struct intake_mark mark, struct intake_mark now, size_t connections)
{
    return now.drains - mark.drains >= 2 || now.messages - mark.messages > 2 * connections + 2;
}

static void set_mark(struct flow *flow, uint64_t delivered, struct intake_mark now)
{
    flow->mark = now;
    flow->mark_delivered = delivered;
    flow->mark_waiting = flow->waiting;
}

void flow_open(struct flow *flow, uint64_t delivered, uint64_t now_ms, struct intake_mark now)
{
    flow->slack = -(int64_t)delivered;
    flow->taken = flow->waiting = flow->unfinished = 0;
    flow->refilled_ms = now_ms;
    set_mark(flow, delivered, now);
}

static void refill(struct flow *flow, uint64_t now_ms)
{
    uint64_t seconds = (now_ms - flow->refilled_ms) / 1000;
    flow->slack += (int64_t)(seconds * FLOW_HEARTBEAT_BYTES);
    flow->refilled_ms += seconds * 1000;
}

bool flow_look(struct flow *flow, uint64_t taken, uint64_t delivered, uint64_t now_ms,
               struct intake_mark now, size_t connections)
{
    if (taken < flow->taken) /* another connection has the descriptor already */
        flow_open(flow, delivered, now_ms, now);
    flow->is_active = taken != flow->taken;
    flow->taken = taken;
    refill(flow, now_ms);
    int64_t left = (int64_t)(taken - delivered) - flow->slack;
    if (left < 0) { /* what is not used of the slack does not pile up */
        flow->slack += left;
        left = 0;
    }
    flow->waiting = left > FLOW_ALLOWANCE ? (uint64_t)left - FLOW_ALLOWANCE : 0;
    flow->is_active = flow->is_active || flow->waiting > 0;
    if (flow->mark_waiting > flow->waiting)
        flow->mark_waiting = flow->waiting;
    bool has_delivered = delivered != flow->mark_delivered;
    bool passed = intake_has_passed(flow->mark, now, connections);
    if (has_delivered || passed) {
        flow->unfinished = has_delivered ? 0 : flow->mark_waiting;
        set_mark(flow, delivered, now);
    } else if (flow->unfinished > flow->waiting) {
        flow->unfinished = flow->waiting;
    }
    return has_delivered && passed;
}

void flow_forgive(struct flow *flow)
{
    flow->slack += (int64_t)flow->waiting;
    flow->waiting = flow->mark_waiting = 0;
}

uint64_t growth_cost(struct growth *growth, uint64_t memory, uint64_t waiting)
{
    uint64_t most = FLOW_COST_MAX * waiting;
    if (!growth->has_base || memory < growth->base) {
        growth->base = memory;
        growth->has_base = true;
    }
    if (memory == 0) /* nobody knows */
        return most;
    uint64_t grown = memory - growth->base;
    if (grown > most) {
        if (growth->is_settled)
            growth->base = memory - most; /* the rest was the node's own doing */
        grown = most;
    }
    return grown > waiting ? grown : waiting;
}
