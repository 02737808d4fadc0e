/* Reading: entries that `done` told to be durable from the files, each checked, and those that are
 * under way from the caller's own memory. */
#include "store/journal/disk.h"
#include "store/journal/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_AT_FIRST ((size_t)4096)

/* A place between two parts. */
struct cursor_place {
    size_t position; /* of a segment */
    uint64_t offset;
    bool has_before; /* `before` is the part before it */
    struct part before;
};

struct cursor {
    struct journal_cursor port;
    uint64_t number; /* of the entry that is read next */
    bool has_place;  /* `place` is where it begins, or the end of the segment before that */
    struct cursor_place place;
    int fd; /* -1: none is open */
    struct verified verified;
    struct segment_head head; /* of the segment that is open */
    struct segment_reader reader;
};

static struct cursor *cursor_of(struct journal_cursor *cursor)
{
    return (struct cursor *)(void *)cursor;
}

static struct journal_file *file_of(const struct cursor *cursor)
{
    return journal_file_of(cursor->port.journal);
}

/* ---- segments ---- */

static void close_segment(struct cursor *cursor)
{
    if (cursor->fd >= 0)
        close(cursor->fd);
    cursor->fd = -1;
}

/* A file that is gone is damage; that no more files can be opened is not. */
static enum store_result read_segment_head(struct cursor *cursor, const struct segment_info *info,
                                           size_t position)
{
    unsigned char bytes[SEGMENT_HEAD_BYTES];
    char name[SEGMENT_NAME_BYTES];
    size_t got;
    uint32_t version;
    const struct journal_file *file = file_of(cursor);
    segment_name(info->number, info->index, name);
    cursor->fd = openat(file->directory_fd, name, O_RDONLY | O_CLOEXEC);
    if (cursor->fd < 0)
        return errno == ENOENT ? STORE_DAMAGED : STORE_FAILED;
    if (!disk_read(cursor->fd, bytes, sizeof bytes, 0, &got))
        return STORE_FAILED;
    struct segment_head *head = &cursor->head;
    if (got < sizeof bytes || segment_decode(bytes, head, &version) != SEGMENT_FINE ||
        head->journal_id != file->id || head->ordinal != position + 1 ||
        head->number != info->number || head->index != info->index || head->bytes != info->bytes)
        return STORE_DAMAGED;
    segment_reader_init(&cursor->reader, cursor->fd, file->id, position + 1, info->end);
    return STORE_OK;
}

/* Opens the segment at cursor->place.position, unless it is open. */
static enum store_result open_segment(struct cursor *cursor)
{
    const struct segments *segments = &file_of(cursor)->segments;
    assert(cursor->place.position < segments->count);
    const struct segment_info *info = &segments->items[cursor->place.position];
    if (cursor->fd >= 0 && cursor->reader.ordinal == cursor->place.position + 1) {
        cursor->reader.end = info->end;
        return STORE_OK;
    }
    close_segment(cursor);
    enum store_result result = read_segment_head(cursor, info, cursor->place.position);
    if (result != STORE_OK)
        close_segment(cursor);
    return result;
}

/* ---- parts ---- */

/* Goes on to the next segment, which has to follow (invariant 5). */
static enum store_result next_segment(struct cursor *cursor)
{
    if (cursor->place.position + 1 >= file_of(cursor)->segments.count)
        return STORE_DAMAGED; /* there is an entry that is durable */
    cursor->place.position++;
    cursor->place.offset = SEGMENT_HEAD_BYTES;
    enum store_result result = open_segment(cursor);
    if (result == STORE_OK && cursor->place.has_before &&
        !segment_follows(&cursor->place.before, &cursor->head))
        return STORE_DAMAGED;
    return result;
}

/* Head of the part at the cursor, or of the first one in the next segment. Requires: there must be
 * one. */
static enum store_result find_part(struct cursor *cursor, struct part *part)
{
    enum store_result result = open_segment(cursor);
    if (result == STORE_OK)
        result = segment_read_head(&cursor->reader, cursor->place.offset, part);
    if (result == STORE_NOT_FOUND) {
        result = next_segment(cursor);
        if (result == STORE_OK)
            result = segment_read_head(&cursor->reader, cursor->place.offset, part);
    }
    if (result == STORE_NOT_FOUND || (result == STORE_OK && cursor->place.has_before &&
                                      !part_follows(&cursor->place.before, part)))
        return STORE_DAMAGED;
    return result;
}

