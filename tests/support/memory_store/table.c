#include "tests/support/memory_store/table.h"

#include <stdlib.h>

void memory_table_release(struct memory_table *table)
{
    free(table->entries);
    *table = (struct memory_table){NULL, 0, 0};
}

/* Index of the first entry at or after the key. */
static size_t position(const struct memory_table *table, struct text first, struct text second)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct memory_entry *entry = &table->entries[middle];
        int order = text_compare(entry->first, first);
        if (order == 0)
            order = text_compare(entry->second, second);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct memory_table *table, size_t at, struct text first,
                  struct text second)
{
    return at < table->count && text_equal(table->entries[at].first, first) &&
           text_equal(table->entries[at].second, second);
}

void *memory_table_find(const struct memory_table *table, struct text first, struct text second)
{
    size_t at = position(table, first, second);
    return is_at(table, at, first, second) ? table->entries[at].value : NULL;
}

static bool make_room(struct memory_table *table)
{
    if (table->count < table->capacity)
        return true;
    size_t capacity = table->capacity > 0 ? 2 * table->capacity : 64;
    struct memory_entry *entries = realloc(table->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return false;
    table->entries = entries;
    table->capacity = capacity;
    return true;
}

bool memory_table_put(struct memory_table *table, struct text first, struct text second,
                      void *value)
{
    size_t at = position(table, first, second);
    if (!is_at(table, at, first, second)) {
        if (!make_room(table))
            return false;
        struct memory_entry *entry = &table->entries[at];
        memmove(entry + 1, entry, (table->count - at) * sizeof *entry);
        table->count++;
    }
    table->entries[at] = (struct memory_entry){first, second, value};
    return true;
}

void memory_table_remove(struct memory_table *table, struct text first, struct text second)
{
    size_t at = position(table, first, second);
    if (!is_at(table, at, first, second))
        return;
    struct memory_entry *entry = &table->entries[at];
    memmove(entry, entry + 1, (table->count - at - 1) * sizeof *entry);
    table->count--;
}

size_t memory_table_after(const struct memory_table *table, struct text first, struct text after)
{
    if (text_is_none(after))
        return position(table, first, text_empty());
    size_t at = position(table, first, after);
    return is_at(table, at, first, after) ? at + 1 : at;
}
