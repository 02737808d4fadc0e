/* Writes rounds of changed records into LMDB, in a thread of its own: what the tables say is on
 * disk some time after the journal. It shares nothing with the thread that decides but the round,
 * which nobody changes while it is being written.
 *
 *     idle  --projector_begin-->  writing  -->  written  --projector_take-->  idle
 *                                         \->  failed   --projector_take-->  idle
 *
 * A round is written in slices, each a transaction of its own, so that the journal need not wait
 * long for the disk. A crash between two of them leaves tables of which some are newer than their
 * counters say. That is harmless, as a start goes through the journal from the counters on:
 *
 *  1. All records of one product (products, batches, use, waiting) are in one slice, and the
 *     product's names its newest event: events up to that one are not applied to it again.
 *  2. Of every other record the last event about it tells all, so applying events again that it has
 *     already leads to what it was.
 *  3. The counters are in the last slice: they never say more than the tables have.
 *
 * And a round is only begun when the journal has all of it on disk, so the tables are never ahead
 * of the journal. */
#ifndef STORE_LMDB_PROJECTOR_H
#define STORE_LMDB_PROJECTOR_H

#include "store/lmdb/tables.h"

struct projector;

/* Writes what `tables` has for a round. Both outlive it. NULL: no memory, or no thread. */
struct projector *projector_new(struct tables *tables, const struct directory *directory);

/* Waits for the round that is being written. */
void projector_destroy(struct projector **projector);

/* Begins to write tables->older, with these counters at its end. Requires: it is idle, and the
 * journal has all of that on disk. */
void projector_begin(struct projector *projector, const struct meta *meta);

/* True: there is no round, or none whose end was not taken. */
bool projector_is_idle(const struct projector *projector);

/* The end of a round: true where it has come, and *result says how. After anything but STORE_OK the
 * round is as good as not written; it may be begun again. STORE_FULL: no space; STORE_FAILED: no
 * memory, or no descriptor to look for space with; STORE_BROKEN: the disk or the file failed. */
bool projector_take(struct projector *projector, enum store_result *result);

/* The errno to be told of a round whose end was taken, and that was STORE_FAILED. Requires: it is
 * idle. */
int projector_cause(const struct projector *projector);

/* Blocks until the end of the round under way has come, to be taken. */
void projector_wait(struct projector *projector);

#endif
