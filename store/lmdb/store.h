/* The store that keeps everything on disk: what happened in the journal, and what follows from it
 * in tables of LMDB. The unit of work and the reader of bus/ports/. One thread, one unit at a time.
 */
#ifndef STORE_LMDB_STORE_H
#define STORE_LMDB_STORE_H

#include "domain/base/error.h"
#include "bus/ports/reader.h"
#include "bus/ports/unit_of_work.h"

struct lmdb_store;

struct lmdb_store_options {
    const char *directory; /* made where it is missing; must outlive the store */
    size_t map_size_bytes; /* more than the store will ever take; it costs address space alone */
    size_t cache_bytes; /* of products in memory; what the tables lack takes as much beside them */
    uint64_t check_bytes;   /* tables that are larger are not looked at page by page when opened */
    uint64_t events_behind; /* that the tables may lack before they are written; fewer where what
                               they change takes too much memory for the cache */
    uint64_t ids_kept;      /* remembered replies, at least; 1 to LMDB_STORE_IDS_MAX */
};

#define LMDB_STORE_IDS_MAX ((uint64_t)7000000)

/* Opens the store, or makes a new one in an empty directory, and has its tables catch up with the
 * journal. Tables that are damaged are made anew from it. NULL: `error` says why not, in one
 * line. */
struct lmdb_store *lmdb_store_open(const struct lmdb_store_options *options,
                                   char error[ERROR_BYTES]);

/* Whether all pages of the tables were looked at when it was opened. */
bool lmdb_store_was_walked(const struct lmdb_store *store);

/* Why the tables were made anew when it was opened, in one line; NULL: they were not. */
const char *lmdb_store_why_rebuilt(const struct lmdb_store *store);

/* Whether the journal ended in an entry that had not been written to its end, which was cut off. */
bool lmdb_store_has_cut(const struct lmdb_store *store);

/* Why a unit has failed just now with STORE_FAILED, in the system's words. They live until the next
 * call for words of the system. */
const char *lmdb_store_cause(const struct lmdb_store *store);

/* Whether the store is still where it was opened. False: it was renamed, replaced or removed, and
 * nothing may be called done any more, as the next start finds something else there; `error` says
 * what happened, in one line. */
bool lmdb_store_is_in_place(struct lmdb_store *store, char error[ERROR_BYTES]);

/* What was not committed is gone. */
void lmdb_store_close(struct lmdb_store **store);

/* They live as long as the store. */
struct unit_of_work *lmdb_store_unit(struct lmdb_store *store);
struct reader *lmdb_store_reader(struct lmdb_store *store);

#endif