static void pass_part(struct cursor *cursor, const struct part *part)
{
    assert(part->number > 0);
    cursor->place.before = *part;
    cursor->place.has_before = true;
    cursor->place.offset += part_bytes(part->body_bytes);
}

/* ---- finding ---- */

/* Notes the places in a segment that is open: all there are, or those before the damage. */
static enum store_result index_segment(struct cursor *cursor)
{
    struct segments *segments = &file_of(cursor)->segments;
    struct segment_info *info = &segments->items[cursor->place.position];
    struct part part;
    uint64_t at = SEGMENT_HEAD_BYTES;
    enum store_result result = STORE_OK;
    assert(cursor->fd >= 0 && cursor->reader.ordinal == cursor->place.position + 1);
    while (!info->is_indexed && result == STORE_OK) {
        result = segment_read_head(&cursor->reader, at, &part);
        if (result == STORE_OK && part.index == 0 &&
            (info->place_count == 0 || info->places[info->place_count - 1].number < part.number))
            segments_note(info, &(struct segments_place){part.number, part.first_seq, at});
        if (result == STORE_OK)
            at += part_bytes(part.body_bytes);
    }
    if (result == STORE_FAILED)
        return result;
    segments_set_indexed(segments, cursor->place.position);
    return STORE_OK;
}

static bool is_it(const struct part *part, enum journal_key key, uint64_t value)
{
    if (part->index > 0)
        return false;
    return key == JOURNAL_BY_SEQ ? part->first_seq + part->events > value : part->number >= value;
}

/* Puts the cursor where the entry begins. Requires: there must be one. */
static enum store_result locate(struct cursor *cursor, enum journal_key key, uint64_t value)
{
    struct segments *segments = &file_of(cursor)->segments;
    struct segments_place place;
    struct part part;
    assert(cursor->port.journal->durable > 0);
    cursor->place.position = segments_find(segments, key, value);
    enum store_result result = open_segment(cursor);
    if (result == STORE_OK)
        result = index_segment(cursor);
    if (result != STORE_OK)
        return result;
    bool has_place =
        segments_find_place(&segments->items[cursor->place.position], key, value, &place);
    cursor->place.offset = has_place ? place.offset : SEGMENT_HEAD_BYTES;
    cursor->place.has_before =
        cursor->place.offset == SEGMENT_HEAD_BYTES; /* as the head of the segment says */
    if (cursor->place.has_before)
        cursor->place.before = segment_part_before(&cursor->head);
    for (;;) {
        result = find_part(cursor, &part);
        if (result != STORE_OK)
            return result;
        if (is_it(&part, key, value))
            break;
        pass_part(cursor, &part);
    }
    if (key == JOURNAL_BY_NUMBER && part.number != value)
        return STORE_DAMAGED;
    cursor->number = part.number;
    cursor->has_place = true;
    return STORE_OK;
}

/* ---- entries ---- */

static bool make_room(struct verified *verified, size_t bytes)
{
    size_t capacity = verified->capacity == 0 ? BODY_AT_FIRST : verified->capacity;
    if (bytes <= verified->capacity && verified->body != NULL)
        return true;
    while (capacity < bytes) {
        if (capacity > SIZE_MAX / 2)
            return false;
        capacity *= 2;
    }
    unsigned char *body = realloc(verified->body, capacity);
    if (body == NULL)
        return false;
    verified->body = body;
    verified->capacity = capacity;
    return true;
}

/* The entry at the cursor, from its files. */
static enum store_result read_parts(struct cursor *cursor)
{
    struct verified *verified = &cursor->verified;
    size_t len = 0;
    bool is_first = true;
    struct part part;
    assert(cursor->has_place);
    verified->entry.number = 0;
    do {
        enum store_result result = find_part(cursor, &part);
        if (result != STORE_OK)
            return result;
        if (part.number != cursor->number || (part.index == 0) != is_first)
            return STORE_DAMAGED;
        if (!make_room(verified, len + part.body_bytes))
            return STORE_FAILED;
        result =
            segment_read_body(&cursor->reader, cursor->place.offset, &part, verified->body + len);
        if (result != STORE_OK)
            return result == STORE_NOT_FOUND ? STORE_DAMAGED : result;
        len += part.body_bytes;
        pass_part(cursor, &part);
        is_first = false;
    } while (!part.is_last);
    verified->entry = (struct journal_entry){
        .number = part.number,
        .first_seq = part.first_seq,
        .events = part.events,
        .time_ms = part.time_ms,
        .epoch = part.epoch,
        .body = {(const char *)verified->body, len},
    };
    verified->last = part;
    verified->position = cursor->place.position;
    verified->offset = cursor->place.offset;
    return STORE_OK;
}

