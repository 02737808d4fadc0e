/* A segment: one file of the journal, and its head.
 *
 *     offset  bytes
 *          0      8  magic
 *          8      4  version of the format
 *         12      4  index of the first part that stands in it
 *         16      8  id of the journal
 *         24      8  ordinal: 1, 2, 3 ...
 *         32      8  number of the entry of the first part
 *         40      8  first_seq of that entry
 *         48      8  seal of the part before, in the segment before
 *         56      8  size of the file
 *         64   4024  zeros
 *       4088      8  checksum of all of it
 *
 * Magic, version and checksum stay where they are in all versions to come. The name is the number
 * in 20 digits and ".segment". A segment that begins within an entry has the index of its first
 * part in the name as well, "00000000000000000017-0000000003.segment", as an entry may fill
 * several. */
#ifndef STORE_JOURNAL_SEGMENT_H
#define STORE_JOURNAL_SEGMENT_H

#include "bus/ports/result.h"
#include "store/journal/part.h"

#include <sys/types.h>

#define SEGMENT_HEAD_BYTES ((size_t)4096)
#define SEGMENT_VERSION 1u
#define SEGMENT_NAME_BYTES 64            /* of a name, its end counted */
#define SEGMENT_BYTES_MIN UINT64_C(8192) /* of a file */
#define SEGMENT_BYTES_MAX (UINT64_C(64) << 20)

struct segment_head {
    uint64_t journal_id;
    uint64_t ordinal;
    uint64_t number; /* of the entry of the first part */
    uint32_t index;  /* of that part */
    uint64_t first_seq;
    uint64_t chain;
    uint64_t bytes;
};

/* The file of one, and the name under which a start looks for it. */
struct segment_place {
    uint64_t number;
    uint32_t index;
    dev_t device;
    ino_t inode;
};

enum segment_verdict { SEGMENT_FINE, SEGMENT_DAMAGED, SEGMENT_OF_OTHER_VERSION };

/* Requires: a size from SEGMENT_BYTES_MIN to SEGMENT_BYTES_MAX that is a multiple of 8. */
void segment_encode(const struct segment_head *head, unsigned char out[SEGMENT_HEAD_BYTES]);

/* *version is set where it is another one, and *out where all is fine. */
enum segment_verdict segment_decode(const unsigned char bytes[SEGMENT_HEAD_BYTES],
                                    struct segment_head *out, uint32_t *version);

/* Whether its first part may stand behind `before`. */
bool segment_follows(const struct part *before, const struct segment_head *head);

/* What part_follows takes for the part before the first one. Requires: it begins with an entry. */
struct part segment_part_before(const struct segment_head *head);

/* Of a segment that is in use: number and index are those of its first part. */
void segment_name(uint64_t number, uint32_t index, char out[SEGMENT_NAME_BYTES]);
/* Of one that is made and not begun. */
void segment_spare_name(uint64_t ordinal, char out[SEGMENT_NAME_BYTES]);

/* Where the open file has its place under the name of that number and index. False: errno says why
 * it cannot be examined. */
bool segment_place_of(int fd, uint64_t number, uint32_t index, struct segment_place *out);
/* Whether the name in the directory still means that file. */
bool segment_is_in_place(const struct segment_place *place, int directory_fd);

/* False: no segment has that name. */
bool segment_name_parse(const char *name, uint64_t *number, uint32_t *index);
/* Whether the name ends as that of a segment does, and as that of a spare one. */
bool segment_name_is_one(const char *name);
bool segment_name_is_spare(const char *name);

/* ---- reading parts of a file ---- */

#define SEGMENT_WINDOW_BYTES ((size_t)64 * 1024)

/* An open file, and some of its bytes. */
struct segment_reader {
    int fd;
    uint64_t journal_id;
    uint64_t ordinal;
    uint64_t end; /* nothing at or behind it is read */
    uint64_t window_at;
    size_t window_bytes;
    unsigned char window[SEGMENT_WINDOW_BYTES];
};

/* The descriptor stays the caller's. Requires: fd is open. */
void segment_reader_init(struct segment_reader *reader, int fd, uint64_t journal_id,
                         uint64_t ordinal, uint64_t end);

/* Head of the part at the offset. STORE_NOT_FOUND: there is none, or it would not end before the
 * end; STORE_FAILED: the disk cannot be read. *out is set with STORE_OK alone. */
enum store_result segment_read_head(struct segment_reader *reader, uint64_t offset,
                                    struct part *out);

/* Body of the part, whose head was read at the offset, to `out`, which has room for it.
 * STORE_NOT_FOUND: its checksum is not right, and what is in `out` is worth nothing. */
enum store_result segment_read_body(struct segment_reader *reader, uint64_t offset,
                                    const struct part *part, unsigned char *out);

#endif
