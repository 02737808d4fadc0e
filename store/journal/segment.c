#include "store/journal/segment.h"

#include "store/hash.h"
#include "store/journal/disk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SEGMENT_MAGIC UINT64_C(0x746d675364636c61) /* "alcdSgmt" */
#define SUM_AT (SEGMENT_HEAD_BYTES - 8)
#define ENDING ".segment"
#define SPARE_ENDING ".tmp"
#define NUMBER_DIGITS ((size_t)20)
#define INDEX_DIGITS ((size_t)10)

_Static_assert(PART_HEAD_BYTES + PART_ALIGNMENT + SEGMENT_HEAD_BYTES < SEGMENT_BYTES_MIN,
               "each segment has room for a part");

static bool is_size(uint64_t bytes)
{
    return bytes >= SEGMENT_BYTES_MIN && bytes <= SEGMENT_BYTES_MAX && bytes % PART_ALIGNMENT == 0;
}

void segment_encode(const struct segment_head *head, unsigned char out[SEGMENT_HEAD_BYTES])
{
    assert(is_size(head->bytes));
    assert(head->ordinal > 0 && head->number > 0 && head->first_seq > 0);
    memset(out, 0, SEGMENT_HEAD_BYTES);
    part_put_number(out, SEGMENT_MAGIC, 8);
    part_put_number(out + 8, SEGMENT_VERSION, 4);
    part_put_number(out + 12, head->index, 4);
    part_put_number(out + 16, head->journal_id, 8);
    part_put_number(out + 24, head->ordinal, 8);
    part_put_number(out + 32, head->number, 8);
    part_put_number(out + 40, head->first_seq, 8);
    part_put_number(out + 48, head->chain, 8);
    part_put_number(out + 56, head->bytes, 8);
    part_put_number(out + SUM_AT, hash_bytes(out, SUM_AT, 0), 8);
}

enum segment_verdict segment_decode(const unsigned char bytes[SEGMENT_HEAD_BYTES],
                                    struct segment_head *out, uint32_t *version)
{
    if (part_get_number(bytes, 8) != SEGMENT_MAGIC ||
        part_get_number(bytes + SUM_AT, 8) != hash_bytes(bytes, SUM_AT, 0))
        return SEGMENT_DAMAGED;
    *version = (uint32_t)part_get_number(bytes + 8, 4);
    if (*version != SEGMENT_VERSION)
        return SEGMENT_OF_OTHER_VERSION;
    struct segment_head head = {.index = (uint32_t)part_get_number(bytes + 12, 4),
                                .journal_id = part_get_number(bytes + 16, 8),
                                .ordinal = part_get_number(bytes + 24, 8),
                                .number = part_get_number(bytes + 32, 8),
                                .first_seq = part_get_number(bytes + 40, 8),
                                .chain = part_get_number(bytes + 48, 8),
                                .bytes = part_get_number(bytes + 56, 8)};
    if (!is_size(head.bytes) || head.ordinal == 0 || head.number == 0 || head.first_seq == 0 ||
        head.number > INT64_MAX || head.first_seq > INT64_MAX)
        return SEGMENT_DAMAGED;
    *out = head;
    return SEGMENT_FINE;
}

bool segment_follows(const struct part *before, const struct segment_head *head)
{
    assert(head->ordinal > 0);
    if (head->chain != before->seal)
        return false;
    if (before->is_last)
        return head->number == before->number + 1 && head->index == 0 &&
               head->first_seq == before->first_seq + before->events;
    return head->number == before->number && head->index == before->index + 1 &&
           head->first_seq == before->first_seq;
}

struct part segment_part_before(const struct segment_head *head)
{
    assert(head->index == 0 && head->number > 0);
    return (struct part){.number = head->number - 1,
                         .is_last = true,
                         .first_seq = head->first_seq,
                         .seal = head->chain};
}

/* ---- names ---- */

void segment_name(uint64_t number, uint32_t index, char out[SEGMENT_NAME_BYTES])
{
    assert(number > 0);
    if (index == 0)
        snprintf(out, SEGMENT_NAME_BYTES, "%020" PRIu64 ENDING, number);
    else
        snprintf(out, SEGMENT_NAME_BYTES, "%020" PRIu64 "-%010" PRIu32 ENDING, number, index);
}

void segment_spare_name(uint64_t ordinal, char out[SEGMENT_NAME_BYTES])
{
    assert(ordinal > 0);
    snprintf(out, SEGMENT_NAME_BYTES, "next-%" PRIu64 SPARE_ENDING, ordinal);
}

bool segment_place_of(int fd, uint64_t number, uint32_t index, struct segment_place *out)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return false;
    *out = (struct segment_place){number, index, status.st_dev, status.st_ino};
    return true;
}

