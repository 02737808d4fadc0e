/* What libzmq reads from the servers that zmq-send connects to: no more than there is room for.
 *
 * libzmq bounds neither a message that does not end nor, without a high-water mark, messages that
 * wait. With such a mark its 4.3.4 aborts where a connection ends that it had stopped reading. So
 * it gets our own `connect` and `recv`: the linker takes them from the program before it looks into
 * the C library. A connection that breaks a limit is shut down then and there. Where whole messages
 * wait that nobody has taken, `recv` waits too, and the server with it, in TCP or in its socket.
 *
 * `recv` runs in libzmq's I/O threads. While it waits, other connections of its thread stand still,
 * so that those who depend on each other need a thread each (ZMQ_AFFINITY). */
#ifndef TOOLS_ZMQ_SEND_INTAKE_H
#define TOOLS_ZMQ_SEND_INTAKE_H

#include "tools/zmq_send/zmtp.h"

#include <stdbool.h>

/* Watches all connections that are made from now on. To be called before there is a socket. */
void intake_start(void);

/* Lets nothing more in, so that no I/O thread waits. To be called before the context ends. */
void intake_stop(void);

/* In these, `fd` is that of a connection (ZMQ_EVENT_CONNECTED), or -1. */

/* All whole messages that had come were taken. True: the server had to wait for that. */
bool intake_drained(int fd);

/* Nobody will take any more. */
void intake_end(int fd);

enum zmtp_fault intake_fault(int fd);

#endif