/* Takes the entry that the last cursor checked, which may be large: whoever reads page by page does
 * not check it again for each. */
static bool take_kept(struct cursor *cursor)
{
    struct verified *kept = &file_of(cursor)->kept;
    if (kept->entry.number != cursor->number)
        return false;
    struct verified taken = *kept;
    *kept = cursor->verified;
    kept->entry.number = 0;
    cursor->verified = taken;
    cursor->place.position = taken.position;
    cursor->place.offset = taken.offset;
    cursor->place.before = taken.last;
    cursor->place.has_before = cursor->has_place = true;
    return true;
}

/* After a failure errno still says of what. */
static enum store_result with_cause(struct journal_file *file, enum store_result result)
{
    if (result == STORE_FAILED)
        file->cause = errno;
    return result;
}

static enum store_result read_durable(struct cursor *cursor)
{
    enum store_result result = STORE_OK;
    if (take_kept(cursor))
        return STORE_OK;
    if (!cursor->has_place)
        result = locate(cursor, JOURNAL_BY_NUMBER, cursor->number);
    const struct cursor_place begin = cursor->place;
    if (result == STORE_OK)
        result = read_parts(cursor);
    if (result != STORE_OK) /* it stays, and what was damaged is so again */
        cursor->place = begin;
    return with_cause(file_of(cursor), result);
}

enum store_result cursor_next(struct journal_cursor *port, struct journal_entry *out)
{
    struct cursor *cursor = cursor_of(port);
    const struct journal_file *file = file_of(cursor);
    assert(cursor->number > 0 && out != NULL);
    if (cursor->number > port->journal->newest)
        return STORE_NOT_FOUND;
    if (cursor->number > port->journal->durable) {
        if (cursor->number <= file->told) /* it was refused */
            return STORE_NOT_FOUND;
        *out = worker_queued(file, cursor->number)->entry;
        cursor->has_place = false;
    } else {
        enum store_result result = read_durable(cursor);
        if (result != STORE_OK)
            return result;
        *out = cursor->verified.entry;
    }
    cursor->number++;
    return STORE_OK;
}

/* ---- beginning and end ---- */

/* Among entries that are under way, of which there are few. */
static uint64_t find_queued(const struct journal_file *file, uint64_t seq)
{
    uint64_t number = file->told + 1;
    assert(file->told >= file->port.durable);
    while (number <= file->port.newest) {
        const struct journal_entry *entry = &worker_queued(file, number)->entry;
        if (entry->first_seq + entry->events > seq)
            break;
        number++;
    }
    return number;
}

static enum store_result begin_at_seq(struct cursor *cursor, uint64_t seq)
{
    const struct journal_file *file = file_of(cursor);
    const struct journal_entry *kept = &file->kept.entry;
    if (file->port.durable == 0 || seq >= file->port.durable_next_seq) {
        cursor->number = find_queued(file, seq);
        return STORE_OK;
    }
    if (kept->number > 0 && seq >= kept->first_seq && seq - kept->first_seq < kept->events) {
        cursor->number = kept->number;
        return STORE_OK;
    }
    return locate(cursor, JOURNAL_BY_SEQ, seq);
}

enum store_result cursor_begin(struct journal *journal, enum journal_key key, uint64_t value,
                               struct journal_cursor **out)
{
    assert(journal != NULL && out != NULL);
    struct cursor *cursor = malloc(sizeof *cursor);
    if (cursor == NULL)
        return with_cause(journal_file_of(journal), STORE_FAILED);
    /* All but the window of the reader, which is large. */
    cursor->port.journal = journal;
    cursor->number = value > 0 ? value : 1;
    cursor->has_place = false;
    cursor->place = (struct cursor_place){0};
    cursor->fd = -1;
    cursor->verified = (struct verified){0};
    enum store_result result = key == JOURNAL_BY_SEQ ? begin_at_seq(cursor, value) : STORE_OK;
    with_cause(journal_file_of(journal), result);
    if (result == STORE_OK)
        *out = &cursor->port;
    else
        cursor_end(&cursor->port);
    return result;
}

void cursor_end(struct journal_cursor *port)
{
    struct cursor *cursor = cursor_of(port);
    struct verified *kept = &file_of(cursor)->kept;
    assert(cursor->number > 0);
    close_segment(cursor);
    if (cursor->verified.entry.number > 0) {
        free(kept->body);
        *kept = cursor->verified;
    } else {
        free(cursor->verified.body);
    }
    free(cursor);
}
