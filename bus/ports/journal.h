/* The journal: a sequence of entries that only grows. An entry is what one group of commands did,
 * its events and the replies remembered with it, as bytes that the journal does not look into.
 *
 * Appending is in two steps. Entries are submitted in their order, as many as the caller likes;
 * they are written one after the other, and nothing of one is written before the one before it is
 * durable. When one is complete, `done` tells what became of it, in the order of the numbers. With
 * `here`, and nothing under way, both happen within the call: a lone command on an idle node does
 * not pay for waking a thread.
 *
 * All functions are called in one thread, and none from within another one. */
#ifndef BUS_PORTS_JOURNAL_H
#define BUS_PORTS_JOURNAL_H

#include "bus/ports/result.h"
#include "domain/base/text.h"

#include <assert.h>
#include <stdint.h>

struct journal_entry {
    uint64_t number;    /* 1, 2, 3 ... without a gap */
    uint64_t first_seq; /* of its first event; where it has none, of the next event there will be */
    uint32_t events;    /* their seqs are first_seq .. first_seq + events - 1 */
    uint64_t time_ms;
    uint64_t epoch;
    struct text body;
};

struct journal;
struct journal_cursor;

/* What a read begins at. */
enum journal_key { JOURNAL_BY_SEQ, JOURNAL_BY_NUMBER };

struct journal_completion {
    uint64_t number;
    uint64_t next_seq; /* the first seq behind the entry */
    enum store_result result;
};

struct journal_ops {
    enum store_result (*submit)(struct journal *journal, const struct journal_entry *entry,
                                bool here);
    bool (*done)(struct journal *journal, struct journal_completion *out);
    void (*wait)(struct journal *journal);
    int (*fd)(const struct journal *journal);
    bool (*has_room)(struct journal *journal, uint64_t bytes);
    uint64_t (*bytes)(struct journal *journal);
    enum store_result (*read_begin)(struct journal *journal, enum journal_key key, uint64_t value,
                                    struct journal_cursor **out);
    enum store_result (*read_next)(struct journal_cursor *cursor, struct journal_entry *out);
    void (*read_end)(struct journal_cursor *cursor);
};

/* The numbers are set by the adapter when it is opened, and kept by the functions below. */
struct journal {
    const struct journal_ops *ops;
    uint64_t newest;           /* number of the newest entry submitted; 0: none */
    uint64_t next_seq;         /* the first seq behind it */
    uint64_t durable;          /* number of the newest entry that `done` told to be durable */
    uint64_t durable_next_seq; /* the first seq behind that one */
};

struct journal_cursor {
    struct journal *journal;
};

/* Number of the newest entry submitted, 0: none. Refused ones count until `done` has told the last
 * of them. */
static inline uint64_t journal_newest(const struct journal *journal)
{
    assert(journal->newest >= journal->durable);
    return journal->newest;
}

/* The seq of the first event of the next entry. */
static inline uint64_t journal_next_seq(const struct journal *journal)
{
    assert(journal->next_seq >= journal->durable_next_seq);
    return journal->next_seq;
}

/* Number of the newest entry that is known to be durable: there when the journal was opened, or
 * told by `done` since. 0: none. */
static inline uint64_t journal_durable(const struct journal *journal)
{
    assert(journal->durable <= journal->newest);
    return journal->durable;
}

/* Seq of the newest event that is known to be durable, 0: none. */
static inline uint64_t journal_durable_seq(const struct journal *journal)
{
    assert(journal->durable_next_seq > 0);
    return journal->durable_next_seq - 1;
}

/* Begins to append. Requires: the number is that of the newest entry and one more, the first seq is
 * journal_next_seq, the body is not absent. The body stays the caller's and lives, unchanged, until
 * `done` has told of the entry; *entry itself is copied. May wait for another file to be made.
 *
 * STORE_OK: it is under way, or durable already (with `here`); `done` tells. All else leaves
 * nothing of the entry, now and after any restart, and `done` does not tell of it: STORE_FULL,
 * there is no room; STORE_FAILED, there is no memory, or no file can be opened; one of them again,
 * where refused entries are there that `done` has still to tell of; STORE_BROKEN: nobody can tell
 * what is stored, and the process must end without an answer. */
