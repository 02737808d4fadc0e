#include "store/ahead/remembered_index.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Open addressing with linear probing. A slot is 0 where it is empty, else
 * tag (39 bits of the hash, the lower of which are the home slot) | number + 1 (25 bits). A slot
 * with the tag of another costs a look at its record, so the tag has what the number does not need.
 */
#define NUMBER_BITS 25
#define NUMBER_MASK (((uint64_t)1 << NUMBER_BITS) - 1)
#define TAG_BITS 39

_Static_assert(2 * REMEMBERED_INDEX_MAX <= (size_t)1 << TAG_BITS, "the tag names the home slot");
_Static_assert(REMEMBERED_INDEX_MAX < NUMBER_MASK / 2, "the nearest number is the right one");

struct remembered_index {
    size_t count;
    size_t mask; /* slots - 1; slots are a power of two, at least half of them empty */
    uint64_t slots[];
};

/* Each look is at a random place: in large pages the processor finds it sooner. It is no matter
 * where the kernel has none. */
static void want_large_pages(struct remembered_index *index, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)index + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)index + bytes) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* NOLINT(performance-no-int-to-ptr) */
}

struct remembered_index *remembered_index_new(size_t entries)
{
    assert(entries > 0 && entries <= REMEMBERED_INDEX_MAX);
    size_t slots = 16;
    while (slots < 2 * entries)
        slots *= 2;
    size_t bytes = sizeof(struct remembered_index) + slots * sizeof(uint64_t);
    struct remembered_index *index = calloc(1, bytes);
    if (index == NULL)
        return NULL;
    want_large_pages(index, bytes);
    index->mask = slots - 1;
    return index;
}

void remembered_index_destroy(struct remembered_index **index)
{
    free(*index);
    *index = NULL;
}

static uint64_t tag_of(uint64_t hash)
{
    return hash >> (64 - TAG_BITS);
}

static uint64_t slot_of(uint64_t hash, uint64_t number)
{
    uint64_t stored = (number % NUMBER_MASK) + 1; /* 1 to 2^25 - 1: never 0 */
    return tag_of(hash) << NUMBER_BITS | stored;
}

void remembered_index_add(struct remembered_index *index, uint64_t hash, uint64_t number)
{
    assert(index->count <= index->mask / 2);
    index->count++;
    size_t at = tag_of(hash) & index->mask;
    while (index->slots[at] != 0)
        at = (at + 1) & index->mask;
    index->slots[at] = slot_of(hash, number);
}

void remembered_index_remove(struct remembered_index *index, uint64_t hash, uint64_t number)
{
    index->count--;
    uint64_t slot = slot_of(hash, number);
    size_t hole = tag_of(hash) & index->mask;
    while (index->slots[hole] != slot) {
        assert(index->slots[hole] != 0);
        hole = (hole + 1) & index->mask;
    }
    /* Slots behind the hole move up, unless that would put them before their home. */
    for (size_t at = (hole + 1) & index->mask; index->slots[at] != 0; at = (at + 1) & index->mask) {
        size_t home = (size_t)(index->slots[at] >> NUMBER_BITS) & index->mask;
        if (((at - home) & index->mask) < ((at - hole) & index->mask))
            continue;
        index->slots[hole] = index->slots[at];
        hole = at;
    }
    index->slots[hole] = 0;
}

void remembered_index_expect(const struct remembered_index *index, uint64_t hash)
{
    __builtin_prefetch(&index->slots[tag_of(hash) & index->mask]);
}

bool remembered_index_next(const struct remembered_index *index, uint64_t hash, uint64_t near,
                           size_t *cursor, uint64_t *number)
{
    size_t home = tag_of(hash) & index->mask;
    for (;;) {
        uint64_t slot = index->slots[(home + *cursor) & index->mask];
        if (slot == 0)
            return false;
        ++*cursor;
        if (slot >> NUMBER_BITS != tag_of(hash))
            continue;
        /* The number nearest to `near` with that remainder. */
        uint64_t remainder = (slot & NUMBER_MASK) - 1;
        uint64_t base = near - near % NUMBER_MASK;
        *number = base + remainder;
        if (*number > near && *number - near > NUMBER_MASK / 2 && *number >= NUMBER_MASK)
            *number -= NUMBER_MASK;
        else if (near > *number && near - *number > NUMBER_MASK / 2)
            *number += NUMBER_MASK;
        return true;
    }
}
