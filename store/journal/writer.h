/* Writes entries: each durable, or gone without a trace, before it returns. It is used by one
 * thread at a time. */
#ifndef STORE_JOURNAL_WRITER_H
#define STORE_JOURNAL_WRITER_H

#include "bus/ports/journal.h"
#include "store/journal/layout.h"
#include "store/journal/segment.h"

struct writer {
    int directory_fd; /* not its own; as mark_fd */
    int mark_fd;
    uint64_t journal_id;
    uint64_t largest;           /* size that segments grow to */
    int fd;                     /* of the segment that is written to; -1: none yet */
    struct segment_place place; /* its own */
    struct layout_spot spot;    /* behind the newest entry */
    uint64_t chain;             /* seal of the last part */
    int cause;                  /* errno of the call that failed last */
};

/* Begins the segment whose spare is there, and goes there. Its head says that the part `index` of
 * entry `number` comes next. STORE_FULL: no room, and it is a spare still; STORE_FAILED: the same,
 * as it cannot be opened; STORE_BROKEN. */
enum store_result writer_begin_segment(struct writer *writer, uint64_t ordinal, uint64_t bytes,
                                       uint64_t number, uint32_t index, uint64_t first_seq);

/* Appends the entry where layout_walk_begin puts it behind `spot`. Requires: spares are there for
 * all segments that this begins. STORE_OK: it is durable. STORE_FULL, STORE_FAILED: nothing of it
 * can ever come back, and the writer is where it was, or at the beginning of the next segment.
 * STORE_BROKEN: nobody can tell. After all but STORE_OK `cause` says why. */
enum store_result writer_append(struct writer *writer, const struct journal_entry *entry);

void writer_close(struct writer *writer);

#endif
