/* The thread that writes, and the queue between it and the caller.
 *
 * An entry n is in one of these states, by its number:
 *
 *     n <= told                        done has told of it
 *     told < n <= written              durable, not told
 *     written < n <= submitted         under way; where there is trouble, refused or broken
 *
 * So a refusal is one word, `trouble`, and holds for all that stands behind what is written: there
 * is no room, or no file can be opened. It ends when the last of them has been told. */
#include "store/journal/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE_AT_FIRST 64u

static void lock(struct journal_file *file)
{
    int rc = pthread_mutex_lock(&file->shared.mutex);
    assert(rc == 0);
}

static void unlock(struct journal_file *file)
{
    int rc = pthread_mutex_unlock(&file->shared.mutex);
    assert(rc == 0);
}

static struct queued *slot_of(const struct shared *shared, uint64_t number)
{
    assert(shared->capacity > 0);
    return &shared->queue[number & (shared->capacity - 1)];
}

/* ---- the worker; called with the mutex held ---- */

static void signal_completion(struct journal_file *file)
{
    const uint64_t one = 1;
    if (!file->shared.is_signalled)
        file->shared.is_signalled = write(file->event_fd, &one, sizeof one) == sizeof one;
}

static bool must_write(const struct shared *shared)
{
    return shared->trouble == STORE_OK && shared->written < shared->submitted;
}

static bool must_make(const struct shared *shared)
{
    return shared->made < shared->wanted;
}

static void set_trouble(struct shared *shared, enum store_result result, int cause)
{
    assert(result == STORE_FULL || result == STORE_FAILED || result == STORE_BROKEN);
    shared->trouble = result;
    shared->cause = cause;
}

/* Lets go of the mutex meanwhile: nobody else writes while something is under way. */
static void write_next(struct journal_file *file)
{
    struct shared *shared = &file->shared;
    assert(must_write(shared));
    const struct journal_entry entry = slot_of(shared, shared->written + 1)->entry;
    unlock(file);
    enum store_result result = writer_append(&file->writer, &entry);
    lock(file);
    shared->place = file->writer.place;
    if (result == STORE_OK)
        shared->written = entry.number;
    else
        set_trouble(shared, result, file->writer.cause);
    signal_completion(file);
    pthread_cond_broadcast(&shared->changed);
}

/* A piece of a spare segment. */
static void make_some(struct journal_file *file)
{
    struct shared *shared = &file->shared;
    uint64_t ordinal = shared->made + 1;
    uint64_t bytes = layout_next_bytes(shared->made_bytes, file->largest);
    bool is_ready = false;
    enum store_result result = STORE_OK;
    unlock(file);
    if (file->spare.fd < 0)
        result = spare_begin(&file->spare, file->directory_fd, ordinal, bytes);
    if (result == STORE_OK)
        result = spare_go_on(&file->spare, file->directory_fd, &is_ready);
    int cause = errno;
    lock(file);
    if (is_ready) {
        shared->made = ordinal;
        shared->made_bytes = bytes;
        shared->file_bytes += bytes;
    }
    if (result != STORE_OK) {
        shared->making = result;
        shared->cause = cause;
        shared->wanted = shared->made;
    }
    if (is_ready || result != STORE_OK)
        pthread_cond_broadcast(&shared->changed);
}

/* Entries and pieces of a spare segment take turns, so that neither waits long for the other. */
static void *run(void *argument)
{
    struct journal_file *file = argument;
    struct shared *shared = &file->shared;
    bool is_turn_of_spare = false;
    lock(file);
    for (;;) {
        bool makes = must_make(shared) && !shared->is_closing;
        if (must_write(shared) && !(makes && is_turn_of_spare))
            write_next(file);
        else if (makes)
            make_some(file);
        else if (shared->is_closing)
            break;
        else
            pthread_cond_wait(&shared->work, &shared->mutex);
        is_turn_of_spare = !is_turn_of_spare;
    }
    unlock(file);
    spare_drop(&file->spare, file->directory_fd);
    return NULL;
}

bool worker_start(struct journal_file *file)
{
    assert(!file->has_worker && file->shared.queue == NULL);
    file->shared.queue = calloc(QUEUE_AT_FIRST, sizeof *file->shared.queue);
    file->shared.capacity = QUEUE_AT_FIRST;
    if (file->shared.queue == NULL)
        return false;
    errno = pthread_create(&file->worker, NULL, run, file);
    file->has_worker = errno == 0;
    return file->has_worker;
}

void worker_stop(struct journal_file *file)
{
    if (file->has_worker) {
        lock(file);
        file->shared.is_closing = true;
        pthread_cond_signal(&file->shared.work);
        unlock(file);
        int rc = pthread_join(file->worker, NULL);
        assert(rc == 0);
    }
    file->has_worker = false;
    free(file->shared.queue);
    file->shared.queue = NULL;
}

/* ---- the caller's side: spare segments ---- */

static void want(struct journal_file *file, uint64_t ordinal)
{
    struct shared *shared = &file->shared;
    if (shared->wanted >= ordinal)
        return;
    shared->wanted = ordinal;
    shared->making = STORE_OK;
    pthread_cond_signal(&shared->work);
}

