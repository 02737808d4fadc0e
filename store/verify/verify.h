/* Looks at all that a store says, offline, and at whether it is true (allocd --verify). */
#ifndef STORE_VERIFY_VERIFY_H
#define STORE_VERIFY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Verifies the store in `directory` and writes to `out` what was looked at, a line for each check,
 * and what is wrong, a line for each finding. True: nothing is.
 *
 * The journal is replayed, by code of its own, and all tables are held against what comes of it,
 * with what they lack of the journal laid over them, as by a start. That takes time in proportion
 * to the store, and memory in proportion to its batches, order lines and remembered ids. A store
 * that a node is using is not looked at: false. Where a first start died before anything was
 * stored, nothing is wrong. A beginning of an entry at the end of the journal, which the next start
 * will cut off, is no damage.
 *
 * Changes nothing on disk. `map_size_bytes`: as in struct lmdb_store_options. */
bool lmdb_verify(const char *directory, size_t map_size_bytes, FILE *out);

#endif
