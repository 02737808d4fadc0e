/* What a start makes of the files. */
#include "store/journal/recovery.h"

#include "store/journal/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- segments and their heads ---- */

static bool read_segment_head(struct recovery *r, int fd, const char *name,
                              struct segment_head *head)
{
    unsigned char bytes[SEGMENT_HEAD_BYTES];
    size_t got;
    uint32_t version = 0;
    struct stat status;
    if (fstat(fd, &status) != 0 || !disk_read(fd, bytes, sizeof bytes, 0, &got))
        return recovery_cannot(r, "read", name);
    enum segment_verdict verdict = SEGMENT_DAMAGED;
    if (got == sizeof bytes)
        verdict = segment_decode(bytes, head, &version);
    if (verdict == SEGMENT_OF_OTHER_VERSION)
        return recovery_fail(r,
                             "the journal %s/" JOURNAL_DIRECTORY "/%s has format %" PRIu32
                             ", and this program knows %u alone",
                             r->directory, name, version, SEGMENT_VERSION);
    if (verdict != SEGMENT_FINE)
        return recovery_damaged(r, "the head of %s does not check", name);
    if (head->bytes != (uint64_t)status.st_size)
        return recovery_damaged(r, "%s has not the size that it was given", name);
    return true;
}

/* Whether the head is that of the segment behind those that are there already (invariant 5, as far
 * as heads tell). */
static bool fits(struct recovery *r, const char *name, const struct recovery_name *found,
                 const struct segment_head *head)
{
    const struct segments *segments = &r->file->segments;
    if (head->number != found->number || head->index != found->index)
        return recovery_damaged(r, "%s has the head of another segment", name);
    if (segments->count == 0)
        r->file->id = head->journal_id;
    if (head->journal_id != r->file->id)
        return recovery_damaged(r, "%s belongs to another journal", name);
    if (head->ordinal != segments->count + 1)
        return recovery_damaged(r, "segment %zu is missing", segments->count + 1);
    if (segments->count == 0) {
        if (head->number != 1 || head->index != 0 || head->first_seq != 1)
            return recovery_damaged(r, "%s does not begin with the first entry", name);
    } else if (head->first_seq < segments->items[segments->count - 1].first_seq) {
        return recovery_damaged(r, "%s does not follow the segment before it", name);
    }
    return true;
}

static bool open_segment(struct recovery *r, size_t position, int *fd, struct segment_head *head)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(r->names[position].number, r->names[position].index, name);
    *fd = openat(r->file->directory_fd, name, O_RDWR | O_CLOEXEC);
    if (*fd < 0)
        return recovery_cannot(r, "open", name);
    if (read_segment_head(r, *fd, name, head))
        return true;
    close(*fd);
    return false;
}

static bool read_heads(struct recovery *r)
{
    struct segment_head head = {0};
    char name[SEGMENT_NAME_BYTES];
    int fd;
    for (size_t i = 0; i < r->name_count; i++) {
        if (!open_segment(r, i, &fd, &head))
            return false;
        close(fd);
        segment_name(r->names[i].number, r->names[i].index, name);
        if (!fits(r, name, &r->names[i], &head))
            return false;
        struct segment_info *info =
            segments_add(&r->file->segments, head.number, head.index, head.first_seq, head.bytes);
        info->end = head.bytes;
        r->file->shared.file_bytes += head.bytes;
    }
    return true;
}

/* ---- entries ---- */

/* The newest segment that begins with an entry and has one; the first one else. What is read from
 * there on has the whole newest entry in it, and the chain to every segment behind it. */
static bool find_begin(struct recovery *r, size_t *out)
{
    struct segments *segments = &r->file->segments;
    for (size_t i = segments->count; i-- > 0;) {
        struct segment_head head = {0};
        struct part part;
        int fd;
        *out = i;
        if (segments->items[i].index > 0)
            continue;
        if (!open_segment(r, i, &fd, &head))
            return false;
        segment_reader_init(r->reader, fd, r->file->id, i + 1, head.bytes);
        enum store_result result = segment_read_head(r->reader, SEGMENT_HEAD_BYTES, &part);
        close(fd);
        if (result == STORE_FAILED)
            return recovery_fail(r, "cannot read the journal: %s", strerror(errno));
        if (result == STORE_OK)
            break;
    }
    return true;
}

static void note_claim(struct recovery *r, const struct part *part)
{
    if (part->durable > r->claimed)
        r->claimed = part->durable;
}

static void note_part(struct recovery *r, size_t position, const struct part *part)
{
    uint64_t end = r->at + part_bytes(part->body_bytes);
    if (part->index == 0) {
        r->entry_begin = (struct layout_spot){position + 1, 0, r->at};
        segments_note(&r->file->segments.items[position],
                      &(struct segments_place){part->number, part->first_seq, r->at});
    }
    r->before = *part;
    r->at = end;
    if (!part->is_last)
        return;
    r->whole = *part;
    r->whole_begin = r->entry_begin;
    r->whole_end = (struct layout_spot){position + 1, 0, end};
}

