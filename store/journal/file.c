#include "store/journal/file.h"

#include "store/journal/disk.h"
#include "store/journal/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- appending ---- */

/* Makes the next segment ahead of need, once: where that failed, whoever needs it tries again. */
static void look_ahead(struct journal_file *file)
{
    uint64_t next = file->plan.ordinal + 1;
    if (file->asked >= next || file->plan.offset < file->plan.bytes / 2)
        return;
    file->asked = next;
    worker_prepare(file, next);
}

static enum store_result submit(struct journal *journal, const struct journal_entry *entry,
                                bool here)
{
    struct journal_file *file = journal_file_of(journal);
    assert(entry->number > file->told && file->plan.ordinal > 0);
    assert(file->mode != JOURNAL_FILE_READ_ONLY);
    struct layout_spot end = layout_end(&file->plan, file->largest, entry->body.len);
    /* Room for what `done` has to note, which cannot fail. */
    file->cause = ENOMEM;
    if (!segments_reserve(&file->segments, end.ordinal))
        return STORE_FAILED;
    enum store_result result = worker_reserve(file, end.ordinal);
    if (result == STORE_OK)
        result = worker_submit(file, entry, here);
    if (result != STORE_OK)
        return result;
    file->plan = end;
    look_ahead(file);
    return STORE_OK;
}

/* Notes where the entry is, so that it can be read from the files. */
static void note_durable(struct journal_file *file, const struct queued *queued)
{
    const struct journal_entry *entry = &queued->entry;
    struct layout_walk walk;
    layout_walk_begin(&walk, &queued->from, file->largest, entry->body.len);
    while (layout_walk_next(&walk)) {
        struct segments *segments = &file->segments;
        if (walk.place.ordinal > segments->count) {
            assert(walk.place.ordinal == segments->count + 1);
            segments_add(segments, entry->number, walk.index, entry->first_seq, walk.place.bytes);
            segments_set_indexed(segments, segments->count - 1);
        }
        struct segment_info *info = &segments->items[segments->count - 1];
        if (walk.index == 0)
            segments_note(
                info, &(struct segments_place){entry->number, entry->first_seq, walk.place.offset});
        info->end = walk.next.offset;
    }
}

static bool done(struct journal *journal, struct journal_completion *out)
{
    struct journal_file *file = journal_file_of(journal);
    assert(file->told >= journal->durable);
    if (file->told == journal->newest)
        return false;
    const struct queued queued = *worker_queued(file, file->told + 1);
    if (!worker_done(file, out))
        return false;
    if (out->result == STORE_OK)
        note_durable(file, &queued);
    return true;
}

static void wait_for_all(struct journal *journal)
{
    struct journal_file *file = journal_file_of(journal);
    assert(file->has_worker);
    worker_wait(file);
}

static int descriptor(const struct journal *journal)
{
    const struct journal_file *file = (const struct journal_file *)(const void *)journal;
    assert(file->event_fd >= 0);
    return file->event_fd;
}

static bool has_room(struct journal *journal, uint64_t bytes)
{
    struct journal_file *file = journal_file_of(journal);
    assert(file->plan.ordinal > 0);
    return worker_has(file, layout_end(&file->plan, file->largest, bytes).ordinal);
}

static uint64_t bytes_of_files(struct journal *journal)
{
    struct journal_file *file = journal_file_of(journal);
    assert(file->segments.count > 0);
    return worker_file_bytes(file);
}

/* ---- opening and closing ---- */

static const struct journal_ops ops = {
    .submit = submit,
    .done = done,
    .wait = wait_for_all,
    .fd = descriptor,
    .has_room = has_room,
    .bytes = bytes_of_files,
    .read_begin = cursor_begin,
    .read_next = cursor_next,
    .read_end = cursor_end,
};

static void destroy(struct journal_file *file)
{
    assert(!file->has_worker);
    writer_close(&file->writer);
    segments_release(&file->segments);
    free(file->kept.body);
    if (file->event_fd >= 0)
        close(file->event_fd);
    if (file->mark_fd >= 0)
        close(file->mark_fd);
    if (file->directory_fd >= 0)
        close(file->directory_fd);
    pthread_cond_destroy(&file->shared.work);
    pthread_cond_destroy(&file->shared.changed);
    pthread_mutex_destroy(&file->shared.mutex);
    free(file);
}

