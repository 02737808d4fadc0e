/* The LMDB environment of the tables: opening it, and what its errors mean.
 *
 * Default flags only: a round that was committed is on disk. What the tables say follows from the
 * journal, so a file that is damaged is no loss: it is made anew. */
#ifndef STORE_LMDB_ENV_H
#define STORE_LMDB_ENV_H

#include "bus/ports/result.h"
#include "domain/base/error.h"
#include "store/lmdb/directory.h"
#include "store/lmdb/pages.h"
#include "store/lmdb/record.h"

#include <lmdb.h>

/* The tables: TABLE(upper, lower, what it holds). Keys are in byte order. */
#define LMDB_TABLES(TABLE)                                                                         \
    TABLE(META, meta, "one record: counters and the heads of the prev chains")                     \
    TABLE(PRODUCTS, products, "sku -> totals, and the batch that it carries")                      \
    TABLE(BATCHES, batches, "sku, ref -> batch")                                                   \
    TABLE(USE, use, "sku, eta, age -> ref, of batches with stock: the order of use")               \
    TABLE(WAITING, waiting, "sku, seq -> a line that waits for stock")                             \
    TABLE(REFS, refs, "ref -> sku")                                                                \
    TABLE(LINES, lines, "orderid, sku -> line")                                                    \
    TABLE(HELD, held, "ref, seq downwards -> orderid: the lines that a batch holds")               \
    TABLE(REMEMBERED, remembered, "number -> a reply remembered by its id")

enum table {
#define TABLE(upper, lower, what) TABLE_##upper,
    LMDB_TABLES(TABLE)
#undef TABLE
        TABLES
};

#define LMDB_META_KEY "meta" /* of the one record of the table of that name */

struct lmdb_env {
    MDB_env *env;
    MDB_dbi tables[TABLES];
    bool is_new;                   /* there was nothing in it */
    enum lmdb_pages_depth checked; /* how far the file was looked at when it was opened */
};

/* Opens the environment in the directory, and makes it where it is missing. A file of up to
 * `check_bytes` is looked at page by page before LMDB believes it, a larger one at its ends alone.
 * STORE_DAMAGED: it is not whole. STORE_FAILED: it cannot be opened. `error` says why, in one line
 * without a full stop, and nothing stays open. Requires: the directory is locked. */
enum store_result lmdb_env_open(struct lmdb_env *out, const struct directory *directory,
                                size_t map_size_bytes, uint64_t check_bytes,
                                char error[ERROR_BYTES]);

/* Opens it for reading alone, and changes nothing on disk. All of its pages are looked at; *found
 * is what they are. As lmdb_env_open. */
enum store_result lmdb_env_look(struct lmdb_env *out, const struct directory *directory,
                                size_t map_size_bytes, struct lmdb_pages_found *found,
                                char error[ERROR_BYTES]);
void lmdb_env_close(struct lmdb_env *env);

/* Gives the file of the environment, which is not open, another name, so that a new one can be
 * made; and removes that once it is. Nothing to do where there is none. */
bool lmdb_env_set_aside(const struct directory *directory, char error[ERROR_BYTES]);
bool lmdb_env_drop_aside(const struct directory *directory, char error[ERROR_BYTES]);

/* Puts the one that was set aside back in the place of the new one, which is not open, as that
 * could not be made. What cannot be done stays as it is. */
void lmdb_env_put_back(const struct directory *directory);

/* What an error of a read means for the caller. */
enum store_result lmdb_read_result(int rc);

/* What an error of a write or a commit means. A full disk shows as a short write, and LMDB makes
 * EIO of that: `directory` is probed for room then. *cause: with STORE_FAILED, the errno to be told
 * of. */
enum store_result lmdb_write_result(const struct directory *directory, int rc, int *cause);

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

/* The value under a key. STORE_NOT_FOUND: there is none. It is LMDB's and lives as long as the
 * transaction. */
enum store_result lmdb_get(MDB_txn *txn, MDB_dbi table, struct text key, struct text *out);

/* A walk through the keys of a table in byte order. */
struct lmdb_walk {
    MDB_cursor *cursor;
    MDB_cursor_op op;
    struct text key; /* LMDB's, as long as the value */
    struct text value;
};

/* Begins at the first key >= `from`. A walk that was begun must be ended. */
enum store_result lmdb_walk_begin(struct lmdb_walk *walk, MDB_txn *txn, MDB_dbi table,
                                  struct text from);
/* STORE_OK: key and value are the next ones. STORE_NOT_FOUND: no more. */
enum store_result lmdb_walk_next(struct lmdb_walk *walk);
void lmdb_walk_end(struct lmdb_walk *walk);

#endif
