#include "store/journal/writer.h"

#include "domain/base/crash_point.h"
#include "store/journal/disk.h"
#include "store/journal/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define BATCH_PARTS 16
#define PIECES_PER_PART 3 /* head, body, padding */

/* An entry on its way to the disk. */
struct appending {
    struct writer *writer;
    const struct journal_entry *entry;
    struct layout_spot from; /* where the writer was */
    struct layout_walk walk;
    struct layout_spot start; /* of its first part */
    uint64_t start_chain;
    int start_fd; /* of the segment in which it begins; -1: it has not begun */
    struct segment_place start_place;
    /* parts that go out in one write */
    unsigned char heads[BATCH_PARTS][PART_HEAD_BYTES];
    struct iovec pieces[BATCH_PARTS * PIECES_PER_PART];
    int parts;
    int piece_count;
    uint64_t batch_at;
};

/* What a failure of the disk means for an entry that is being written. */
static enum store_result result_of(int code)
{
    return disk_is_full(code) ? STORE_FULL : STORE_BROKEN;
}

/* The same of the call that failed just now, which is the cause of what becomes of the entry. */
static enum store_result failed(struct writer *writer)
{
    writer->cause = errno;
    return result_of(errno);
}

/* The next segment cannot be opened. Nothing has happened to it, so that is no end: what is missing
 * comes back as a rule, such as a descriptor. */
static enum store_result cannot_open(struct writer *writer)
{
    enum store_result result = failed(writer);
    bool is_lost = writer->cause == ENOENT || writer->cause == EIO;
    return result == STORE_FULL || is_lost ? result : STORE_FAILED;
}

/* ---- segments ---- */

/* Invariant 4: head and size are on disk before the file has its name. */
static enum store_result seal_spare(struct writer *writer, int fd, const struct segment_head *head)
{
    unsigned char bytes[SEGMENT_HEAD_BYTES];
    segment_encode(head, bytes);
    if (!disk_write(fd, bytes, sizeof bytes, 0) || !disk_sync(fd))
        return failed(writer);
    char name[SEGMENT_NAME_BYTES];
    char spare[SEGMENT_NAME_BYTES];
    segment_name(head->number, head->index, name);
    segment_spare_name(head->ordinal, spare);
    CRASH_POINT(journal_before_rename);
    if (renameat(writer->directory_fd, spare, writer->directory_fd, name) != 0)
        return failed(writer);
    CRASH_POINT(journal_after_rename);
    /* The name is there and may be gone tomorrow: nobody can take that back. */
    if (!disk_sync_all(writer->directory_fd)) {
        writer->cause = errno;
        return STORE_BROKEN;
    }
    CRASH_POINT(journal_directory_synced);
    return STORE_OK;
}

