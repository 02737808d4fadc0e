/* Looks at the pages of LMDB's data file before LMDB trusts them.
 *
 * LMDB 0.9 has no checksums of its own. A flipped bit in one of its pages can hide a key, and a
 * line that is hidden would be allocated twice; a page of zeros can end the process. The records'
 * checksums say nothing of that. So this goes through all pages that are in use and holds
 * everything that LMDB would believe against what else the file says: after it, a flipped bit
 * anywhere is found, or lies where nobody looks. */
#ifndef STORE_LMDB_PAGES_H
#define STORE_LMDB_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lmdb_pages_depth {
    LMDB_PAGES_METAS,     /* the two metas, and that they are as old as they say: a few pages */
    LMDB_PAGES_STRUCTURE, /* all pages in use: trees, keys in their order, free pages */
    LMDB_PAGES_RECORDS    /* and the checksum of each record */
};

/* A commit that lacks the last two numbers of its meta page alone. Where LMDB cannot write that
 * page it leaves there the roots of the new transaction under the numbers of an older one, and who
 * dies just then cannot take that back (lmdb_commit). A flipped bit in the number of a transaction
 * that was committed looks the same. Opening it is right in both cases: a command that was not
 * answered may have happened, one that was answered has. */
struct lmdb_pages_unfinished {
    uint64_t txn;       /* 0: there is none */
    uint64_t last_page; /* of the file, as this transaction has it */
    uint64_t at;        /* where the two belong in the file, the page before the transaction */
};

struct lmdb_pages_found {
    struct lmdb_pages_unfinished unfinished;
    uint64_t used; /* pages */
    uint64_t free;
    uint64_t unused; /* neither: LMDB forgot them, which does no harm */
    uint64_t entries;
};

#define LMDB_PAGES_ERROR_BYTES 256

/* Looks at the `len` bytes of a data file, whatever they are, as deep as *depth says. False: it is
 * damaged, or there is no memory; `error` says where, in a few words. *found is filled by the
 * deeper two. A file that is shorter than its metas say, or that has an unfinished commit, is
 * looked at deeper than the metas; *depth is then what was done. An unfinished commit is looked at
 * as if it were finished, and *found says what is missing. Takes a byte of memory for each page. */
bool lmdb_pages_check(const void *bytes, size_t len, enum lmdb_pages_depth *depth,
                      struct lmdb_pages_found *found, char error[LMDB_PAGES_ERROR_BYTES]);

/* The same for a file; of one that is larger than `limit_bytes`, the metas. */
bool lmdb_pages_check_file(int fd, uint64_t limit_bytes, enum lmdb_pages_depth *depth,
                           struct lmdb_pages_found *found, char error[LMDB_PAGES_ERROR_BYTES]);

/* Writes what is missing, and syncs nothing. Requires: there is an unfinished commit, of a file
 * that was found whole, and nobody else has it open. False: it could not be written; errno says
 * why. */
bool lmdb_pages_finish(int fd, const struct lmdb_pages_unfinished *unfinished);

#endif
