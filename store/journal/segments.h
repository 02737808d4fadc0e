/* Which segments there are, and where in each its entries are: one place about each 64 KiB, in
 * memory. For the newest segment places are noted as entries become durable; for an older one when
 * somebody reads in it, by a walk over its heads; and only so many old ones are kept. A place that
 * could not be noted for want of memory costs a longer walk, and nothing else. */
#ifndef STORE_JOURNAL_SEGMENTS_H
#define STORE_JOURNAL_SEGMENTS_H

#include "bus/ports/journal.h"

#include <stddef.h>

#define SEGMENTS_STEP_BYTES ((uint64_t)64 * 1024) /* between two places */
#define SEGMENTS_INDEXED_MAX ((size_t)256)

/* Where an entry begins. */
struct segments_place {
    uint64_t number;
    uint64_t first_seq;
    uint64_t offset;
};

struct segment_info {
    uint64_t number; /* of the entry of its first part */
    uint32_t index;  /* of that part */
    uint64_t first_seq;
    uint64_t bytes;
    uint64_t end; /* no part stands at or behind it that is known to be durable */
    bool is_indexed;
    struct segments_place *places;
    size_t place_count;
    size_t place_capacity;
};

/* The segment of ordinal n is items[n - 1]. Begin with zeros. */
struct segments {
    struct segment_info *items;
    size_t count;
    size_t capacity;
    size_t indexed; /* how many are */
    size_t hand;    /* where to look for the next index to be given up */
};

void segments_release(struct segments *segments);

/* Room for so many, so that segments_add cannot fail. False: no memory. */
bool segments_reserve(struct segments *segments, uint64_t count);

/* Adds the next one, without entries. Requires: there is room. The pointer holds until the next
 * segments_reserve. */
struct segment_info *segments_add(struct segments *segments, uint64_t number, uint32_t index,
                                  uint64_t first_seq, uint64_t bytes);

/* Takes the newest one away. Requires: there is one. */
void segments_remove_newest(struct segments *segments);

/* Notes where an entry begins, unless a place near before it is known. Requires: it is behind those
 * noted before. */
void segments_note(struct segment_info *info, const struct segments_place *place);

/* Says that all places of a segment are noted; gives up another index, where there are many. */
void segments_set_indexed(struct segments *segments, size_t position);

/* Position of the segment in which the entry begins that has this seq or number, or of one before
 * it. Requires: there are segments. */
size_t segments_find(const struct segments *segments, enum journal_key key, uint64_t value);

/* The last place noted there at or before that seq or number. False: none, so begin at the first
 * part. */
bool segments_find_place(const struct segment_info *info, enum journal_key key, uint64_t value,
                         struct segments_place *out);

#endif
