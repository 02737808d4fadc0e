/* What the files of the store share. */
#ifndef STORE_LMDB_INSIDE_H
#define STORE_LMDB_INSIDE_H

#include "bus/ports/journal.h"
#include "domain/effect.h"
#include "store/ahead/product_cache.h"
#include "store/ahead/remembered_index.h"
#include "store/journal/file.h"
#include "store/lmdb/projector.h"
#include "store/lmdb/store.h"
#include "store/wire/codec.h"
#include "store/wire/entry.h"

/* What was added to the index, or is to be removed from it, with this unit. */
struct index_change {
    uint64_t hash;
    uint64_t number;
};

struct index_changes {
    struct index_change *items;
    size_t count;
    size_t capacity;
};

/* What a unit has in memory until it is durable: one that is open, and one under way. */
struct unit_memory {
    struct arena *arena;           /* texts that it gave out */
    struct entry_bytes entry;      /* what it did, ... */
    uint32_t events;               /* ... and how many events that are */
    struct meta meta;              /* as of its end */
    struct index_changes added;    /* to the index of remembered replies, */
    struct index_changes outdated; /* and those to be removed once it is durable */
};

/* Remembered replies; see store/lmdb/remembered.c. */
struct remembered_replies {
    struct remembered_index *index; /* of the replies with these numbers: */
    uint64_t first;
    uint64_t next;
    uint64_t kept; /* how many are to be kept, at least */
    /* The request whose id was asked for last, with texts of the open unit. */
    struct text asked_id;
    struct text asked_canonical;
    uint64_t asked_hash; /* of the id */
};

/* When a round begins, and what waits for its end. */
struct rounds {
    uint64_t events;   /* one begins when tables lack so many, ... */
    size_t bytes;      /* ... or so much of memory has changed */
    bool is_under_way; /* tables.older is one, ... */
    bool must_wait;    /* ... which has what a unit under way did: until that is durable */
    struct meta meta;  /* as of its end */
    uint64_t retry_ms; /* it was not written: when it is begun again; 0: it is being written */
    enum store_result trouble; /* why it was not: STORE_FULL or STORE_FAILED, ... */
    int cause;                 /* ... and the errno of that */
};

struct lmdb_store {
    struct unit_of_work unit;
    struct reader reader;
    struct directory directory;
    struct journal *journal;
    struct tables tables;
    struct projector *projector;
    struct codec *codec;
    struct product_cache *cache;
    struct unit_memory memory[2];
    struct unit_memory *open; /* of the open unit, or the next one */
    struct unit_memory *sent; /* of the one under way; NULL: there is none */
    struct arena *arena;      /* that of `open` */
    uint64_t now_ms;          /* of the open unit */
    struct meta meta;         /* with what the open unit did */
    struct meta committed;    /* as of the newest entry of the journal */
    struct meta projected;    /* as of the snapshot of the tables */
    struct rounds rounds;
    struct remembered_replies replies;
    uint64_t hash_seed; /* so that nobody can choose ids or SKUs that collide */
    uint64_t full_ms;   /* when there was no room for an entry; 0: there was for the last one */
    int cause;          /* as lmdb_store_cause */
    bool is_stale;      /* what is in memory is not what the journal says: store_catch_up */
    uint64_t journal_id;
    char why_rebuilt[ERROR_BYTES]; /* when it was opened; empty: it was not */
    bool end_was_cut;              /* the journal had an end that was torn */
};

static inline struct lmdb_store *store_of_unit(const struct unit_of_work *unit)
{
    return (struct lmdb_store *)(uintptr_t)((const char *)unit - offsetof(struct lmdb_store, unit));
}

/* What the journal said just now; of a failure the cause is noted. */
static inline enum store_result store_noted(struct lmdb_store *store, enum store_result result)
{
    if (result == STORE_FAILED)
        store->cause = journal_file_cause(store->journal);
    return result;
}

static inline struct lmdb_store *store_of_reader(const struct reader *reader)
{
    return (struct lmdb_store *)(uintptr_t)((const char *)reader -
                                            offsetof(struct lmdb_store, reader));
}

/* ---- store.c: for who only looks (store/verify/) ---- */

/* A store whose journal is open for reading alone, and whose tables are not open yet. Changes
 * nothing on disk. NULL: `error` says why. lmdb_store_close is to be called. */
