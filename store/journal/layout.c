#include "store/journal/layout.h"

#include "store/journal/segment.h"

#include <assert.h>

#define NO_INDEX UINT32_MAX /* before the first part */

uint64_t layout_next_bytes(uint64_t bytes, uint64_t largest)
{
    assert(bytes >= SEGMENT_BYTES_MIN && largest >= SEGMENT_BYTES_MIN);
    return 2 * bytes < largest ? 2 * bytes : largest;
}

static void step(struct layout_walk *walk)
{
    walk->next.ordinal++;
    walk->next.bytes = layout_next_bytes(walk->next.bytes, walk->largest);
    walk->next.offset = SEGMENT_HEAD_BYTES;
}

/* What an entry takes that stands in one segment. */
static uint64_t bytes_in_one(uint64_t body_bytes)
{
    uint64_t whole = body_bytes / PART_BODY_MAX;
    uint64_t rest = body_bytes % PART_BODY_MAX;
    uint64_t last = rest > 0 || whole == 0 ? part_bytes((size_t)rest) : 0;
    return whole * part_bytes(PART_BODY_MAX) + last;
}

void layout_walk_begin(struct layout_walk *walk, const struct layout_spot *from, uint64_t largest,
                       uint64_t body_bytes)
{
    assert(from->offset >= SEGMENT_HEAD_BYTES && from->offset <= from->bytes);
    assert(from->offset % PART_ALIGNMENT == 0 && body_bytes <= INT64_MAX);
    *walk = (struct layout_walk){
        .largest = largest, .next = *from, .body_left = body_bytes, .index = NO_INDEX};
    uint64_t need = bytes_in_one(body_bytes);
    uint64_t next_bytes = layout_next_bytes(from->bytes, largest);
    /* Invariant 7: one that holds nothing is not left behind, as the next one would have its name.
     */
    if (from->offset > SEGMENT_HEAD_BYTES && need > from->bytes - from->offset &&
        need <= next_bytes - SEGMENT_HEAD_BYTES)
        step(walk);
}

bool layout_walk_next(struct layout_walk *walk)
{
    assert(walk->next.offset <= walk->next.bytes);
    if (walk->is_over)
        return false;
    /* A head alone is no progress, unless the entry is nothing else. */
    if (walk->next.bytes - walk->next.offset < PART_HEAD_BYTES + PART_ALIGNMENT)
        step(walk);
    uint64_t room = walk->next.bytes - walk->next.offset - PART_HEAD_BYTES;
    uint64_t body_bytes = walk->body_left < PART_BODY_MAX ? walk->body_left : PART_BODY_MAX;
    if (body_bytes > room)
        body_bytes = room;
    walk->place = walk->next;
    walk->index = walk->index == NO_INDEX ? 0 : walk->index + 1;
    walk->body_from = walk->index == 0 ? 0 : walk->body_from + walk->body_bytes;
    walk->body_bytes = (size_t)body_bytes;
    walk->body_left -= body_bytes;
    walk->is_last = walk->is_over = walk->body_left == 0;
    walk->next.offset += part_bytes(walk->body_bytes);
    assert(walk->next.offset <= walk->next.bytes);
    return true;
}

struct layout_spot layout_end(const struct layout_spot *from, uint64_t largest, uint64_t body_bytes)
{
    struct layout_walk walk;
    layout_walk_begin(&walk, from, largest, body_bytes);
    while (layout_walk_next(&walk))
        assert(walk.place.ordinal >= from->ordinal);
    return walk.next;
}
