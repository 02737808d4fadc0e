/* A bus and the reference model side by side: both get the same requests, and must give the same
 * replies and events. Between the bus and its store stands a faulty one, so that groups can be
 * made to fail. */
#ifndef TESTS_SUPPORT_SESSION_H
#define TESTS_SUPPORT_SESSION_H

#include "tests/support/build.h"
#include "tests/support/fake_parts.h"
#include "tests/support/faulty_store.h"
#include "tests/support/model.h"

/* How often each was seen, over many sessions. */
struct seen {
    uint64_t requests[MESSAGE_TYPES];
    uint64_t events[MESSAGE_TYPES];
    uint64_t outcomes[OUTCOMES];
};

struct session {
    struct faulty_store faulty;
    struct fake_parts *fakes;
    struct model *model;
    struct notation expected; /* scratch memory */
    struct notation actual;
    struct notation complaint; /* what differed, with the group in which it did */
    size_t split;              /* of the next group: so many go ahead as a group of their own, and
                                  the others are handled while that is made durable */
    struct seen *seen;         /* of the caller: what groups asked for and brought about; or NULL */
};

/* The store is the caller's and outlives the session. It must be empty. */
struct session *session_new(struct unit_of_work *unit, struct reader *reader);
void session_destroy(struct session **session);

/* Ends the bus, so that its store may be closed and opened again, and goes on with a new one. */
void session_stop(struct session *session);
void session_restart(struct session *session, struct unit_of_work *unit, struct reader *reader);

/* Takes the requests through the bus as one group, or two (split), and compares replies and
 * published events with the model's. A call that was ordered to fail (session->faulty; no reading
 * one) must fail the whole group, and where it is the end of the first also the second; the order
 * ends with them. False: something differed, session->complaint says what. Requires: at most
 * GROUP_MAX requests, whose texts outlive the session. */
bool session_group(struct session *session, const struct request *requests, size_t count);

/* Compares the answers to all queries that the model can think of, and looks that no unit of stock
 * got lost: available + allocated = purchased. As session_group. */
bool session_check_state(struct session *session);

#endif
