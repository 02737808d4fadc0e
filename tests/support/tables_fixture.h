/* The tables alone, without a journal: an environment in a directory of its own, and what writes
 * rounds into it. */
#ifndef TESTS_SUPPORT_TABLES_FIXTURE_H
#define TESTS_SUPPORT_TABLES_FIXTURE_H

#include "store/lmdb/projector.h"

struct tables_fixture {
    char path[128];
    struct directory directory;
    struct tables tables;
    struct projector *projector;
    uint64_t rounds; /* begun; the counters of each have this for the number of their entry */
    char error[ERROR_BYTES];
};

/* For cmocka: *state becomes new ones, open. */
int tables_fixture_set_up(void **state);
int tables_fixture_tear_down(void **state);

/* Ends the projector, closes all and opens it again. What is not written is gone. */
void tables_fixture_reopen(struct tables_fixture *f, size_t map_size_bytes);

/* What has changed becomes a round, which is being written from then on. */
void tables_fixture_begin(struct tables_fixture *f);
/* Takes the end of the round, which must be a good one, and drops it. */
void tables_fixture_end(struct tables_fixture *f);

/* A record that holds a text. */
struct record tables_fixture_record(struct text key, const char *text);
/* Puts such a record. */
void tables_fixture_put(struct tables_fixture *f, enum table table, const char *key,
                        const char *text);
/* The text of the record under a key, which may hold a NUL; NULL: there is none. It lives until the
 * next question. */
const char *tables_fixture_get(struct tables_fixture *f, enum table table, struct text key);

#endif
