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
    LMDB_PAGES_METAS,     /* the two metas */
    LMDB_PAGES_STRUCTURE, /* all pages in use: trees, keys in their order, free pages */
    LMDB_PAGES_RECORDS    /* and the checksum of each record */
};

struct lmdb_pages_found {
    uint64_t used; /* pages */
    uint64_t free;
    uint64_t unused; /* neither: LMDB forgot them, which does no harm */
    uint64_t entries;
};

#define LMDB_PAGES_ERROR_BYTES 256

/* Looks at the `len` bytes of a data file, whatever they are, as deep as *depth says. False: it is
 * damaged, or there is no memory; `error` says where, in a few words. *found is filled by the
 * deeper two. A file that is shorter than its metas say is looked at deeper than the metas; *depth
 * is then what was done. Takes a byte of memory for each page. */
bool lmdb_pages_check(const void *bytes, size_t len, enum lmdb_pages_depth *depth,
                      struct lmdb_pages_found *found, char error[LMDB_PAGES_ERROR_BYTES]);

/* The same for a file; of one that is larger than `limit_bytes`, the metas. */
bool lmdb_pages_check_file(int fd, uint64_t limit_bytes, enum lmdb_pages_depth *depth,
                           struct lmdb_pages_found *found, char error[LMDB_PAGES_ERROR_BYTES]);

#endif
