/* An LMDB store for a test, in a directory of its own: below TMPDIR, in memory where it is not set.
 */
#ifndef TESTS_SUPPORT_DISK_STORE_H
#define TESTS_SUPPORT_DISK_STORE_H

#include "domain/base/error.h"
#include "store/lmdb/store.h"
#include "tests/support/store_contract.h"

struct disk_store {
    char directory[64];
    struct lmdb_store_options options;
    struct lmdb_store *store; /* NULL: it is closed */
    char error[ERROR_BYTES];
};

/* What new ones are opened with, but for the directory; a test that changes it sets it back. */
extern struct lmdb_store_options disk_store_options;

struct disk_store *disk_store_create(void);
/* Closes it and removes its directory. */
void disk_store_destroy(struct disk_store *disk);

/* Opens one that was closed. False: `error` says why not. */
bool disk_store_open(struct disk_store *disk);

/* A contract's `store` is then a struct disk_store. */
extern const struct store_factory disk_store_factory;

#endif
