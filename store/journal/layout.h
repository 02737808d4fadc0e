/* Where the parts of an entry go. It depends on sizes alone, so that whoever submits an entry knows
 * its place before anything of it is written.
 *
 * An entry that fits into the rest of the segment stands there; else, if it fits into the next one,
 * at the beginning of that, and the rest stays zeros; else it fills what there is, and goes on in
 * as many segments as it takes. */
#ifndef STORE_JOURNAL_LAYOUT_H
#define STORE_JOURNAL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A place in the sequence of segments. */
struct layout_spot {
    uint64_t ordinal; /* of the segment */
    uint64_t bytes;   /* its size */
    uint64_t offset;
};

/* Size of the segment behind one of `bytes`: twice as large, up to the largest. */
uint64_t layout_next_bytes(uint64_t bytes, uint64_t largest);

/* The parts of one entry, one after the other. */
struct layout_walk {
    uint64_t largest;
    struct layout_spot next; /* where the next part goes, or the next entry */
    uint64_t body_left;
    bool is_over;
    /* what layout_walk_next found */
    struct layout_spot place;
    uint32_t index;
    uint64_t body_from;
    size_t body_bytes;
    bool is_last;
};

/* An entry with a body of so many bytes; the entry before it ends at `from`. `largest` is the size
 * that segments grow to. */
void layout_walk_begin(struct layout_walk *walk, const struct layout_spot *from, uint64_t largest,
                       uint64_t body_bytes);

/* The next part. False: there are no more, and walk->next is the end of the entry. */
bool layout_walk_next(struct layout_walk *walk);

/* Where such an entry would end. */
struct layout_spot layout_end(const struct layout_spot *from, uint64_t largest,
                              uint64_t body_bytes);

#endif
