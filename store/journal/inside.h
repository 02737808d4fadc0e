/* What the files of the journal share. Who may touch what:
 *
 *   the caller's thread      plan, segments, kept, told, asked, cause
 *   whoever writes           writer: the worker while there are entries to be written, else the
 *                            caller's thread
 *   the worker               spare
 *   both, under the mutex    all of `shared` */
#ifndef STORE_JOURNAL_INSIDE_H
#define STORE_JOURNAL_INSIDE_H

#include "store/journal/file.h"
#include "store/journal/segments.h"
#include "store/journal/spare.h"
#include "store/journal/writer.h"

#include <pthread.h>

/* An entry that was submitted and not told. */
struct queued {
    struct journal_entry entry;
    struct layout_spot from; /* behind the entry before */
};

/* An entry that was read from files and checked, and what stands behind it. */
struct verified {
    struct journal_entry entry; /* number 0: none */
    unsigned char *body;        /* capacity bytes, or NULL */
    size_t capacity;
    struct part last; /* its last part */
    size_t position;  /* of the segment where that stands */
    uint64_t offset;  /* of the end of that */
};

struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t work;    /* for the worker: there is something to do */
    pthread_cond_t changed; /* for the caller: something was done */
    struct queued *queue;   /* entry n is at n % capacity; those behind `told` */
    uint64_t capacity;      /* a power of two */
    uint64_t submitted;     /* number of the newest entry in the queue */
    uint64_t written;       /* number of the newest entry that is durable */
    enum store_result
        trouble;         /* what becomes of the entries behind it; STORE_OK: they are written */
    uint64_t made;       /* ordinal of the newest segment that is there, spare ones counted */
    uint64_t made_bytes; /* its size */
    uint64_t wanted;     /* ordinal of the one up to which they are to be made */
    enum store_result making; /* how that went last */
    int cause;                /* errno of the call that failed, where one of the two is trouble */
    uint64_t file_bytes;
    struct segment_place place; /* of the segment with the newest entry that is written */
    bool is_signalled;          /* the eventfd is readable */
    bool is_closing;
};

struct journal_file {
    struct journal port;
    int directory_fd; /* of the journal's own directory */
    int mark_fd;
    int event_fd;
    uint64_t id;
    uint64_t largest;
    enum journal_file_mode mode;
    bool has_cut;
    struct layout_spot plan; /* behind the newest entry submitted */
    uint64_t told;           /* number of the newest entry told, refused ones counted */
    uint64_t asked;          /* ordinal of the newest segment that was asked for ahead of need */
    int cause;               /* as journal_file_cause */
    struct segments segments;
    struct verified kept; /* by the last cursor that ended */
    struct writer writer;
    struct spare spare;
    struct shared shared;
    pthread_t worker;
    bool has_worker;
};

static inline struct journal_file *journal_file_of(struct journal *journal)
{
    return (struct journal_file *)(void *)journal;
}

/* ---- mending.c ---- */

/* Finds out what is there, mends what may be mended, unless the mode is to read only, and fills
 * `file`. False: `error` says why. Requires: directory_fd, largest and mode are set, and all else
 * is as in journal_file_open. */
bool recovery_run(struct journal_file *file, const char *directory, uint64_t first_bytes,
                  char error[ERROR_BYTES]);

/* ---- worker.c ---- */

/* Starts the thread. False: errno says why. */
bool worker_start(struct journal_file *file);
/* Waits for what is under way, and ends it. */
void worker_stop(struct journal_file *file);

/* Waits until the segments up to this one are there. STORE_OK, STORE_FULL, STORE_FAILED,
 * STORE_BROKEN; file->cause says why. */
enum store_result worker_reserve(struct journal_file *file, uint64_t ordinal);
/* Has them made without waiting. */
void worker_prepare(struct journal_file *file, uint64_t ordinal);
/* Whether they are there. */
bool worker_has(struct journal_file *file, uint64_t ordinal);
uint64_t worker_file_bytes(struct journal_file *file);
/* Where the newest entry is that is durable. */
struct segment_place worker_place(struct journal_file *file);

/* Puts an entry into the queue, which goes from file->plan on. With `here` and nothing under way it
 * is written within the call. Results as those of journal_submit; file->cause says why. */
enum store_result worker_submit(struct journal_file *file, const struct journal_entry *entry,
                                bool here);
/* The entry at that place of the queue. Requires: it was submitted and not told. */
const struct queued *worker_queued(const struct journal_file *file, uint64_t number);
bool worker_done(struct journal_file *file, struct journal_completion *out);
void worker_wait(struct journal_file *file);

/* ---- cursor.c ---- */

enum store_result cursor_begin(struct journal *journal, enum journal_key key, uint64_t value,
                               struct journal_cursor **out);
enum store_result cursor_next(struct journal_cursor *cursor, struct journal_entry *out);
void cursor_end(struct journal_cursor *cursor);

#endif
