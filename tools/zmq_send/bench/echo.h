/* The limit that a node runs up against: a bare ROUTER in a process of its own that sends every
 * message back. It drains its socket before it answers, as a node does that groups. */
#ifndef TOOLS_ZMQ_SEND_BENCH_ECHO_H
#define TOOLS_ZMQ_SEND_BENCH_ECHO_H

#include <stdbool.h>
#include <sys/types.h>

#define ECHO_ENDPOINT_BYTES 64

struct echo {
    pid_t pid;
    int lifeline; /* the process ends when this is closed */
    char endpoint[ECHO_ENDPOINT_BYTES];
};

/* Requires: no context of libzmq exists yet, as it forks. False after a complaint. */
bool echo_start(struct echo *echo);
void echo_stop(struct echo *echo);

#endif
