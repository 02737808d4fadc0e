/* `zmq-send bench`: how fast a node is, and how near that is to what the machine can do. */
#ifndef TOOLS_ZMQ_SEND_BENCH_BENCH_H
#define TOOLS_ZMQ_SEND_BENCH_BENCH_H

#include "tools/zmq_send/options.h"
#include "tools/zmq_send/status.h"

/* Requires: no context of libzmq exists yet. It forks to have an echo to compare with. */
enum status bench_run(const struct options *options);

#endif
