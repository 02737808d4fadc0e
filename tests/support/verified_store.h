/* A small store of which the verifier gives a report, and into whose tables and journal tests write
 * behind its back, with seals that are right. */
#ifndef TESTS_SUPPORT_VERIFIED_STORE_H
#define TESTS_SUPPORT_VERIFIED_STORE_H

#include "store/lmdb/env.h"
#include "store/wire/entry.h"
#include "tests/support/sample_store.h"

/* What stands in an entry of its journal, to be changed. */
struct verified_item {
    enum entry_kind kind;
    struct event event; /* with its line_seq */
    struct entry_reply reply;
    struct text bytes; /* not absent: these stand there in its place, whatever they are */
};

#define VERIFIED_ITEMS_MAX 12u
#define VERIFIED_ENTRIES_MAX 24u

struct verified_entry {
    struct verified_item items[VERIFIED_ITEMS_MAX];
    size_t count;
    uint32_t events_too_many; /* that it says to have, beyond those that it has */
};

struct verified {
    char directory[128];
    struct verified_entry
        entries[VERIFIED_ENTRIES_MAX]; /* of its journal, once that was read; ... */
    size_t entry_count;
    struct arena *arena; /* ... with these texts */
    MDB_env *env;        /* while something is written */
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
struct meta verified_get_meta(struct verified *f);
void verified_put_meta(struct verified *f, struct meta meta);
void verified_commit(struct verified *f);

/* Reads its journal into f->entries, and makes it anew from what has become of them. The tables
 * follow from the new one, as far as they say themselves. */
void verified_read_journal(struct verified *f);
void verified_write_journal(struct verified *f);

/* The event of that seq, and the reply of that number, in f->entries. */
struct verified_item *verified_event(struct verified *f, uint64_t seq);
struct verified_item *verified_reply(struct verified *f, uint64_t number);
/* Takes an item out, and puts a copy of one in behind another. Items behind it move. */
void verified_take_out(struct verified *f, struct verified_item *item);
void verified_put_behind(struct verified *f, struct verified_item *item,
                         struct verified_item added);

/* One thing is made wrong in the journal, and this is said of it. */
struct verified_change {
    const char *name;
    void (*change)(struct verified *f);
    const char *finding;
};

/* Makes each change in a store of its own, and expects that it is found; and that a node that
 * starts there takes no harm. *state is a new store then. */
void verified_expect_each(void **state, const struct verified_change *rows, size_t count);

/* A node that starts with such a journal may refuse to, and nothing else: with its tables, and when
 * these are to be made anew. Its tables are gone then. */
void verified_start_does_no_harm(struct verified *f);

#endif
