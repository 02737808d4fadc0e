/* What the files of the LMDB store share. */
#ifndef STORE_LMDB_INSIDE_H
#define STORE_LMDB_INSIDE_H

#include "domain/effect.h"
#include "store/wire/codec.h"
#include "store/lmdb/env.h"
#include "store/ahead/line_overlay.h"
#include "store/lmdb/store.h"
#include "store/ahead/product_cache.h"
#include "store/ahead/remembered_index.h"

/* An entry of the index that was added or is to be removed with this unit. */
struct index_change {
    uint64_t hash;
    uint64_t number;
};

struct index_changes {
    struct index_change *items;
    size_t count;
    size_t capacity;
};

/* The writing of products and lines behind the log. All that was ahead at one time is a round; when
 * its last one is written, the tables hold all events up to then. */
struct lmdb_fold {
    struct lazy_order round; /* struct cached_product, by rank */
    uint64_t round_seq;      /* newest event when the round began */
    /* One begins when tables lack so much: */
    uint64_t events_in_round;
    size_t product_bytes_in_round;
    size_t line_bytes_in_round;
    struct key first_sku; /* of some product: all SKUs have so many bytes in common with it */
    size_t common;
};

/* The request whose id was asked for last. */
struct asked {
    struct text id;
    uint64_t hash;         /* of the id */
    struct text canonical; /* the request */
};

/* What is known of the table of lines beside itself; see store/lmdb/lines.c. */
struct lmdb_lines {
    struct key largest; /* no key of a line is larger */
    bool largest_is_known;
    struct line_overlay *newer; /* what the table lacks of the events since the last round began */
    struct line_overlay *older; /* and of those before; empty where no round is being written */
    struct line_place next;     /* of the older ones, to be written */
    MDB_cursor *near;           /* of the open unit, for the round; NULL: not opened yet */
};

struct lmdb_store {
    struct unit_of_work unit;
    struct reader reader;
    struct lmdb_env env;
    struct codec *codec;

    MDB_txn *txn;           /* of the open unit, else NULL */
    MDB_txn *read_txn;      /* of the reader while no unit is open, ... */
    bool is_reading;        /* ... and whether it is one now, or rests */
    uint64_t now_ms;        /* of the open unit */
    struct meta meta;       /* with what the open unit did */
    struct meta committed;  /* as on disk */
    MDB_cursor *events_end; /* cursors of the open unit for appending; NULL: not opened yet */
    MDB_cursor *remembered_end;
    struct product_cache *cache;
    struct lmdb_lines lines;
    struct lmdb_fold fold;
    bool is_full;        /* the last commit found no room */
    bool is_stale;       /* what is in memory is not what the log says: lmdb_fold_replay */
    struct arena *arena; /* texts that live until the next begin */

    struct remembered_index *index;
    uint64_t ids_kept;
    uint64_t hash_seed;            /* so that nobody can choose ids or SKUs that collide */
    struct asked asked;            /* texts of the open unit */
    struct index_changes added;    /* by the open unit */
    struct index_changes outdated; /* by the open unit: to be removed once it is committed */
};

static inline struct lmdb_store *store_of_unit(const struct unit_of_work *unit)
{
    return (struct lmdb_store *)(uintptr_t)((const char *)unit - offsetof(struct lmdb_store, unit));
}

static inline struct lmdb_store *store_of_reader(const struct reader *reader)
{
    return (struct lmdb_store *)(uintptr_t)((const char *)reader -
                                            offsetof(struct lmdb_store, reader));
}

extern const struct unit_of_work_ops lmdb_unit_ops;
extern const struct reader_ops lmdb_reader_ops;

/* ---- log.c: the event log ---- */

/* Adds the event, sealed, to the open unit and copies its body into the arena. Sets its seq, prev
 * and time. */
enum store_result lmdb_log_append(struct lmdb_store *store, struct event *event, struct text *body);

/* The event with that seq, decoded: its texts are LMDB's. A seq that is not there is damage. */
enum store_result lmdb_log_get(struct lmdb_store *store, MDB_txn *txn, uint64_t seq,
                               struct event *out);

/* Decodes a record of the log. */
bool lmdb_log_decode(struct lmdb_store *store, uint64_t seq, const struct logged_event *logged,
                     struct event *out);

/* ---- lines.c: order lines, within the open unit ---- */