/* The entry that a part behind r->before has to belong to. */
static uint64_t expected_number(const struct recovery *r)
{
    assert(r->before.number > 0 || r->before.is_last);
    return r->before.number + (r->before.is_last ? 1 : 0);
}

/* Reads parts as long as they are whole; r->at is then the place where none is. */
static bool read_parts(struct recovery *r, size_t position)
{
    for (;;) {
        struct part part;
        enum store_result result = segment_read_head(r->reader, r->at, &part);
        if (result == STORE_OK) {
            note_claim(r, &part);
            result = segment_read_body(r->reader, r->at, &part, r->body);
        }
        if (result == STORE_FAILED)
            return recovery_fail(r, "cannot read the journal: %s", strerror(errno));
        if (result == STORE_NOT_FOUND)
            return true;
        if (!part_follows(&r->before, &part))
            return recovery_damaged(r, "an entry stands where entry %" PRIu64 " should follow",
                                    expected_number(r));
        note_part(r, position, &part);
    }
}

/* Looks at all that stands behind the last whole part. Nothing of an entry is written before all of
 * the one before it is durable (invariant 1), and nothing before what was cut off is gone for good:
 * so a part of another entry than the one that is expected says that something was lost. */
static bool scan_rest(struct recovery *r, uint64_t end)
{
    static const unsigned char zeros[PART_ALIGNMENT];
    uint64_t expected = r->whole.number + 1;
    for (uint64_t at = r->at; at + PART_ALIGNMENT <= end;) {
        size_t want = end - at < PART_BODY_MAX ? (size_t)(end - at) : PART_BODY_MAX;
        size_t got;
        if (!disk_read(r->reader->fd, r->body, want, at, &got))
            return recovery_fail(r, "cannot read the journal: %s", strerror(errno));
        got -= got % PART_ALIGNMENT;
        if (got == 0)
            return true;
        for (size_t i = 0; i < got; i += PART_ALIGNMENT) {
            struct part part;
            if (memcmp(r->body + i, zeros, sizeof zeros) == 0)
                continue;
            uint64_t word = part_get_number(r->body + i, PART_ALIGNMENT);
            if (word == CUT_NOTE && at + i == r->at) {
                r->has_cut_note = true;
                continue;
            }
            r->is_torn = true;
            if (word != PART_MAGIC)
                continue;
            enum store_result result = segment_read_head(r->reader, at + i, &part);
            if (result == STORE_FAILED)
                return recovery_fail(r, "cannot read the journal: %s", strerror(errno));
            if (result == STORE_OK && part.number != expected)
                return recovery_damaged(
                    r, "entry %" PRIu64 " does not check, and entry %" PRIu64 " is there", expected,
                    part.number);
            if (result == STORE_OK)
                note_claim(r, &part);
        }
        at += got;
    }
    return true;
}

/* Requires: the segment is the first one to be read, or follows the one that was read before. */
static bool read_segment(struct recovery *r, size_t position)
{
    struct segment_head head = {0};
    int fd;
    char name[SEGMENT_NAME_BYTES];
    bool is_newest = position + 1 == r->file->segments.count;
    if (!open_segment(r, position, &fd, &head))
        return false;
    segment_name(head.number, head.index, name);
    segment_reader_init(r->reader, fd, r->file->id, position + 1, head.bytes);
    r->at = SEGMENT_HEAD_BYTES;
    if (r->has_begun && !segment_follows(&r->before, &head)) {
        close(fd);
        return recovery_damaged(r, "%s does not follow entry %" PRIu64 ", the last one before it",
                                name, r->before.number);
    }
    if (!r->has_begun) {
        r->before = r->whole = segment_part_before(&head);
        r->whole_end = (struct layout_spot){position + 1, 0, r->at};
        r->has_begun = true;
    }
    bool is_fine = read_parts(r, position) && (!is_newest || scan_rest(r, head.bytes));
    close(fd);
    if (is_fine)
        segments_set_indexed(&r->file->segments, position);
    return is_fine;
}

bool recovery_read(struct recovery *r)
{
    size_t position = 0;
    assert(r->name_count > 0 && r->file->segments.count == 0);
    if (!read_heads(r) || !find_begin(r, &position))
        return false;
    for (; position < r->file->segments.count; position++) {
        if (!read_segment(r, position))
            return false;
    }
    if (!r->before.is_last)
        r->is_torn = true;
    if (r->has_mark && r->marked_id != r->file->id)
        return recovery_damaged(r, "its mark belongs to another journal");
    /* Invariants 2 and 3: what is named as durable is there. */
    uint64_t named = r->marked > r->claimed ? r->marked : r->claimed;
    if (named > r->whole.number)
        return recovery_damaged(r, "entry %" PRIu64 " was stored, and is not there any more",
                                named);
    return true;
}
