/* -v: what goes over the wire, on stderr. */
#ifndef TOOLS_ZMQ_SEND_TRACE_H
#define TOOLS_ZMQ_SEND_TRACE_H

#include "domain/base/text.h"

#include <stdbool.h>

/* One frame: direction (`->` out, `<-` in), place in its message, length, for a body what it
 * decodes to, and its bytes in hex (the first TRACE_MAX_BYTES of them). */
#define TRACE_MAX_BYTES 512
void trace_frame(const char *direction, size_t index, struct text frame, bool is_body);

/* What happened to a connection. */
void trace_event(const char *endpoint, const char *what);

#endif
