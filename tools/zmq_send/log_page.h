/* A page of the node's event log, by GetEvents. */
#ifndef TOOLS_ZMQ_SEND_LOG_PAGE_H
#define TOOLS_ZMQ_SEND_LOG_PAGE_H

#include "tools/zmq_send/filter.h"
#include "tools/zmq_send/pipeline.h"

struct log_page {
    struct answer answer; /* holds the bytes of all that follows */
    msgpack_unpacked reply;
    msgpack_object_array events;
    bool is_last;
    uint64_t next;  /* unless it is the last one: where to go on */
    uint64_t head;  /* seq of the newest event in the log */
    uint64_t first; /* of the oldest one, 0 where there is none */
};

/* Asks for up to `limit` events after a seq, of the filter's types where it has some. DONE: *out is
 * the page, for log_page_close. Otherwise, after a complaint, why there is none. It returns as soon
 * as `stop_fd` is readable too: DONE with *stopped set, and no page. */
enum status log_page_get(struct pipeline *pipeline, const struct filter *filter, uint64_t after,
                         uint64_t limit, int stop_fd, bool *stopped, struct log_page *out);
void log_page_close(struct log_page *page);

#endif
