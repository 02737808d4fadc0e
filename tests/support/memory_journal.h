/* A journal in memory, for tests: it can be told to refuse, and to hold completions back. */
#ifndef TESTS_SUPPORT_MEMORY_JOURNAL_H
#define TESTS_SUPPORT_MEMORY_JOURNAL_H

#include "bus/ports/journal.h"

/* Ends the program where there is no memory. */
struct journal *memory_journal_new(void);
void memory_journal_destroy(struct journal **journal);

/* The n-th append from now on (1: the next one) fails with STORE_FULL or STORE_BROKEN, when its
 * turn comes. n = 0: none does. */
void memory_journal_fail(struct journal *journal, uint64_t n, enum store_result result);

/* What is submitted stays under way until the release, or until somebody waits for it. */
void memory_journal_hold(struct journal *journal);
void memory_journal_release(struct journal *journal);

/* As if it were closed and opened again: what was not written is gone, and all that was is told.
 * Requires: no cursor is open. */
void memory_journal_reopen(struct journal *journal);

/* Entries whose bodies are larger than this find no room. At first there is no such limit. */
void memory_journal_set_room(struct journal *journal, uint64_t bytes);

#endif
