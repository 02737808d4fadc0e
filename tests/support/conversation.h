/* Talks with a bus over the memory store in lines of text (tests/support/build.h). */
#ifndef TESTS_SUPPORT_CONVERSATION_H
#define TESTS_SUPPORT_CONVERSATION_H

#include "tests/support/memory_store/store.h"
#include "tests/support/build.h"
#include "tests/support/fake_parts.h"
#include "tests/support/faulty_store.h"

struct conversation {
    struct memory_store *store;
    struct faulty_store faulty; /* between the bus and the store */
    struct fake_parts *fakes;
    struct codec *codec;
    struct notation reply;  /* the one that was looked at last */
    struct notation events; /* the same */
};

/* A request in a group of its own, its reply, and the events that are published for it, with "; "
 * between them ("": none; NULL: those that come do not matter). */
struct exchange {
    const char *request;
    const char *reply;
    const char *events;
};

/* For cmocka: *state becomes a conversation with an empty store. */
int conversation_set_up(void **state);
int conversation_tear_down(void **state);

/* Has the exchanges one after the other; the test fails with the first one that goes otherwise. */
void converse(struct conversation *c, const struct exchange *exchanges, size_t count);
#define CONVERSE(state, exchanges)                                                                 \
    converse(*(state), exchanges, sizeof(exchanges) / sizeof(exchanges)[0])

/* The steps of a group. Requires: `line` outlives the group. */
void conversation_send(struct conversation *c, const char *line);
enum store_result conversation_commit(struct conversation *c);
const char *conversation_reply(struct conversation *c, size_t index);
void conversation_end_group(struct conversation *c);

/* What was published since the last call. */
const char *conversation_events(struct conversation *c);

/* A request in a group of its own, with its events published; the reply. */
const char *conversation_ask(struct conversation *c, const char *line);

#endif