enum store_result writer_begin_segment(struct writer *writer, uint64_t ordinal, uint64_t bytes,
                                       uint64_t number, uint32_t index, uint64_t first_seq)
{
    char spare[SEGMENT_NAME_BYTES];
    assert(ordinal == writer->spot.ordinal + 1 && number > 0);
    const struct segment_head head = {.journal_id = writer->journal_id,
                                      .ordinal = ordinal,
                                      .number = number,
                                      .index = index,
                                      .first_seq = first_seq,
                                      .chain = writer->chain,
                                      .bytes = bytes};
    segment_spare_name(ordinal, spare);
    int fd = openat(writer->directory_fd, spare, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return cannot_open(writer);
    struct segment_place place;
    enum store_result result = disk_lock(fd) && segment_place_of(fd, number, index, &place)
                                   ? seal_spare(writer, fd, &head)
                                   : failed(writer);
    if (result != STORE_OK) {
        close(fd);
        return result;
    }
    writer->fd = fd;
    writer->place = place;
    writer->spot = (struct layout_spot){ordinal, bytes, SEGMENT_HEAD_BYTES};
    return STORE_OK;
}

/* ---- taking back ---- */

/* Where nothing was written there are zeros already, and writing some may fail as that has: what is
 * behind a limit on the size of files cannot be written, whatever it is. */
static bool erase_head(int fd, uint64_t at)
{
    unsigned char head[PART_HEAD_BYTES];
    size_t got;
    if (!disk_read(fd, head, sizeof head, at, &got))
        return false;
    while (got > 0 && head[got - 1] == 0)
        got--;
    return got == 0 || disk_write_zeros(fd, at, at + got);
}

static bool erase_heads(const struct appending *appending, int fd, uint64_t ordinal)
{
    struct layout_walk walk;
    layout_walk_begin(&walk, &appending->from, appending->writer->largest,
                      appending->entry->body.len);
    while (layout_walk_next(&walk)) {
        if (walk.place.ordinal == ordinal && !erase_head(fd, walk.place.offset))
            return false;
    }
    CRASH_POINT(journal_heads_erased);
    return disk_sync(fd);
}

/* Makes a segment that was begun within the entry a spare one again. It leaves the sequence before
 * anything in it is erased, so that the sequence is whole whenever somebody looks. */
static bool give_back_segment(const struct appending *appending, uint64_t ordinal)
{
    struct layout_walk walk;
    char name[SEGMENT_NAME_BYTES];
    char spare[SEGMENT_NAME_BYTES];
    int directory_fd = appending->writer->directory_fd;
    layout_walk_begin(&walk, &appending->from, appending->writer->largest,
                      appending->entry->body.len);
    while (layout_walk_next(&walk) && walk.place.ordinal < ordinal)
        ;
    assert(walk.place.ordinal == ordinal && walk.index > 0);
    segment_name(appending->entry->number, walk.index, name);
    segment_spare_name(ordinal, spare);
    if (renameat(directory_fd, name, directory_fd, spare) != 0 || !disk_sync_all(directory_fd))
        return false;
    int fd = openat(directory_fd, spare, O_RDWR | O_CLOEXEC);
    bool is_erased = fd >= 0 && erase_heads(appending, fd, ordinal);
    if (fd >= 0)
        close(fd);
    return is_erased;
}

/* Invariant 6: a refused entry must not rise again. False: it may. */
static bool take_back(struct appending *appending)
{
    struct writer *writer = appending->writer;
    if (appending->start_fd < 0) /* nothing was written */
        return true;
    CRASH_POINT(journal_taking_back);
    bool is_erased = true;
    if (writer->fd != appending->start_fd) /* its descriptor may be the last that there is */
        close(writer->fd);
    writer->fd = appending->start_fd;
    for (uint64_t ordinal = writer->spot.ordinal; is_erased && ordinal > appending->start.ordinal;
         ordinal--)
        is_erased = give_back_segment(appending, ordinal);
    is_erased = is_erased && erase_heads(appending, appending->start_fd, appending->start.ordinal);
    CRASH_POINT(journal_taken_back);
    if (!is_erased)
        return false;
    writer->place = appending->start_place;
    writer->spot = appending->start;
    writer->chain = appending->start_chain;
    return true;
}

/* ---- writing ---- */

static enum store_result flush(struct appending *appending)
{
    if (appending->parts == 0)
        return STORE_OK;
    CRASH_POINT(journal_before_write);
    if (!disk_write_pieces(appending->writer->fd, appending->pieces, appending->piece_count,
                           appending->batch_at))
        return failed(appending->writer);
    CRASH_POINT(journal_after_write);
    appending->parts = appending->piece_count = 0;
    return STORE_OK;
}

static enum store_result flush_and_sync(struct appending *appending)
{
    enum store_result result = flush(appending);
    if (result != STORE_OK)
        return result;
    if (!disk_sync(appending->writer->fd))
        return failed(appending->writer);
    CRASH_POINT(journal_after_sync);
    return STORE_OK;
}

static void add_piece(struct appending *appending, const void *bytes, size_t len)
{
    assert(appending->piece_count < BATCH_PARTS * PIECES_PER_PART);
    if (len > 0)
        appending->pieces[appending->piece_count++] = (struct iovec){(void *)(uintptr_t)bytes, len};
}

static void add_part(struct appending *appending)
{
    static const unsigned char padding[PART_ALIGNMENT];
    struct writer *writer = appending->writer;
    const struct layout_walk *walk = &appending->walk;
    const struct journal_entry *entry = appending->entry;
    const struct part_place place = {writer->journal_id, walk->place.ordinal, walk->place.offset};
    const char *body = entry->body.data + walk->body_from;
    assert(writer->spot.ordinal == walk->place.ordinal); /* invariant 1 */
    struct part part = {.number = entry->number,
                        .index = walk->index,
                        .is_last = walk->is_last,
                        .first_seq = entry->first_seq,
                        .events = entry->events,
                        .body_bytes = (uint32_t)walk->body_bytes,
                        .time_ms = entry->time_ms,
                        .epoch = entry->epoch,
                        .durable = entry->number - 1, /* invariant 3 */
                        .prev = writer->chain};
    part_encode(&part, &place, body, appending->heads[appending->parts]);
    if (appending->parts == 0)
        appending->batch_at = walk->place.offset;
    add_piece(appending, appending->heads[appending->parts], PART_HEAD_BYTES);
    add_piece(appending, body, walk->body_bytes);
    add_piece(appending, padding,
              part_bytes(walk->body_bytes) - PART_HEAD_BYTES - walk->body_bytes);
    appending->parts++;
    writer->chain = part.seal;
}

/* Goes to the segment of the next part. Those before it are synced then, so that a segment in the
 * sequence has all that stands before it (invariant 5). */
static enum store_result change_segment(struct appending *appending)
{
    struct writer *writer = appending->writer;
    const struct layout_walk *walk = &appending->walk;
    int left_fd = writer->fd;
    enum store_result result = walk->index > 0 ? flush_and_sync(appending) : STORE_OK;
    if (result == STORE_OK)
        result = writer_begin_segment(writer, walk->place.ordinal, walk->place.bytes,
                                      appending->entry->number, walk->index,
                                      appending->entry->first_seq);
    if (result == STORE_OK && left_fd != appending->start_fd)
        close(left_fd);
    return result;
}

static enum store_result write_parts(struct appending *appending)
{
    enum store_result result = STORE_OK;
    struct writer *writer = appending->writer;
    while (result == STORE_OK && layout_walk_next(&appending->walk)) {
        if (appending->walk.place.ordinal != writer->spot.ordinal)
            result = change_segment(appending);
        else if (appending->parts == BATCH_PARTS)
            result = flush(appending);
        if (result != STORE_OK)
            break;
        if (appending->walk.index == 0) {
            appending->start = appending->walk.place;
            appending->start_chain = writer->chain;
            appending->start_fd = writer->fd;
            appending->start_place = writer->place;
        }
        add_part(appending);
    }
    return result == STORE_OK ? flush_and_sync(appending) : result;
}

enum store_result writer_append(struct writer *writer, const struct journal_entry *entry)
{
    struct appending appending = {
        .writer = writer, .entry = entry, .from = writer->spot, .start_fd = -1};
    assert(writer->fd >= 0 && !text_is_none(entry->body));
    layout_walk_begin(&appending.walk, &writer->spot, writer->largest, entry->body.len);
    enum store_result result = write_parts(&appending);
    if (result == STORE_FULL || result == STORE_FAILED)
        return take_back(&appending) ? result : STORE_BROKEN;
    if (appending.start_fd >= 0 && writer->fd != appending.start_fd)
        close(appending.start_fd);
    if (result != STORE_OK)
        return result;
    writer->spot = appending.walk.next;
    mark_write(writer->mark_fd, writer->journal_id, entry->number);
    CRASH_POINT(journal_after_mark);
    return STORE_OK;
}

void writer_close(struct writer *writer)
{
    if (writer->fd >= 0)
        close(writer->fd);
    writer->fd = -1;
}
