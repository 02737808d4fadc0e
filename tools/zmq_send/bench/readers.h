/* Beside a benchmark: connections that read a node's lists page by page, from the first to the last
 * and again, with one request each on the way. They are there to hold its commands back. */
#ifndef TOOLS_ZMQ_SEND_BENCH_READERS_H
#define TOOLS_ZMQ_SEND_BENCH_READERS_H

#include "tools/zmq_send/bench/drive.h"

struct readers;

/* Starts so many in a thread of its own. `endpoint` must outlive them. NULL after a complaint. */
struct readers *readers_start(void *context, const char *endpoint, uint64_t count);

/* Ends them and frees all. Adds to *out the pages that were read. A status other than STATUS_DONE
 * comes after a complaint. */
enum status readers_stop(struct readers **readers, struct figures *out);

#endif
