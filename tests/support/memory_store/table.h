/* A sorted table of the memory store: pointers by two texts, in byte order. */
#ifndef TESTS_SUPPORT_MEMORY_STORE_TABLE_H
#define TESTS_SUPPORT_MEMORY_STORE_TABLE_H

#include "domain/base/text.h"

/* Texts belong to whoever put them in and outlive the entry. A key of one text has an empty
 * `first`. */
struct memory_entry {
    struct text first;
    struct text second;
    void *value;
};

struct memory_table {
    struct memory_entry *entries; /* by (first, second) */
    size_t count;
    size_t capacity;
};

static inline struct text text_empty(void)
{
    return (struct text){"", 0};
}

void memory_table_release(struct memory_table *table);

/* NULL: there is no such entry. */
void *memory_table_find(const struct memory_table *table, struct text first, struct text second);

/* Adds an entry or replaces the one with that key. False: no memory, nothing changed. */
bool memory_table_put(struct memory_table *table, struct text first, struct text second,
                      void *value);

/* Nothing to do where there is no such entry. */
void memory_table_remove(struct memory_table *table, struct text first, struct text second);

/* Index of the first entry with that `first` and a `second` beyond `after` (absent: any); that of
 * some entry with another `first`, or the count, where there is none. */
size_t memory_table_after(const struct memory_table *table, struct text first, struct text after);

#endif