static inline enum store_result journal_submit(struct journal *journal,
                                               const struct journal_entry *entry, bool here)
{
    assert(entry->number == journal->newest + 1 && entry->first_seq == journal->next_seq);
    assert(!text_is_none(entry->body) && entry->events <= INT64_MAX - entry->first_seq);
    enum store_result result = journal->ops->submit(journal, entry, here);
    if (result == STORE_OK) {
        journal->newest = entry->number;
        journal->next_seq = entry->first_seq + entry->events;
    }
    return result;
}

/* Takes the next completion, in the order of the numbers. False, with both untouched: none yet.
 * STORE_OK: the entry is durable. STORE_FULL, STORE_FAILED: it was refused, and with it all that
 * were submitted behind it: each completes with the same result, and nothing of any of them comes
 * back. When the last of them has been told, the journal takes entries again, the next one with the
 * number of the first that was refused. STORE_BROKEN: as with journal_submit. Does not block. */
static inline bool journal_done(struct journal *journal, uint64_t *number,
                                enum store_result *result)
{
    struct journal_completion told;
    if (!journal->ops->done(journal, &told))
        return false;
    assert(told.number > journal->durable && told.number <= journal->newest);
    assert(told.result == STORE_OK || told.result == STORE_FULL || told.result == STORE_FAILED ||
           told.result == STORE_BROKEN);
    if (told.result == STORE_OK) {
        journal->durable = told.number;
        journal->durable_next_seq = told.next_seq;
    } else if (told.result != STORE_BROKEN && told.number == journal->newest) {
        journal->newest = journal->durable;
        journal->next_seq = journal->durable_next_seq;
    }
    *number = told.number;
    *result = told.result;
    return true;
}

/* Blocks until everything that was submitted is complete; `done` then tells of it. */
static inline void journal_wait(struct journal *journal)
{
    assert(journal->ops->wait != NULL);
    journal->ops->wait(journal);
}

/* A descriptor that is readable while a completion waits to be told that did not happen within
 * journal_submit. It is the journal's, and the same for life. */
static inline int journal_fd(const struct journal *journal)
{
    assert(journal->ops->fd != NULL);
    return journal->ops->fd(journal);
}

/* Whether an entry with a body of so many bytes could be appended now without making another file.
 * For callers that want to refuse before they decide anything. */
static inline bool journal_has_room(struct journal *journal, uint64_t bytes)
{
    assert(bytes <= INT64_MAX);
    return journal->ops->has_room(journal, bytes);
}

/* The sum of the sizes of all files. */
static inline uint64_t journal_bytes(struct journal *journal)
{
    assert(journal->ops->bytes != NULL);
    return journal->ops->bytes(journal);
}

/* Puts a new cursor at the entry that has the event `value`, or that has the number `value`; where
 * the journal begins behind it, at the first entry; where it ends before it, behind the newest one
 * (by seq) or at that number, which may come. It also reads entries that are not durable yet, so it
 * must end before an entry that it may stand on is refused. STORE_OK, STORE_DAMAGED, STORE_FAILED;
 * *out is set with STORE_OK alone, and journal_read_end must follow. */
static inline enum store_result journal_read_begin(struct journal *journal, enum journal_key key,
                                                   uint64_t value, struct journal_cursor **out)
{
    assert(key == JOURNAL_BY_SEQ || key == JOURNAL_BY_NUMBER);
    enum store_result result = journal->ops->read_begin(journal, key, value, out);
    assert(result != STORE_OK || (*out)->journal == journal);
    return result;
}

/* The entry at the cursor, which moves on. Its body lives until the next call with this cursor;
 * that of an entry that is not durable yet no longer than the caller's own bytes. STORE_NOT_FOUND:
 * the end; later there may be more. STORE_DAMAGED: what should be there does not check; the cursor
 * stays. STORE_FAILED: no memory, or the disk cannot be read. *out is set with STORE_OK alone. */
static inline enum store_result journal_read_next(struct journal_cursor *cursor,
                                                  struct journal_entry *out)
{
    assert(cursor != NULL && cursor->journal != NULL);
    return cursor->journal->ops->read_next(cursor, out);
}

/* Ends the cursor, and nulls it. Nothing to do where it is NULL. */
static inline void journal_read_end(struct journal_cursor **cursor)
{
    if (*cursor == NULL)
        return;
    assert((*cursor)->journal != NULL);
    (*cursor)->journal->ops->read_end(*cursor);
    *cursor = NULL;
}

#endif