/* False: no memory. */
bool lmdb_lines_open(struct lmdb_store *store);
void lmdb_lines_close(struct lmdb_store *store);

/* For each new unit. */
void lmdb_lines_begin(struct lmdb_store *store);

/* Seq of the event that put the line where it is. */
enum store_result lmdb_lines_get(struct lmdb_store *store, struct text orderid, struct text sku,
                                 uint64_t *seq);

/* Brings the lines up to date with an event, by its effect, which may be on none. It may have been
 * committed already, and the table may have it, or later ones of that line that follow too. */
enum store_result lmdb_lines_follow(struct lmdb_store *store, const struct effect *effect);

/* Memory taken by lines that changed since the last round began. */
size_t lmdb_lines_bytes(const struct lmdb_store *store);

/* A round of writing: all lines that changed until it is taken, so many with each unit. Requires:
 * the one before has ended. */
void lmdb_lines_take_round(struct lmdb_store *store);
enum store_result lmdb_lines_write_some(struct lmdb_store *store, uint64_t writes);
bool lmdb_lines_are_written(const struct lmdb_store *store);
void lmdb_lines_end_round(struct lmdb_store *store);

/* Forgets what the table lacks; lmdb_lines_follow comes for all of it. */
void lmdb_lines_forget(struct lmdb_store *store);

/* A walk through the lines of one order as they are now: those of the table, with what it lacks
 * laid over. Until a line is added or changed. */
struct lmdb_lines_walk {
    struct key prefix;
    struct line_place newer;
    struct line_place older;
    bool has_looked; /* the table's next line is these two */
    struct text key; /* absent: it has no more */
    struct text value;
    struct record record; /* of a line that the table lacks */
};

/* Requires: `walk` was begun in the table of lines, at `from` as well. */
void lmdb_lines_walk_begin(struct lmdb_lines_walk *lines, const struct lmdb_store *store,
                           const struct key *prefix, struct text from);
/* Has `walk` show the next line. STORE_NOT_FOUND: the order has no more. */
enum store_result lmdb_lines_walk_next(struct lmdb_lines_walk *lines, struct lmdb_walk *walk);

/* ---- products.c: the repository of products ---- */

/* From the cache, or loaded into it. Requires: a unit is open. */
enum store_result lmdb_products_get(struct lmdb_store *store, struct text sku,
                                    struct cached_product **out);

/* Sees to it that the product holds the batch, an exhausted one too. */
enum store_result lmdb_products_need_batch(struct lmdb_store *store, struct product *product,
                                           struct text ref);

/* Has the tables catch up with a product, within the open unit. Requires: it is ahead of them. */
enum store_result lmdb_products_write(struct lmdb_store *store, struct cached_product *cached);

/* The same for all that are due with this unit. */
enum store_result lmdb_products_write_due(struct lmdb_store *store);

/* ---- fold.c: tables that are written behind the log ---- */

/* An event was applied to its product, whose tables are now behind it. False: no memory. */
bool lmdb_fold_changed(struct lmdb_store *store, struct cached_product *cached,
                       const struct effect *effect);

/* Writes another share of what is behind, in proportion to what the open unit did. */
enum store_result lmdb_fold_some(struct lmdb_store *store);

/* Brings products and lines in memory up to date with the log. Nothing to do where they are.
 * Requires: store->txn. */
enum store_result lmdb_fold_replay(struct lmdb_store *store);

/* Forgets products and lines in memory; lmdb_fold_replay must follow before anything else. */
void lmdb_fold_forget(struct lmdb_store *store);

/* ---- reader.c ---- */

/* Closes the reader's snapshot: pages that it sees could not be used again. */
void lmdb_reader_rest(struct lmdb_store *store);

/* ---- remembered.c: replies by id ---- */

enum store_result lmdb_remembered_open(struct lmdb_store *store);
enum store_result lmdb_remembered_recall(struct unit_of_work *unit, const struct request *request,
                                         struct reply *out);
enum store_result lmdb_remembered_put(struct unit_of_work *unit, const struct request *request,
                                      const struct reply *reply);
/* Forgets the oldest replies, beyond those that are to be kept, within the open unit. */
enum store_result lmdb_remembered_evict(struct lmdb_store *store);
/* Brings the index in line with a unit that was committed, or rolled back. */
void lmdb_remembered_settle(struct lmdb_store *store, bool committed);

#endif
