/* A notation of one line for requests, events and replies, so that tests can be read as tables.
 *
 *   Allocate o1 RED 10 id=a            a request: its type and its fields in the table's order
 *   Allocated o1 10 b1                 an event, as a decision makes it
 *   3 prev=1 RED v3 cause=a Allocated o1 10 b1      the same, as it is stored
 *   ok seq=3 batchref=b1 duplicate     a reply
 *
 * Fields may be named (`limit=2`), and trailing ones left out; `-` is an absent text or no ETA; a
 * flag is its own name or `-`. Names that hold a space cannot be written. */
#ifndef TESTS_SUPPORT_BUILD_H
#define TESTS_SUPPORT_BUILD_H

#include "domain/messages/reply.h"
#include "store/wire/codec.h"

/* Reads a request or an event. Texts point into `line`. Asserts that the line is well-formed. */
struct request build_request(const char *line);
struct event build_event(const char *line);

/* Text that grows. Begins as all zero. */
struct notation {
    char *text; /* ends in a NUL; NULL while nothing was written */
    size_t len;
    size_t capacity;
};

void notation_clear(struct notation *out);
void notation_release(struct notation *out);

/* What was written, "" for nothing. It lives until something more is. */
const char *notation_text(const struct notation *out);

/* Appends, as printf. */
void notation_add(struct notation *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends a request, an event as it was decided, and one as it was stored. */
void notation_add_request(struct notation *out, const struct request *request);
void notation_add_event(struct notation *out, const struct event *event);
void notation_add_stored_event(struct notation *out, const struct event *event);

/* Appends a reply. Events of a page are decoded with `codec` and put in brackets. */
void notation_add_reply(struct notation *out, const struct reply *reply, struct codec *codec);

#endif
