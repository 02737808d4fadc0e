/* The gate between the kernel and libzmq: what libzmq reads from each connection is counted, and
 * reading can be paused for one connection, so that its peer waits in TCP or in its own socket.
 *
 * libzmq can do that too, with a high-water mark, but 4.3.4 then does not survive the end of such a
 * connection: an assertion fails (`!_io_error`) once a heartbeat is due on it, or when a PING is
 * found among what was read already. Any stranger can bring that about. So receiving sockets have
 * no high-water mark here, and libzmq never stops a connection by itself.
 *
 * It works by having our own `recv`, `epoll_ctl` and `accept4`, which libzmq calls: the linker
 * takes them from the program before it looks into the C library. They do what the kernel's do, and
 * a little more. Nothing else in the process uses them. */
#ifndef NODE_GATE_H
#define NODE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATE_DESCRIPTORS_MAX 1048576 /* descriptors from there on are not counted */

/* What passed through one connection. Its place never changes, and another connection has it when
 * this one has gone. */
struct gate_counts {
    _Atomic uint64_t taken;     /* bytes that libzmq read, since the connection was made */
    _Atomic uint64_t delivered; /* of messages that the main thread was given; never set back */
    _Atomic int64_t ahead_max;  /* reading pauses where taken - delivered is more */
    _Atomic int64_t resume_at;  /* and goes on where it is no more than that */
    _Atomic bool is_held;       /* reading pauses whatever else is so */
    _Atomic bool is_paused;
};

#define GATE_UNLIMITED INT64_MAX

/* True once libzmq goes through the gate: that it does is to be made sure of at the start. */
bool gate_is_in_place(void);

/* NULL: no descriptor that can be counted, or no memory. */
struct gate_counts *gate_counts(int fd);

static inline int64_t gate_ahead(struct gate_counts *counts)
{
    return (int64_t)(atomic_load_explicit(&counts->taken, memory_order_relaxed) -
                     atomic_load_explicit(&counts->delivered, memory_order_relaxed));
}

/* Sets how far libzmq may be ahead, and goes on reading where it is not any more. `resume_at` is
 * where gate_deliver goes on; no more than `bytes`. */
void gate_set_ahead_max(int fd, int64_t bytes, int64_t resume_at);

/* Holds a connection, so that nothing more is read from it, or lets it go again. */
void gate_hold(int fd, bool hold);

/* The main thread took messages of so many bytes, and reading goes on when there is room again.
 * `counts` are those of `fd`, or NULL. */
void gate_deliver(int fd, struct gate_counts *counts, size_t bytes);

/* Ends the connection: libzmq finds that it was closed, and reads no more of what has come. */
void gate_cut_off(int fd);

#endif