bool segment_is_in_place(const struct segment_place *place, int directory_fd)
{
    char name[SEGMENT_NAME_BYTES];
    struct stat status;
    segment_name(place->number, place->index, name);
    return fstatat(directory_fd, name, &status, 0) == 0 && status.st_dev == place->device &&
           status.st_ino == place->inode;
}

/* Reads just so many digits. False: they are none, or too large a number. */
static bool read_digits(const char **at, size_t digits, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits; i++, ++*at) {
        if (**at < '0' || **at > '9')
            return false;
        uint64_t digit = (uint64_t)(**at - '0');
        if (number > (INT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

bool segment_name_parse(const char *name, uint64_t *number, uint32_t *index)
{
    uint64_t of_part = 0;
    assert(name != NULL);
    if (!read_digits(&name, NUMBER_DIGITS, number) || *number == 0)
        return false;
    if (*name == '-') {
        name++;
        if (!read_digits(&name, INDEX_DIGITS, &of_part) || of_part == 0 || of_part > UINT32_MAX)
            return false;
    }
    *index = (uint32_t)of_part;
    return strcmp(name, ENDING) == 0;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t len = strlen(name);
    return len >= strlen(ending) && strcmp(name + len - strlen(ending), ending) == 0;
}

bool segment_name_is_one(const char *name)
{
    assert(name != NULL);
    return ends_with(name, ENDING);
}

bool segment_name_is_spare(const char *name)
{
    assert(name != NULL);
    return strncmp(name, "next-", 5) == 0 && ends_with(name, SPARE_ENDING);
}

/* ---- reading ---- */

void segment_reader_init(struct segment_reader *reader, int fd, uint64_t journal_id,
                         uint64_t ordinal, uint64_t end)
{
    assert(fd >= 0 && ordinal > 0);
    reader->fd = fd;
    reader->journal_id = journal_id;
    reader->ordinal = ordinal;
    reader->end = end;
    reader->window_at = 0;
    reader->window_bytes = 0;
}

static struct part_place place_of(const struct segment_reader *reader, uint64_t offset)
{
    return (struct part_place){reader->journal_id, reader->ordinal, offset};
}

/* Where `len` bytes from the offset on stand in the window; NULL: they are not all there. */
static const unsigned char *in_window(const struct segment_reader *reader, uint64_t offset,
                                      size_t len)
{
    if (offset < reader->window_at || offset - reader->window_at > reader->window_bytes ||
        len > reader->window_bytes - (size_t)(offset - reader->window_at))
        return NULL;
    return reader->window + (offset - reader->window_at);
}

/* Requires: the offset lies before the end. */
static bool move_window(struct segment_reader *reader, uint64_t offset)
{
    uint64_t left = reader->end - offset;
    size_t want = left < SEGMENT_WINDOW_BYTES ? (size_t)left : SEGMENT_WINDOW_BYTES;
    reader->window_at = offset;
    reader->window_bytes = 0;
    return disk_read(reader->fd, reader->window, want, offset, &reader->window_bytes);
}

enum store_result segment_read_head(struct segment_reader *reader, uint64_t offset,
                                    struct part *out)
{
    struct part part;
    assert(offset >= SEGMENT_HEAD_BYTES && offset % PART_ALIGNMENT == 0);
    if (offset > reader->end || reader->end - offset < PART_HEAD_BYTES)
        return STORE_NOT_FOUND;
    const unsigned char *bytes = in_window(reader, offset, PART_HEAD_BYTES);
    if (bytes == NULL && !move_window(reader, offset))
        return STORE_FAILED;
    bytes = in_window(reader, offset, PART_HEAD_BYTES);
    const struct part_place place = place_of(reader, offset);
    if (bytes == NULL || !part_decode(bytes, &place, &part) ||
        part_bytes(part.body_bytes) > reader->end - offset)
        return STORE_NOT_FOUND;
    *out = part;
    return STORE_OK;
}

enum store_result segment_read_body(struct segment_reader *reader, uint64_t offset,
                                    const struct part *part, unsigned char *out)
{
    assert(offset >= SEGMENT_HEAD_BYTES && offset <= reader->end);
    assert(part_bytes(part->body_bytes) <= reader->end - offset);
    const struct part_place place = place_of(reader, offset);
    size_t got = part->body_bytes;
    const unsigned char *bytes = in_window(reader, offset + PART_HEAD_BYTES, got);
    if (bytes != NULL && got > 0)
        memcpy(out, bytes, got);
    else if (got > 0 && !disk_read(reader->fd, out, got, offset + PART_HEAD_BYTES, &got))
        return STORE_FAILED;
    if (got != part->body_bytes || !part_has_body(part, &place, out))
        return STORE_NOT_FOUND;
    return STORE_OK;
}
