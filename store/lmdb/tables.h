/* The tables as they are now: what LMDB has, and over it what it lacks.
 *
 *     put, delete ->  newer     what changed since the last round began
 *                     older     a round: what had changed when it began; it is being written
 *                     snapshot  of LMDB, as of some moment before
 *
 * A record is looked for from the top down, and a walk goes through all three side by side. So what
 * is read is the same whether a round has been written, or a part of it, or nothing. A round is
 * only dropped once the snapshot says that all of it is written. */
#ifndef STORE_LMDB_TABLES_H
#define STORE_LMDB_TABLES_H

#include "store/ahead/held_log.h"
#include "store/ahead/overlay.h"
#include "store/lmdb/env.h"

struct tables {
    struct lmdb_env env;
    MDB_txn *snapshot; /* NULL: none was taken yet */
    struct overlay *newer[TABLES];
    struct overlay *older[TABLES]; /* all empty where there is no round */
    struct held_log newer_held;    /* the same for the table of held lines, ... */
    struct held_log older_held;    /* ... which has no overlays */
    uint64_t round;                /* how often what is newer has begun anew */
    struct key largest_line;       /* no key of a line is larger; of no bytes: not known */
};

/* Makes the overlays. False: no memory; tables_close is to be called all the same. */
bool tables_init(struct tables *tables);

/* Closes the snapshot and the environment, where they are open. */
void tables_close_env(struct tables *tables);

/* The same, and gives the overlays back. */
void tables_close(struct tables *tables);

/* Takes a newer snapshot; texts that came from the one before are gone. Requires: env is open. */
enum store_result tables_refresh(struct tables *tables);

/* The counters of the snapshot. STORE_NOT_FOUND: nothing was ever written. */
enum store_result tables_meta(const struct tables *tables, struct meta *out);

/* The value under a key, which lives until that key is put or deleted, or the next tables_refresh,
 * tables_drop_round or tables_forget. STORE_NOT_FOUND: there is none. */
enum store_result tables_get(const struct tables *tables, enum table table, struct text key,
                             struct text *out);

/* The same for a line. Most that are asked for are new, and their keys larger than any: these are
 * not looked for. */
enum store_result tables_get_line(struct tables *tables, struct text key, struct text *out);

/* As tables_put, for whoever keeps where that record was put last: it need not be looked for until
 * the next round begins. */
enum store_result tables_put_at(struct tables *tables, enum table table, struct text key,
                                const struct record *record, struct overlay_mark *mark);

/* The batch got a line, or lost it; its table follows with the next round. */
enum store_result tables_hold(struct tables *tables, const struct order_line *line, bool is_gone);

/* STORE_FAILED: no memory, and the record is as it was. */
enum store_result tables_put(struct tables *tables, enum table table, struct text key,
                             const struct record *record);
enum store_result tables_delete(struct tables *tables, enum table table, struct text key);

/* A walk through the keys that begin with a prefix, in byte order. Until the next put or delete in
 * that table, or what else ends the life of values. */
struct table_walk {
    struct key prefix;
    struct lmdb_walk stored;
    struct overlay_place newer;
    struct overlay_place older;
    bool has_looked;  /* the snapshot's next record is in `stored`, ... */
    bool has_no_more; /* ... or it has none */
    struct text key;
    struct text value;
};

/* Begins at the first key >= prefix + from. A walk that was begun must be ended. */
enum store_result table_walk_begin(struct table_walk *walk, const struct tables *tables,
                                   enum table table, const struct key *prefix, struct text from);
/* STORE_OK: key and value are the next ones. STORE_NOT_FOUND: no more. */
enum store_result table_walk_next(struct table_walk *walk);
void table_walk_end(struct table_walk *walk);

/* What the current key has behind the prefix. */
static inline struct text table_walk_rest(const struct table_walk *walk)
{
    return (struct text){walk->key.data + walk->prefix.len, walk->key.len - walk->prefix.len};
}

/* Bytes of memory of what changed since the last round began. */
size_t tables_bytes(const struct tables *tables);

/* What has changed becomes a round. Requires: there is none. */
void tables_begin_round(struct tables *tables);

/* Requires: the snapshot has all of it. */
void tables_drop_round(struct tables *tables);

/* Forgets what LMDB lacks. Requires: no round is being written. */
void tables_forget(struct tables *tables);

#endif
