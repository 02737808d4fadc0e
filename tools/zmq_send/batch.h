/* Requests as JSON objects from stdin, many in flight, one line of JSON for each, in order. */
#ifndef TOOLS_ZMQ_SEND_BATCH_H
#define TOOLS_ZMQ_SEND_BATCH_H

#include "tools/zmq_send/connection.h"
#include "tools/zmq_send/options.h"
#include "tools/zmq_send/status.h"

/* Returns the worst status of all. */
enum status batch_run(struct transport transport, const struct options *options);

#endif
