/* The journal in files: the directory "journal" in the data directory, with segments
 * (store/journal/segment.h), spare ones (spare.h) and the mark (mark.h). docs/ARCHITECTURE.md, "The
 * journal", has the drawing and the invariants.
 *
 * What opening it makes of what it finds:
 * - All that was told to be durable is there, or the start is refused and the error says that the
 *   journal is damaged. The entries since the beginning of the newest segment are read and checked
 *   then, older ones when somebody reads them.
 * - An entry that was never told to be durable may be there as a whole, and is durable then; or
 * what there is of it is cut off. Rot in the very last entry cannot be told from an entry that was
 * not finished, where the mark does not cover it yet. The mark is written right after each sync and
 * again by each start; so that is an entry that was told within the last moments before the machine
 * lost its power. */
#ifndef STORE_JOURNAL_FILE_H
#define STORE_JOURNAL_FILE_H

#include "bus/ports/journal.h"
#include "domain/base/error.h"

#define JOURNAL_DIRECTORY "journal"
#define JOURNAL_FIRST_BYTES (UINT64_C(1) << 20)
#define JOURNAL_LARGEST_BYTES (UINT64_C(64) << 20)

enum journal_file_mode {
    JOURNAL_FILE_MAY_BE_NEW, /* made where there is none */
    JOURNAL_FILE_IS_THERE,   /* refused where there is none */
    JOURNAL_FILE_READ_ONLY /* the same, and nothing on disk is changed: nothing can be submitted */
};

struct journal_file_options {
    const char
        *directory;       /* name of the data directory, for messages; it outlives the call alone */
    uint64_t first_bytes; /* size of the first segment; each next one has twice that */
    uint64_t largest_bytes; /* up to this */
    enum journal_file_mode mode;
};

/* Opens the journal in the directory, or makes one where there is none. It is refused where
 * somebody else has it: the directory "journal" is locked, and the segment that is written to, as
 * both may have other names too. That nobody else makes one at the same time is for the caller to
 * see to. The descriptor stays the caller's, and is not needed afterwards. NULL: `error` says why.
 * Requires: sizes that are multiples of 8, from 8 KiB to 64 MiB, the first one not above the
 * largest. SIGXFSZ is ignored in a process that wants to live with a limit on the size of files. */
struct journal *journal_file_open(int directory_fd, const struct journal_file_options *options,
                                  char error[ERROR_BYTES]);

/* Waits for what is under way, and nulls the pointer. Completions that were not taken are lost, not
 * what they tell of. Requires: no cursor is open. Nothing to do where it is NULL. */
void journal_file_close(struct journal **journal);

/* The number that tells it from all others, chosen when it was made. */
uint64_t journal_file_id(const struct journal *journal);

/* Whether the newest segment that entries were written to still has its name. False: it was
 * renamed, replaced or removed, so the next start does not find them; `error` says so, in one line
 * that names the data directory. Requires: it is not open for reading alone. */
bool journal_file_is_in_place(struct journal *journal, const char *directory,
                              char error[ERROR_BYTES]);

/* What to tell of a refusal, or of a read that failed, when the journal has just said so: the errno
 * of the call that failed for it. */
int journal_file_cause(const struct journal *journal);

/* Whether it ended in the beginning of an entry that was not finished. Opening it cut that off,
 * unless it is open for reading alone. */
bool journal_file_has_cut(const struct journal *journal);

#endif
