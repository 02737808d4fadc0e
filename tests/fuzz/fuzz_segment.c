/* Fuzzes the opening and reading of a journal whose files are anything. It must end without harm,
 * and each entry that is read must stand in the files, in parts whose checksums are right.
 *
 * The first byte says what the rest is:
 *     bit 0     a mark comes first, of 10 bytes: whether it is sealed, whether it belongs to this
 *               journal, and its number
 *     bits 1-2  0: the file of the first segment, to the byte
 *               1: edits of a whole segment, of three bytes each: where, and what bits to turn
 *               2: parts with right checksums, described by 8 bytes each (struct described)
 *               3: the same, and after half of them a second segment begins */
#include "store/hash.h"
#include "store/journal/mark.h"
#include "store/journal/segment.h"
#include "tests/support/disk_journal.h"
#include "tests/support/sample_store.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define SEGMENT ((size_t)8192)
#define ID UINT64_C(0x1234567890)
#define DESCRIBED 8
#define MARK_INPUT 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct disk_journal disk;
static unsigned char image[2][SEGMENT];
static struct disk_files files;

static void forget(void)
{
    disk_journal_remove(&disk);
}

static void put_head(unsigned char *bytes, uint64_t ordinal, const struct part *before)
{
    const struct segment_head head = {.journal_id = ID,
                                      .ordinal = ordinal,
                                      .number = before->number + (before->is_last ? 1 : 0),
                                      .index = before->is_last ? 0 : before->index + 1,
                                      .first_seq = before->first_seq +
                                                   (before->is_last ? before->events : 0),
                                      .chain = before->seal,
                                      .bytes = SEGMENT};
    segment_encode(&head, bytes);
}

/* A part as the bytes describe it: a zero in them is what it should be there. */
static struct part described(const uint8_t *in, const struct part *before)
{
    bool is_next = before->is_last;
    struct part part = {.number = before->number + (is_next ? 1 : 0) + in[0],
                        .index = (is_next ? 0 : before->index + 1) + in[1],
                        .is_last = in[2] % 2 == 0,
                        .first_seq = before->first_seq + (is_next ? before->events : 0) + in[3],
                        .events = is_next ? in[4] : before->events + in[4],
                        .body_bytes = in[5],
                        .time_ms = in[6] / 16,
                        .epoch = in[6] % 16,
                        .prev = before->seal + in[7] % 16};
    part.durable = part.number - 1 - (in[7] / 16 < part.number ? in[7] / 16 : 0);
    return part;
}

/* Returns how many segments there are. */
static size_t build(const uint8_t *data, size_t size, bool in_two)
{
    struct part before = {.is_last = true, .first_seq = 1};
    size_t segment = 0;
    size_t at = SEGMENT_HEAD_BYTES;
    size_t count = size / DESCRIBED;
    memset(image, 0, sizeof image);
    put_head(image[0], 1, &before);
    for (size_t i = 0; i < count; i++) {
        struct part part = described(data + i * DESCRIBED, &before);
        if (in_two && segment == 0 && i >= count / 2) {
            segment = 1;
            at = SEGMENT_HEAD_BYTES;
            put_head(image[1], 2, &before);
        }
        if (at + part_bytes(part.body_bytes) > SEGMENT)
            break;
        const struct part_place place = {ID, segment + 1, at};
        memset(image[segment] + at + PART_HEAD_BYTES, (int)i + 1, part.body_bytes);
        part_encode(&part, &place, image[segment] + at + PART_HEAD_BYTES, image[segment] + at);
        at += part_bytes(part.body_bytes);
        before = part;
    }
    return segment + 1;
}

static void edit(const uint8_t *data, size_t size)
{
    static const uint8_t whole[5 * DESCRIBED] = {0, 0, 0, 0, 2, 100, 0, 0, 0, 0,   0, 0, 0, 0,
                                                 0, 0, 0, 0, 1, 0,   1, 9, 0, 0,   0, 0, 0, 0,
                                                 0, 9, 0, 0, 0, 0,   0, 0, 3, 255, 0, 0};
    build(whole, sizeof whole, false);
    for (size_t i = 0; i + 3 <= size; i += 3)
        image[0][(data[i] | (size_t)data[i + 1] << 8) % SEGMENT] ^= data[i + 2];
}

static void add_file(const unsigned char *bytes, size_t size)
{
    struct disk_file *file = &files.items[files.count++];
    file->bytes = (unsigned char *)(uintptr_t)bytes;
    file->size = size;
}

