/* How an entry is stored: in one part or several, each a head and a piece of the body, padded with
 * zeros to 8 bytes. Numbers are little endian.
 *
 *     offset  bytes
 *          0      8  magic
 *          8      8  number of the entry
 *         16      4  index of the part in its entry: 0, 1, 2 ...
 *         20      4  flags: 1, the last part of its entry
 *         24      8  first_seq
 *         32      4  events
 *         36      4  bytes of the body in this part
 *         40      8  time_ms
 *         48      8  epoch
 *         56      8  number of the newest entry that was durable when this one was written
 *         64      8  seal of the part before, in whatever segment: the chain
 *         72      8  checksum of the body in this part
 *         80      8  seal: checksum of all of the head before it, and so of the body too
 *
 * Both checksums are XXH3, seeded with the journal's id, the ordinal of the segment and the offset
 * of the part in it. So a part that stands at another place, or was left there by another journal,
 * is none. The id is random and never leaves the machine, so no client can send a body that looks
 * like a part. The seal covers the head alone and the checksum in it covers the body, so that heads
 * can be walked without reading what is between them. */
#ifndef STORE_JOURNAL_PART_H
#define STORE_JOURNAL_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PART_HEAD_BYTES ((size_t)88)
#define PART_BODY_MAX ((size_t)1 << 20)
#define PART_ALIGNMENT ((size_t)8)
#define PART_MAGIC UINT64_C(0x7472615064636c61) /* "alcdPart" */
#define CUT_NOTE UINT64_C(0x6568747543646c61)   /* in its place where an end was cut off */

struct part {
    uint64_t number;
    uint32_t index;
    bool is_last;
    uint64_t first_seq;
    uint32_t events;
    uint32_t body_bytes;
    uint64_t time_ms;
    uint64_t epoch;
    uint64_t durable;
    uint64_t prev;
    uint64_t body_sum;
    uint64_t seal;
};

struct part_place {
    uint64_t journal_id;
    uint64_t ordinal; /* of the segment */
    uint64_t offset;  /* in the segment */
};

/* Bytes that a part takes in its segment. */
size_t part_bytes(size_t body_bytes);

/* Computes body_sum and seal of *part, and writes its head. Requires: body_bytes bytes at `body`,
 * no more than PART_BODY_MAX. */
void part_encode(struct part *part, const struct part_place *place, const void *body,
                 unsigned char out[PART_HEAD_BYTES]);

/* False, with *out untouched: no head of a part stands there. */
bool part_decode(const unsigned char head[PART_HEAD_BYTES], const struct part_place *place,
                 struct part *out);

/* Whether that is the body. Requires: a part that part_decode gave for the place, and its
 * body_bytes bytes. */
bool part_has_body(const struct part *part, const struct part_place *place, const void *body);

/* Whether `part` may stand behind `before`: the next one of its entry, or the first one of the next
 * entry. */
bool part_follows(const struct part *before, const struct part *part);

/* Numbers in the journal's files, little endian. */
void part_put_number(unsigned char *out, uint64_t number, size_t bytes);
uint64_t part_get_number(const unsigned char *in, size_t bytes);

#endif
