/* Looks at all that a store says, offline, and at whether it is true (allocd --verify). */
#ifndef STORE_VERIFY_VERIFY_H
#define STORE_VERIFY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Verifies the store in `directory` and writes to `out` what was looked at, a line for each check,
 * and what is wrong, a line for each finding. True: nothing is.
 *
 * The log is replayed, by code of its own, and all tables are held against what comes of it. That
 * takes time in proportion to the store, and memory in proportion to its batches, order lines and
 * remembered ids. A store that a node is using is not looked at: false. Where a first start died
 * before anything was stored, nothing is wrong.
 *
 * A commit that was cut off and that the next start will finish is no damage. The store is judged
 * as it will be then, in a copy in memory.
 *
 * Changes nothing on disk. `map_size_bytes`: as in struct lmdb_store_options. */
bool lmdb_verify(const char *directory, size_t map_size_bytes, FILE *out);

#endif