struct lmdb_store *store_look(const struct lmdb_store_options *options, char error[ERROR_BYTES]);

/* Opens its tables too, and has them be what they would be after a start, in memory. STORE_DAMAGED,
 * STORE_FAILED: they are not open, and `error` says why. *found: what their pages are. */
enum store_result store_look_at_tables(struct lmdb_store *store, size_t map_size_bytes,
                                       struct lmdb_pages_found *found, char error[ERROR_BYTES]);

extern const struct unit_of_work_ops lmdb_unit_ops;
extern const struct reader_ops lmdb_reader_ops;

/* ---- products.c: the repository of products ---- */

/* From the cache, or loaded into it. */
enum store_result store_product(struct lmdb_store *store, struct text sku,
                                struct cached_product **out);

/* Sees to it that the product holds the batch, an exhausted one too. */
enum store_result store_need_batch(struct lmdb_store *store, struct product *product,
                                   struct text ref);

/* Applies the event to the product, and has the tables of products follow. */
enum store_result store_apply(struct lmdb_store *store, struct cached_product *cached,
                              const struct event *event, const struct effect *effect);

/* What of it may follow an event again, as its record is in no slice with the product:
 * where the product has the event and the table of references may not. */
enum store_result store_follow_ref(struct lmdb_store *store, struct text ref, struct text sku);

/* What an event that has happened means for the counters. */
static inline void store_count(struct meta *meta, const struct event *event,
                               const struct effect *effect)
{
    meta->products += event->version == 1;
    meta->waiting_lines += effect->on_line == LINE_PUT && order_line_waits(&effect->line);
    meta->waiting_lines -= effect->waited_since != 0;
    meta->last_seq = event->seq;
    meta->last_time_ms = event->time_ms;
    meta->last_of_type[event->type] = event->seq;
}

/* ---- lines.c: order lines ---- */

/* The line, with texts that live in the arena. */
enum store_result store_line(struct lmdb_store *store, struct text orderid, struct text sku,
                             struct order_line *out);

/* The newest lines of a batch, as unit_newest_lines. */
enum store_result store_newest_lines(struct lmdb_store *store, const struct batch *batch,
                                     struct text sku, uint32_t units, struct order_line **out,
                                     size_t *count);

/* Has the tables of lines follow an event. Those of an event that they have already may follow it
 * again, if all later ones do too. */
enum store_result store_follow_lines(struct lmdb_store *store, const struct effect *effect);

/* ---- catch_up.c: from the journal ---- */

/* Catches up: applies all that the journal has and the tables lack, where they may lack something.
 * STORE_DAMAGED: the tables contradict the journal, or the journal cannot be read. */
enum store_result store_catch_up(struct lmdb_store *store);

/* Forgets what is in memory; store_catch_up must follow before anything else. */
void store_forget(struct lmdb_store *store);

/* ---- rounds.c ---- */

/* Takes note of a round that has ended, and begins one where tables lack enough. Where they lack
 * far more than that it waits for the end of the round. STORE_FULL: there is no room for it;
 * STORE_FAILED: it cannot be written now; STORE_BROKEN: the disk failed. Requires: all that changed
 * was submitted. */
enum store_result store_turn_rounds(struct lmdb_store *store);

/* The unit under way is durable: a round that waits for it can be written. */
void store_release_round(struct lmdb_store *store);

/* Begins a round of all that changed. Requires: none is under way, and there is something. */
void store_begin_round(struct lmdb_store *store);

/* Waits for the end of the round under way, if there is one, and takes note of it. */
enum store_result store_end_round(struct lmdb_store *store);

/* ---- remembered.c: replies by id ---- */

/* Requires: tables have no changes. */
enum store_result store_open_replies(struct lmdb_store *store);
void store_close_replies(struct lmdb_store *store);
enum store_result store_recall(struct unit_of_work *unit, const struct request *request,
                               struct reply *out);
enum store_result store_remember(struct unit_of_work *unit, const struct request *request,
                                 const struct reply *reply);
/* A reply that the journal has. */
enum store_result store_follow_reply(struct lmdb_store *store, const struct entry_reply *reply);
/* Forgets the oldest replies, beyond those that are to be kept. */
enum store_result store_evict_replies(struct lmdb_store *store);
/* Brings the index in line with a unit that is durable, or lost. */
void store_settle_replies(struct lmdb_store *store, struct unit_memory *unit, bool is_durable);

#endif
