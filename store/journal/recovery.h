/* A start, in two steps: recovery.c reads what is there, and refuses what is damaged; mending.c
 * then makes it what it should be. */
#ifndef STORE_JOURNAL_RECOVERY_H
#define STORE_JOURNAL_RECOVERY_H

#include "store/journal/inside.h"

/* What the name of a segment says. */
struct recovery_name {
    uint64_t number;
    uint32_t index;
};

struct recovery {
    struct journal_file *file;
    const char *directory;       /* name of the data directory */
    char *error;                 /* ERROR_BYTES */
    struct recovery_name *names; /* in the order of the segments */
    size_t name_count;
    size_t name_capacity;
    bool has_mark;
    uint64_t marked;    /* by the mark; 0: nothing */
    uint64_t marked_id; /* the journal that the mark belongs to */
    uint64_t claimed;   /* the newest entry that a part says to be durable */
    struct segment_reader *reader;
    unsigned char *body; /* PART_BODY_MAX bytes */
    bool has_begun;
    uint64_t at;                    /* in the segment that is read: behind the last whole part */
    struct part before;             /* the last whole part */
    struct part whole;              /* the last part of the last whole entry */
    struct layout_spot entry_begin; /* of the entry of `before`; sizes are left 0 in these */
    struct layout_spot whole_begin; /* of the last whole entry; ordinal 0: nothing was read */
    struct layout_spot whole_end;
    bool is_torn;      /* something stands behind the last whole entry */
    bool has_cut_note; /* something stood there, and a start cut it off */
};

/* They write the error, and return false. */
bool recovery_fail(struct recovery *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool recovery_damaged(struct recovery *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* `do_what` to a file of the journal, or to its directory where the name is empty; errno says why.
 */
bool recovery_cannot(struct recovery *r, const char *do_what, const char *name);

/* ---- recovery.c ---- */

/* Reads all that has to be read. False: it is damaged, or cannot be read. Requires: `names` are
 * there, and segments of the file has room for them. */
bool recovery_read(struct recovery *r);

#endif
