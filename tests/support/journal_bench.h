/* A journal on a bench: what was put into it is remembered, and it is held against that. */
#ifndef TESTS_SUPPORT_JOURNAL_BENCH_H
#define TESTS_SUPPORT_JOURNAL_BENCH_H

#include "bus/ports/journal.h"

#include <stddef.h>

/* The entries that it should have. Bodies follow from number, salt and length, so that none is like
 * another, and stay where they are until the bench is cleared. */
struct journal_bench {
    struct journal *journal;
    struct journal_entry *entries; /* entry n is at n - 1 */
    size_t count;
    size_t capacity;
    void **bodies; /* all that were made, those of refused entries too */
    size_t body_count;
    size_t body_capacity;
    uint64_t salt; /* changed by each refusal, so that what comes instead has another body */
};

void journal_bench_clear(struct journal_bench *bench);

/* The next entry, with so many events and bytes. It is not among those that there should be. */
struct journal_entry journal_bench_make(struct journal_bench *bench, uint32_t events, size_t bytes);

/* Adds it to them: it was submitted. */
void journal_bench_add(struct journal_bench *bench, const struct journal_entry *entry);

/* Submits one, which belongs to those that there should be then, and asserts that it is under way.
 */
void journal_bench_submit(struct journal_bench *bench, uint32_t events, size_t bytes, bool here);

/* Submits it here, and asserts that `done` tells of it. */
void journal_bench_append(struct journal_bench *bench, uint32_t events, size_t bytes);

/* Waits, and asserts that all that was submitted is told to be durable. */
void journal_bench_finish(struct journal_bench *bench);

/* Those behind this number were refused, or lost. */
void journal_bench_forget(struct journal_bench *bench, uint64_t number);

/* Asserts that two entries are the same to the byte. */
void journal_bench_same(const struct journal_entry *found, const struct journal_entry *expected);

/* Asserts that a read from the first entry on finds just those that there should be. */
void journal_bench_check(struct journal_bench *bench);

/* What a cursor that begins at `value` says at its first read. Asserts that an entry that it gives
 * is the one with that number. */
enum store_result journal_bench_read(struct journal_bench *bench, enum journal_key key,
                                     uint64_t value, uint64_t number);

/* Asserts that a cursor that begins at `value` finds the entry with that number first; 0: none. */
void journal_bench_find(struct journal_bench *bench, enum journal_key key, uint64_t value,
                        uint64_t number);

/* Random numbers that are the same each time. */
uint64_t journal_bench_dice(uint64_t *state, uint64_t sides);

#endif
