/* The LMDB environment: opening it safely, its tables, and what its errors mean.
 *
 * Default flags only: nothing here weakens a commit. */
#ifndef STORE_LMDB_ENV_H
#define STORE_LMDB_ENV_H

#include "domain/base/error.h"
#include "bus/ports/result.h"
#include "store/lmdb/pages.h"
#include "store/lmdb/place_watch.h"
#include "store/lmdb/record.h"

#include <lmdb.h>
#include <sys/types.h>

/* The tables: TABLE(name, flags of mdb_dbi_open, what it holds). */
#define LMDB_TABLES(TABLE)                                                                         \
    TABLE(meta, 0, "one record: counters and the heads of the prev chains")                        \
    TABLE(events, MDB_INTEGERKEY, "seq -> event: the log, and the truth")                          \
    TABLE(products, 0, "sku -> totals")                                                            \
    TABLE(batches, 0, "sku, ref -> batch")                                                         \
    TABLE(use, 0, "sku, eta, age -> ref, of batches with stock: the order of use")                 \
    TABLE(refs, 0, "ref -> sku")                                                                   \
    TABLE(lines, 0, "orderid, sku -> seq of the event that put the line where it is")              \
    TABLE(waiting, 0, "sku, seq -> a line that waits for stock")                                   \
    TABLE(remembered, MDB_INTEGERKEY, "number -> a reply remembered by its id")

#define LMDB_COUNT_ONE(name, flags, what) +1
enum { LMDB_ENV_TABLES = 0 LMDB_TABLES(LMDB_COUNT_ONE), LMDB_ENV_TABLES_MAX = 16 };

#define LMDB_META_KEY "meta" /* of the one record of the table of that name */

#define LMDB_ENV_DATA_FILE "data.mdb"
#define LMDB_ENV_READERS_FILE "lock.mdb" /* LMDB's own, of no use between two starts */
/* Has a byte from when the store was first made whole. Nothing is locked with it. */
#define LMDB_ENV_MARKER_FILE "node.lock"

struct lmdb_inode {
    dev_t device;
    ino_t number;
};

struct lmdb_env {
    MDB_env *env;
    int directory_fd; /* holds the lock on the directory */
    int marker_fd;
    struct lmdb_inode directory_inode;
    struct lmdb_inode file_inode;
    struct place_watch place;
    const char *directory;
    bool was_made;                 /* when it was opened: there was a whole store once */
    enum lmdb_pages_depth checked; /* how far the file was looked at when it was opened */
    bool is_new;                   /* there was nothing in it */
    bool has_finished_commit;      /* one that was cut off when it was opened */
#define TABLE(name, flags, what) MDB_dbi name;
    LMDB_TABLES(TABLE)
#undef TABLE
};

/* Opens the environment in `directory`, which is made with mode 0700 where it is missing, and locks
 * the directory and the file itself against a second node, whatever their names are. A file of up
 * to `check_bytes` is looked at page by page, a larger one at its ends alone. A commit that was cut
 * off at its meta page is finished. The string must outlive *out. False: `error` says why, in one
 * line without a full stop, and nothing stays open.
 */
bool lmdb_env_open(struct lmdb_env *out, const char *directory, size_t map_size_bytes,
                   uint64_t check_bytes, char error[ERROR_BYTES]);
void lmdb_env_close(struct lmdb_env *env);

/* Whether the directory is still where it was when it was opened, and its file in it. The names are
 * looked at where something has happened on the way to them, and each second. False: `error` says
 * what is not, in one line; whoever begins a node there now does not find what this one wrote. A
 * name that cannot be looked at counts as gone. */
bool lmdb_env_is_in_place(struct lmdb_env *env, char error[ERROR_BYTES]);

/* The bytes of a data file that has no more than LMDB's two first pages: nothing is stored. */
int64_t lmdb_env_new_bytes(void);

/* What an error of a read means for the caller. */
enum store_result lmdb_read_result(int rc);

/* What an error of a write or a commit means: a full disk may show as EIO, so it is probed for
 * room (docs/ARCHITECTURE.md, "A full disk"). */
enum store_result lmdb_write_result(const struct lmdb_env *env, int rc);

/* Commits, and returns LMDB's code. Where a meta page could not be written, LMDB leaves half of a
 * transaction in it; what was there before is put back, so that the commit does not happen. Who
 * dies before that leaves it to the next start, which finishes the commit (pages.h). */
int lmdb_commit(const struct lmdb_env *env, MDB_txn *txn);

/* What a failed commit means. Where the meta page may be on disk or not nobody can tell what is
 * stored: LMDB then takes no transaction any more. */
enum store_result lmdb_commit_failed(const struct lmdb_env *env, int rc);

/* True where a file could not grow as far as the store's has to. */
bool lmdb_env_has_no_room(const struct lmdb_env *env);

/* Bytes of the file. */
uint64_t lmdb_env_bytes(const struct lmdb_env *env);

static inline MDB_val lmdb_val(struct text text)
{
    return (MDB_val){text.len, (void *)(uintptr_t)text.data};
}

static inline struct text lmdb_text(MDB_val val)
{
    return (struct text){val.mv_data, val.mv_size};
}

/* The value under a key. STORE_NOT_FOUND: there is none. It is LMDB's and lives until the next
 * write of this transaction. */
enum store_result lmdb_get(MDB_txn *txn, MDB_dbi table, struct text key, struct text *out);

/* Puts a sealed record, or deletes one that may be missing. Returns LMDB's code. */
int lmdb_put(MDB_txn *txn, MDB_dbi table, struct text key, const struct record *record);
int lmdb_delete(MDB_txn *txn, MDB_dbi table, struct text key);

/* Puts a sealed record behind all others of its table: no search. *end is a cursor that the caller
 * keeps for the table and this transaction, NULL at first; LMDB closes it with the transaction.
 * Requires: no key in the table is as large. Returns LMDB's code. */
int lmdb_append(MDB_txn *txn, MDB_dbi table, MDB_cursor **end, struct text key,
                const struct record *record);

/* Puts a sealed record beside the one that was put last with that cursor, which is kept like the
 * one of lmdb_append: records in the order of their keys need few searches. Returns LMDB's code. */
int lmdb_put_near(MDB_txn *txn, MDB_dbi table, MDB_cursor **near, struct text key,
                  const struct record *record);

/* A walk through the keys of a table in byte order. */
struct lmdb_walk {
    MDB_cursor *cursor;
    MDB_cursor_op op;
    struct text key; /* LMDB's, as long as the value */
    struct text value;
};

/* Begins at the first key >= `from` (of a table by number: its 8 bytes). A walk that was begun
 * must be ended. */
enum store_result lmdb_walk_begin(struct lmdb_walk *walk, MDB_txn *txn, MDB_dbi table,
                                  struct text from);
/* STORE_OK: key and value are the next ones. STORE_NOT_FOUND: no more. */
enum store_result lmdb_walk_next(struct lmdb_walk *walk);
void lmdb_walk_end(struct lmdb_walk *walk);

/* True where the key starts with `prefix`; *rest is what follows. */
bool lmdb_key_rest(struct text key, const struct key *prefix, struct text *rest);

#endif