static void add_mark(const uint8_t *in, unsigned char bytes[MARK_BYTES])
{
    char path[256];
    disk_journal_path(&disk, MARK_FILE, path);
    FILE *file = fopen(path, "w+");
    CHECK(file != NULL);
    mark_write(fileno(file), in[1] % 2 == 0 ? ID : ID + 1, part_get_number(in + 2, 8) | 1);
    CHECK(fread(bytes, 1, MARK_BYTES, file) == MARK_BYTES);
    fclose(file);
    if (in[0] % 2 == 1)
        bytes[MARK_BYTES - 1] ^= in[0];
    snprintf(files.items[files.count].name, sizeof files.items[0].name, MARK_FILE);
    add_file(bytes, MARK_BYTES);
}

/* The next part of the entry, in the files: its body is what the rest begins with. */
static const unsigned char *find_part(const struct journal_entry *entry, uint32_t index,
                                      size_t done, struct part *part)
{
    for (size_t i = 0; i < files.count; i++) {
        const struct disk_file *file = &files.items[i];
        struct segment_head head;
        uint32_t version;
        if (file->size != SEGMENT || segment_decode(file->bytes, &head, &version) != SEGMENT_FINE)
            continue;
        for (size_t at = SEGMENT_HEAD_BYTES; at + PART_HEAD_BYTES <= SEGMENT; at += 8) {
            const struct part_place place = {head.journal_id, head.ordinal, at};
            const unsigned char *body = file->bytes + at + PART_HEAD_BYTES;
            if (part_decode(file->bytes + at, &place, part) && part->number == entry->number &&
                part->index == index && at + part_bytes(part->body_bytes) <= SEGMENT &&
                part_has_body(part, &place, body) && part->body_bytes <= entry->body.len - done &&
                memcmp(body, entry->body.data + done, part->body_bytes) == 0)
                return body;
        }
    }
    return NULL;
}

static void check_entry(const struct journal_entry *entry)
{
    struct part part = {.is_last = false};
    size_t done = 0;
    for (uint32_t index = 0; !part.is_last; index++) {
        CHECK(find_part(entry, index, done, &part) != NULL);
        CHECK(part.first_seq == entry->first_seq && part.events == entry->events);
        CHECK(part.time_ms == entry->time_ms && part.epoch == entry->epoch);
        done += part.body_bytes;
    }
    CHECK(done == entry->body.len);
}

static void read_all(void)
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    uint64_t number = 1;
    uint64_t seq = 1;
    CHECK(journal_read_begin(disk.journal, JOURNAL_BY_NUMBER, 1, &cursor) == STORE_OK);
    while (journal_read_next(cursor, &entry) == STORE_OK) {
        CHECK(entry.number == number && entry.first_seq == seq);
        check_entry(&entry);
        number++;
        seq += entry.events;
    }
    journal_read_end(&cursor);
    if (journal_read_begin(disk.journal, JOURNAL_BY_SEQ, seq / 2, &cursor) == STORE_OK) {
        if (journal_read_next(cursor, &entry) == STORE_OK)
            check_entry(&entry);
        journal_read_end(&cursor);
    }
}

/* What a start has mended is taken by the next one as it is, and goes on. */
static void go_on(void)
{
    const struct journal_entry entry = {.number = journal_newest(disk.journal) + 1,
                                        .first_seq = journal_next_seq(disk.journal),
                                        .events = 1,
                                        .body = text_of("one more")};
    CHECK(journal_submit(disk.journal, &entry, true) == STORE_OK);
    disk_journal_close(&disk);
    CHECK(disk_journal_open(&disk));
    CHECK(!journal_file_has_cut(disk.journal));
    CHECK(journal_durable(disk.journal) == entry.number);
}

static void name_segments(size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct segment_head head = {.number = 1};
        uint32_t version;
        char name[SEGMENT_NAME_BYTES];
        if (i > 0)
            CHECK(segment_decode(image[i], &head, &version) == SEGMENT_FINE);
        segment_name(head.number, head.index, name);
        memcpy(files.items[first + i].name, name, sizeof name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char mark[MARK_BYTES];
    size_t count = 1;
    if (size < 1)
        return 0;
    if (disk.directory[0] == '\0') {
        disk_journal_make(&disk, SEGMENT, SEGMENT);
        CHECK(disk_journal_open(&disk));
        disk_journal_close(&disk);
        atexit(forget);
    }
    files.count = 0;
    uint8_t kind = *data++;
    size--;
    if (kind % 2 == 1 && size >= MARK_INPUT) {
        add_mark(data, mark);
        data += MARK_INPUT;
        size -= MARK_INPUT;
    }
    size_t first = files.count;
    if (kind / 2 % 4 == 0) {
        add_file(data, size);
    } else {
        if (kind / 2 % 4 == 1)
            edit(data, size);
        else
            count = build(data, size, kind / 2 % 4 == 3);
        for (size_t i = 0; i < count; i++)
            add_file(image[i], SEGMENT);
    }
    name_segments(first, count);
    disk_journal_restore(&disk, &files);
    if (disk_journal_open(&disk)) {
        read_all();
        go_on();
        disk_journal_close(&disk);
    }
    return 0;
}
