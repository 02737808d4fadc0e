/* Requests on their way to the node, many at a time, and what became of them, in their order.
 *
 * A request that was sent on a connection that is gone is sent again if that does no harm (a query
 * or one with an id), and otherwise its outcome is unknown: it is never sent twice. */
#ifndef TOOLS_ZMQ_SEND_PIPELINE_H
#define TOOLS_ZMQ_SEND_PIPELINE_H

#include "tools/zmq_send/answer.h"
#include "tools/zmq_send/connection.h"

#include <stdint.h>

struct pipeline;

/* `endpoint` must outlive it. Never NULL. */
struct pipeline *pipeline_new(struct transport transport, const char *endpoint, int64_t timeout_ms);
void pipeline_destroy(struct pipeline **pipeline);

/* True while another request may be added. */
bool pipeline_has_room(const struct pipeline *pipeline);
bool pipeline_is_empty(const struct pipeline *pipeline);

/* Adds a request; its time runs from now on. Copies the body. Requires: room. */
void pipeline_add(struct pipeline *pipeline, struct text body);

/* Adds the place of a request that could not even be made. Requires: room. */
void pipeline_add_bad_input(struct pipeline *pipeline, const char *message);

/* True: *out is what became of the oldest request, which leaves; answer_close frees it.
 * False: that is not known yet. */
bool pipeline_take(struct pipeline *pipeline, struct answer *out);

/* Sends, receives, connects and gives up where it is time, then waits until something happens:
 * here, at `also` (NULL: nowhere; its revents are set), or a signal. Does not wait while
 * pipeline_take has something. */
void pipeline_wait(struct pipeline *pipeline, zmq_pollitem_t *also);

/* Replies that came to no request: the node broke the protocol. */
size_t pipeline_strays(const struct pipeline *pipeline);

#endif