enum store_result worker_reserve(struct journal_file *file, uint64_t ordinal)
{
    struct shared *shared = &file->shared;
    assert(file->has_worker && ordinal > 0);
    lock(file);
    /* One that was begun before may fail for what is different now: so it is tried once more. */
    unsigned tries = shared->made < ordinal ? 1 + (shared->wanted >= ordinal) : 0;
    for (; tries > 0 && shared->made < ordinal; tries--) {
        want(file, ordinal);
        while (shared->trouble == STORE_OK && shared->made < ordinal && shared->wanted >= ordinal)
            pthread_cond_wait(&shared->changed, &shared->mutex);
    }
    enum store_result result = shared->trouble;
    if (result == STORE_OK && shared->made < ordinal)
        result = shared->making;
    file->cause = shared->cause;
    assert(result != STORE_OK || shared->made >= ordinal);
    unlock(file);
    return result;
}

void worker_prepare(struct journal_file *file, uint64_t ordinal)
{
    assert(file->has_worker && ordinal > 0);
    lock(file);
    if (file->shared.made < ordinal)
        want(file, ordinal);
    unlock(file);
}

bool worker_has(struct journal_file *file, uint64_t ordinal)
{
    assert(ordinal > 0);
    lock(file);
    bool has = file->shared.made >= ordinal;
    unlock(file);
    return has;
}

uint64_t worker_file_bytes(struct journal_file *file)
{
    assert(file->has_worker);
    lock(file);
    uint64_t bytes = file->shared.file_bytes;
    unlock(file);
    return bytes;
}

struct segment_place worker_place(struct journal_file *file)
{
    assert(file->has_worker);
    lock(file);
    struct segment_place place = file->shared.place;
    unlock(file);
    return place;
}

/* ---- the caller's side: entries ---- */

/* With the mutex held, as the worker looks into the queue. */
static bool make_place(struct journal_file *file)
{
    struct shared *shared = &file->shared;
    if (shared->submitted - file->told < shared->capacity)
        return true;
    struct queued *queue = calloc(2 * shared->capacity, sizeof *queue);
    if (queue == NULL)
        return false;
    for (uint64_t number = file->told + 1; number <= shared->submitted; number++)
        queue[number & (2 * shared->capacity - 1)] = *slot_of(shared, number);
    free(shared->queue);
    shared->queue = queue;
    shared->capacity *= 2;
    return true;
}

/* With the mutex held, and nothing under way. */
static enum store_result write_here(struct journal_file *file, const struct journal_entry *entry)
{
    struct shared *shared = &file->shared;
    unlock(file);
    enum store_result result = writer_append(&file->writer, entry);
    lock(file);
    shared->place = file->writer.place;
    if (result == STORE_OK) {
        shared->written = shared->submitted = entry->number;
        return STORE_OK;
    }
    file->cause = file->writer.cause;
    if (result == STORE_BROKEN)
        set_trouble(shared, result, file->cause);
    else
        file->plan = file->writer.spot;
    return result;
}

enum store_result worker_submit(struct journal_file *file, const struct journal_entry *entry,
                                bool here)
{
    struct shared *shared = &file->shared;
    assert(file->has_worker && entry->number > file->told);
    lock(file);
    enum store_result result = shared->trouble;
    file->cause = shared->cause;
    if (result == STORE_OK && !make_place(file)) {
        file->cause = ENOMEM;
        result = STORE_FAILED;
    }
    if (result == STORE_OK) {
        assert(entry->number == shared->submitted + 1);
        *slot_of(shared, entry->number) = (struct queued){*entry, file->plan};
        if (here && shared->written == shared->submitted) {
            result = write_here(file, entry);
        } else {
            shared->submitted = entry->number;
            pthread_cond_signal(&shared->work);
        }
    }
    unlock(file);
    return result;
}

/* Without the mutex: the caller's thread alone writes to the queue, and the worker looks at entries
 * only that are in it for good. */
const struct queued *worker_queued(const struct journal_file *file, uint64_t number)
{
    assert(number > file->told && number <= file->port.newest);
    const struct queued *queued = slot_of(&file->shared, number);
    assert(queued->entry.number == number);
    return queued;
}

/* With the mutex held. Nothing is under way: so the writer stands still, and what comes next goes
 * on from there. */
static void end_refusal(struct journal_file *file)
{
    struct shared *shared = &file->shared;
    assert(shared->trouble == STORE_FULL || shared->trouble == STORE_FAILED);
    assert(file->told == shared->submitted);
    shared->trouble = STORE_OK;
    shared->submitted = file->told = shared->written;
    file->plan = file->writer.spot;
}

static void be_quiet(struct journal_file *file)
{
    uint64_t count;
    struct shared *shared = &file->shared;
    bool has_more = file->told < shared->written ||
                    (shared->trouble != STORE_OK && file->told < shared->submitted);
    if (shared->is_signalled && !has_more)
        shared->is_signalled = read(file->event_fd, &count, sizeof count) != sizeof count;
}

bool worker_done(struct journal_file *file, struct journal_completion *out)
{
    struct shared *shared = &file->shared;
    assert(out != NULL && file->has_worker);
    lock(file);
    uint64_t number = file->told + 1;
    bool is_over =
        number <= shared->written || (shared->trouble != STORE_OK && number <= shared->submitted);
    if (is_over) {
        const struct journal_entry *entry = &slot_of(shared, number)->entry;
        out->number = number;
        out->next_seq = entry->first_seq + entry->events;
        out->result = number <= shared->written ? STORE_OK : shared->trouble;
        file->told = number;
        file->cause = shared->cause;
        be_quiet(file);
        if (out->result != STORE_OK && out->result != STORE_BROKEN && number == shared->submitted)
            end_refusal(file);
    }
    unlock(file);
    return is_over;
}

void worker_wait(struct journal_file *file)
{
    struct shared *shared = &file->shared;
    assert(file->has_worker);
    lock(file);
    while (must_write(shared))
        pthread_cond_wait(&shared->changed, &shared->mutex);
    unlock(file);
}
