/* What came over one connection and waits in libzmq for the main thread: the bytes that libzmq read
 * (node/gate.h), less those of the messages that the main thread was given. Arithmetic alone.
 *
 * A message is given to the main thread when it is whole. So bytes that are still there after all
 * whole messages were taken belong to one that has not ended. */
#ifndef NODE_FLOW_H
#define NODE_FLOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that no message accounts for: the handshake, and each second some for heartbeats. */
#define FLOW_ALLOWANCE 512u
#define FLOW_HEARTBEAT_BYTES 32u

/* How far the main thread has come with one socket. It writes, the guard reads. */
struct intake {
    _Atomic uint64_t messages; /* that it took, where libzmq serves connections by turns */
    _Atomic uint64_t drains;   /* times that no whole message was left */
};

struct intake_mark {
    uint64_t messages;
    uint64_t drains;
};

struct flow {
    int64_t slack;       /* taken less delivered bytes that no message accounts for */
    uint64_t taken;      /* as of the last look, as the next two */
    uint64_t waiting;    /* bytes */
    uint64_t unfinished; /* of these, those that are known to belong to no whole message */
    bool is_active;      /* something came since the look before, or waits */
    uint64_t refilled_ms;
    struct intake_mark mark; /* where the main thread was when the next two were so */
    uint64_t mark_delivered;
    uint64_t mark_waiting;
};

/* Bytes of a frame on the wire (RFC 23/ZMTP). */
static inline size_t flow_frame_bytes(size_t size)
{
    return size + (size > 255 ? 9 : 2);
}

static inline void intake_count(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_release);
}

struct intake_mark intake_now(struct intake *intake);

/* True where all that was whole at `mark` has been taken. */
bool intake_has_passed(struct intake_mark mark, struct intake_mark now, size_t connections);

/* A new connection, at whose place so many bytes were delivered before. `now` is how far the main
 * thread is with its socket. */
void flow_open(struct flow *flow, uint64_t delivered, uint64_t now_ms, struct intake_mark now);

/* `taken`, `delivered`: see struct gate_counts. `connections`: how many there are. True: something
 * was delivered, and all that was whole at the look before has been. */
bool flow_look(struct flow *flow, uint64_t taken, uint64_t delivered, uint64_t now_ms,
               struct intake_mark now, size_t connections);

/* All that waits was delivered, and only counted as too little. */
void flow_forgive(struct flow *flow);

/* How far `taken` may be ahead of `delivered`, where so many bytes of whole messages may wait. What
 * belongs to none must not hold up the rest of its message. */
static inline int64_t flow_ahead_max(const struct flow *flow, uint64_t whole_max)
{
    return flow->slack + (int64_t)(FLOW_ALLOWANCE + flow->unfinished + whole_max);
}

/* Bytes do not tell what they cost: libzmq keeps 64 for a frame of 2. So the memory of the process
 * is looked at. What it grows by while bytes wait is put down to them, as far as they can have
 * caused it. */
#define FLOW_COST_MAX 32u /* bytes of memory for one that waits */

struct growth {
    uint64_t base;   /* memory without what waits */
    bool has_base;   /* false: it is to be found out */
    bool is_settled; /* false: memory of those who were cut off may not be free yet */
};

/* What `waiting` bytes cost, where the process has `memory` bytes. */
uint64_t growth_cost(struct growth *growth, uint64_t memory, uint64_t waiting);

#endif
