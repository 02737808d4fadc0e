/* The mark: a small file beside the segments with the number of the newest durable entry. It is
 * written after each sync and never synced itself: it may lag, and never leads. So a start knows of
 * entries that were acknowledged and cannot be found. */
#ifndef STORE_JOURNAL_MARK_H
#define STORE_JOURNAL_MARK_H

#include <stdbool.h>
#include <stdint.h>

#define MARK_FILE "mark"
#define MARK_BYTES 64u

/* Writes it. That it cannot be written is no failure: it lags then. Requires: number > 0. */
void mark_write(int fd, uint64_t journal_id, uint64_t number);

/* False, with both untouched: nothing that a mark would say stands there. */
bool mark_read(int fd, uint64_t *journal_id, uint64_t *number);

#endif
