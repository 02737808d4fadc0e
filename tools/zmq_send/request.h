/* One request, from the arguments or from a file. */
#ifndef TOOLS_ZMQ_SEND_REQUEST_H
#define TOOLS_ZMQ_SEND_REQUEST_H

#include "tools/zmq_send/connection.h"
#include "tools/zmq_send/options.h"
#include "tools/zmq_send/status.h"

/* Sends TYPE with its fields, or the bytes of --raw, and prints the reply. */
enum status request_run(struct transport transport, const struct options *options);

#endif
