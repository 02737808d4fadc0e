/* A small store of which the verifier gives a report, and into which tests write behind its back,
 * with seals that are right. */
#ifndef TESTS_SUPPORT_VERIFIED_STORE_H
#define TESTS_SUPPORT_VERIFIED_STORE_H

#include "store/lmdb/env.h"
#include "tests/support/sample_store.h"

struct verified {
    char directory[128];
    MDB_env *env; /* while something is written */
    MDB_txn *txn;
    struct codec *codec;
    char *report; /* the last one */
};

/* For cmocka: *state becomes such a store. b1 is exhausted, b2 has stock; b3 shrank: o3 was
 * displaced and waits. */
int verified_set_up(void **state);
int verified_tear_down(void **state);

/* Verifies the store in a directory; f->report is what was said. */
bool verified_report(struct verified *f, const char *directory);
void verified_expect_whole(struct verified *f);
/* Damaged, and among the findings is one that holds these words. */
void verified_expect(struct verified *f, const char *finding);

/* A transaction behind the back of the store, which is closed. */
void verified_begin(struct verified *f);
MDB_dbi verified_table(struct verified *f, const char *name);
void verified_put(struct verified *f, const char *name, struct text key,
                  const struct record *record);
struct text verified_get(struct verified *f, const char *name, struct text key);
void verified_drop(struct verified *f, const char *name, struct text key);
/* The counters; they are written with the number of the transaction. */
struct meta verified_get_meta(struct verified *f);
void verified_put_meta(struct verified *f, struct meta meta);
void verified_commit(struct verified *f);
/* Leaves the counters as they are. */
void verified_commit_unstamped(struct verified *f);

/* The key of a table by number. */
struct text verified_number(const uint64_t *number);

#endif