static struct journal_file *create(const struct journal_file_options *options)
{
    struct journal_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return NULL;
    file->port.ops = &ops;
    file->largest = file->writer.largest = options->largest_bytes;
    file->mode = options->mode;
    file->directory_fd = file->mark_fd = file->event_fd = file->writer.fd = file->spare.fd = -1;
    pthread_mutex_init(&file->shared.mutex, NULL);
    pthread_cond_init(&file->shared.work, NULL);
    pthread_cond_init(&file->shared.changed, NULL);
    return file;
}

/* A directory whose name is not on disk takes all that is in it along. */
static bool open_directory(struct journal_file *file, int directory_fd)
{
    if (file->mode == JOURNAL_FILE_MAY_BE_NEW &&
        mkdirat(directory_fd, JOURNAL_DIRECTORY, 0700) != 0 && errno != EEXIST)
        return false;
    file->directory_fd =
        openat(directory_fd, JOURNAL_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return file->directory_fd >= 0 &&
           (file->mode == JOURNAL_FILE_READ_ONLY || disk_sync_all(directory_fd));
}

static bool start(struct journal_file *file, int directory_fd,
                  const struct journal_file_options *options, char error[ERROR_BYTES])
{
    file->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (file->event_fd < 0 || !open_directory(file, directory_fd)) {
        snprintf(error, ERROR_BYTES, "cannot open %s/" JOURNAL_DIRECTORY ": %s", options->directory,
                 strerror(errno));
        return false;
    }
    if (!recovery_run(file, options->directory, options->first_bytes, error))
        return false;
    if (file->mode == JOURNAL_FILE_READ_ONLY)
        return true;
    if (worker_start(file)) {
        look_ahead(file);
        return true;
    }
    snprintf(error, ERROR_BYTES, "cannot start the thread of the journal: %s", strerror(errno));
    return false;
}

/* The mark is synced here alone: where the last entry rots while the node is stopped, the next
 * start does not take it for one that was not finished. */
static void stop(struct journal_file *file)
{
    bool has_written = file->has_worker;
    worker_stop(file);
    if (has_written)
        (void)disk_sync(file->mark_fd);
    destroy(file);
}

struct journal *journal_file_open(int directory_fd, const struct journal_file_options *options,
                                  char error[ERROR_BYTES])
{
    assert(directory_fd >= 0 && options->directory != NULL);
    assert(options->first_bytes >= SEGMENT_BYTES_MIN && options->first_bytes % PART_ALIGNMENT == 0);
    assert(options->largest_bytes <= SEGMENT_BYTES_MAX &&
           options->largest_bytes % PART_ALIGNMENT == 0);
    assert(options->first_bytes <= options->largest_bytes);
    struct journal_file *file = create(options);
    if (file == NULL) {
        snprintf(error, ERROR_BYTES, "no memory for the journal");
        return NULL;
    }
    if (start(file, directory_fd, options, error))
        return &file->port;
    stop(file);
    return NULL;
}

void journal_file_close(struct journal **journal)
{
    if (*journal == NULL)
        return;
    struct journal_file *file = journal_file_of(*journal);
    assert((*journal)->ops == &ops);
    stop(file);
    *journal = NULL;
}

uint64_t journal_file_id(const struct journal *journal)
{
    assert(journal != NULL && journal->ops == &ops);
    return ((const struct journal_file *)(const void *)journal)->id;
}

int journal_file_cause(const struct journal *journal)
{
    assert(journal != NULL && journal->ops == &ops);
    return ((const struct journal_file *)(const void *)journal)->cause;
}

bool journal_file_is_in_place(struct journal *journal, const char *directory,
                              char error[ERROR_BYTES])
{
    struct journal_file *file = journal_file_of(journal);
    char name[SEGMENT_NAME_BYTES];
    assert(journal->ops == &ops && file->mode != JOURNAL_FILE_READ_ONLY);
    const struct segment_place place = worker_place(file);
    if (segment_is_in_place(&place, file->directory_fd))
        return true;
    segment_name(place.number, place.index, name);
    snprintf(error, ERROR_BYTES, "%s/" JOURNAL_DIRECTORY "/%s was renamed, replaced or removed",
             directory, name);
    return false;
}

bool journal_file_has_cut(const struct journal *journal)
{
    assert(journal != NULL && journal->ops == &ops);
    return ((const struct journal_file *)(const void *)journal)->has_cut;
}
