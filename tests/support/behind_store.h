/* A store on disk whose tables are behind its journal: what its tables have by themselves, what
 * they lack, and what is there after it was killed. */
#ifndef TESTS_SUPPORT_BEHIND_STORE_H
#define TESTS_SUPPORT_BEHIND_STORE_H

#include "store/lmdb/inside.h"
#include "tests/support/disk_store.h"
#include "tests/support/store_contract_fixture.h"

/* For cmocka: *state becomes a contract whose store begins a round with each 20 events, and has the
 * batches b1 of 100 and b2 of 50 (2030-01-01) of RED. */
int behind_set_up(void **state);
int behind_tear_down(void **state);

/* The store itself, which is open. */
struct lmdb_store *behind_store(struct contract *c);

/* With each so many events a round begins, from the next opening on. */
void behind_set_events(struct contract *c, uint64_t events);

/* The store is killed, and started. No round is being written at that moment; one may be that has
 * been written, and whose end nobody took. */
void behind_crash(struct contract *c);

/* What its tables have, as a start would find them before it looks at the journal. */
struct behind_tables {
    struct contract *contract;
    char directory[128];
    MDB_env *env;
    MDB_txn *txn;
};
void behind_open_tables(struct behind_tables *out, struct contract *c);
void behind_close_tables(struct behind_tables *tables);
/* STORE_NOT_FOUND: there is none. */
enum store_result behind_get(struct behind_tables *tables, const char *table, struct text key,
                             struct text *out);
struct meta behind_meta(struct behind_tables *tables);

/* The environment of a directory, behind the back of a store that is closed. */
MDB_txn *behind_begin(MDB_env **env, const char *directory, unsigned flags);

/* The counters that its tables have by themselves. */
struct meta behind_counters(struct contract *c);

#endif
