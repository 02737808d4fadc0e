/* What a start makes of files that are not what they were: each byte turned, files cut at each
 * length, sectors of the last entry missing, parts and files of other places and journals. It never
 * reads a wrong entry, and never misses one that was acknowledged without a word. */
#include "store/hash.h"
#include "store/journal/mark.h"
#include "store/journal/segment.h"
#include "tests/support/disk_journal.h"
#include "tests/support/journal_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define SMALL UINT64_C(8192)

struct damage {
    struct disk_journal disk;
    struct journal_bench bench;
    struct disk_files files; /* as they should be */
};

static struct damage *made(uint64_t first_bytes, uint64_t largest_bytes)
{
    struct damage *d = calloc(1, sizeof *d);
    assert_non_null(d);
    disk_journal_make(&d->disk, first_bytes, largest_bytes);
    if (!disk_journal_open(&d->disk))
        fail_msg("%s", d->disk.error);
    d->bench.journal = d->disk.journal;
    return d;
}

static void close_and_save(struct damage *d)
{
    disk_journal_close(&d->disk);
    d->bench.journal = NULL;
    disk_journal_forget(&d->files);
    disk_journal_save(&d->disk, &d->files);
    /* A spare one may be there or not. The names come in their order: it is the last. */
    while (segment_name_is_spare(d->files.items[d->files.count - 1].name))
        free(d->files.items[--d->files.count].bytes);
}

static bool open_again(struct damage *d)
{
    bool is_open = disk_journal_open(&d->disk);
    d->bench.journal = d->disk.journal;
    return is_open;
}

static void must_open(struct damage *d)
{
    if (!open_again(d))
        fail_msg("%s", d->disk.error);
}

static void expect_refused(struct damage *d, const char *why)
{
    assert_false(open_again(d));
    if (strstr(d->disk.error, why) == NULL)
        fail_msg("not \"%s\" but: %s", why, d->disk.error);
    assert_non_null(strstr(d->disk.error, d->disk.directory));
    assert_null(strchr(d->disk.error, '\n'));
}

static void forget(struct damage **d)
{
    disk_journal_remove(&(*d)->disk);
    disk_journal_forget(&(*d)->files);
    journal_bench_clear(&(*d)->bench);
    free(*d);
    *d = NULL;
}

/* Three segments, some entries without events, one in several parts of two segments. */
static struct damage *made_small(void)
{
    static const size_t sizes[] = {100, 1000, 0, 2000, 500, 9000, 33, 1500};
    struct damage *d = made(SMALL, SMALL);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        journal_bench_append(&d->bench, i % 3, sizes[i]);
    close_and_save(d);
    assert_in_range(d->files.count, 4, 6);
    return d;
}

/* ---- each byte ---- */

struct figures {
    size_t refused;
    size_t met_by_reading;
    size_t harmless;
    size_t cut;
};

/* What is read is right, or said to be damaged; up to what was acknowledged nothing is missing. */
static void read_all(struct damage *d, struct figures *figures)
{
    struct journal_entry entry;
    uint64_t durable = journal_durable(d->bench.journal);
    bool is_damaged = false;
    for (uint64_t number = 1; number <= durable; number++) {
        struct journal_cursor *cursor = NULL;
        enum store_result result =
            journal_read_begin(d->bench.journal, JOURNAL_BY_NUMBER, number, &cursor);
        if (result == STORE_OK)
            result = journal_read_next(cursor, &entry);
        assert_true(result == STORE_OK || result == STORE_DAMAGED);
        if (result == STORE_OK)
            journal_bench_same(&entry, &d->bench.entries[number - 1]);
        else
            is_damaged = true;
        journal_read_end(&cursor);
    }
    *(is_damaged ? &figures->met_by_reading : &figures->harmless) += 1;
}

static void judge(struct damage *d, uint64_t acknowledged, struct figures *figures)
{
    if (!open_again(d)) {
        assert_non_null(strstr(d->disk.error, "is damaged: "));
        figures->refused++;
        return;
    }
    assert_in_range(journal_durable(d->bench.journal), acknowledged, d->bench.count);
    if (journal_durable(d->bench.journal) < d->bench.count) {
        figures->cut++;
        assert_true(journal_file_has_cut(d->bench.journal));
    }
    read_all(d, figures);
    disk_journal_close(&d->disk);
}

/* Zeros behind the last entry are many, and alike. */
static bool is_worth_it(const struct disk_file *file, size_t at)
{
    for (size_t i = at; i < file->size && i < at + 64; i++) {
        if (file->bytes[i] != 0)
            return true;
    }
    return at < 128 || at % 37 == 0;
}

static struct figures turn_each_byte(struct damage *d, uint64_t acknowledged)
{
    struct figures figures = {0};
    for (size_t i = 0; i < d->files.count; i++) {
        struct disk_file *file = &d->files.items[i];
        for (size_t at = 0; at < file->size; at++) {
            if (!is_worth_it(file, at))
                continue;
            unsigned char was = file->bytes[at];
            file->bytes[at] ^= (unsigned char)(1u << (at % 8));
            disk_journal_restore(&d->disk, &d->files);
            judge(d, acknowledged, &figures);
            file->bytes[at] = was;
        }
    }
    return figures;
}

static void each_turned_byte_is_seen_or_harmless(void **state)
{
    (void)state;
    struct damage *d = made_small();
    struct figures figures = turn_each_byte(d, d->bench.count);
    assert_int_equal(figures.cut, 0); /* the mark covers the last entry */
    assert_true(figures.refused > 3000);
    assert_true(figures.met_by_reading > 3000);
    forget(&d);
}

/* The last entry may then be taken for torn, and no other. */
static void without_a_mark_the_last_entry_alone_may_be_cut(void **state)
{
    (void)state;
    struct damage *d = made_small();
    size_t mark = d->files.count - 1;
    assert_string_equal(d->files.items[mark].name, MARK_FILE);
    free(d->files.items[mark].bytes);
    d->files.count--;
    struct figures figures = turn_each_byte(d, d->bench.count - 1);
    assert_in_range(figures.cut, 1500, 1500 + 88 + 8);
    assert_true(figures.refused > 3000);
    forget(&d);
}

static void a_file_that_was_cut_is_refused(void **state)
{
    (void)state;
    struct damage *d = made_small();
    for (size_t i = 0; i + 1 < d->files.count; i++) {
        struct disk_file *file = &d->files.items[i];
        size_t was = file->size;
        for (file->size = 0; file->size < was; file->size += file->size < 200 ? 1 : 13) {
            disk_journal_restore(&d->disk, &d->files);
            expect_refused(d, "is damaged");
        }
        file->size = was;
    }
    /* A mark that is cut says nothing. */
    struct disk_file *mark = &d->files.items[d->files.count - 1];
    for (mark->size = 0; mark->size < MARK_BYTES; mark->size++) {
        disk_journal_restore(&d->disk, &d->files);
        must_open(d);
        journal_bench_check(&d->bench);
        disk_journal_close(&d->disk);
    }
    forget(&d);
}

static void a_missing_segment_is_refused(void **state)
{
    (void)state;
    struct damage *d = made_small();
    for (size_t i = 0; i + 1 < d->files.count; i++) {
        char path[256];
        disk_journal_restore(&d->disk, &d->files);
        disk_journal_path(&d->disk, d->files.items[i].name, path);
        assert_int_equal(unlink(path), 0);
        expect_refused(d, "is damaged");
    }
    for (size_t i = 0; i + 1 < d->files.count; i++) {
        char path[256];
        disk_journal_path(&d->disk, d->files.items[i].name, path);
        unlink(path);
    }
    expect_refused(d, "its segments are gone");
    forget(&d);
}

/* ---- torn ---- */

static struct disk_file *newest_segment(struct damage *d)
{
    return &d->files.items[d->files.count - 2];
}

static void set_mark(struct damage *d, uint64_t number)
{
    char path[256];
    struct segment_head head;
    uint32_t version;
    assert_int_equal(segment_decode(d->files.items[0].bytes, &head, &version), SEGMENT_FINE);
    disk_journal_path(&d->disk, MARK_FILE, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    mark_write(fileno(file), head.journal_id, number);
    fclose(file);
}

/* Any sectors of an entry that was not acknowledged may be missing: it is gone then, and what was
 * before it is there. */
static void a_torn_end_is_cut_off(void **state)
{
    (void)state;
    struct damage *d = made(65536, 65536);
    journal_bench_append(&d->bench, 1, 300);
    journal_bench_append(&d->bench, 1, 700);
    size_t begin = SEGMENT_HEAD_BYTES + part_bytes(300) + part_bytes(700);
    journal_bench_append(&d->bench, 1, 3900);
    close_and_save(d);
    size_t end = begin + part_bytes(3900);
    size_t sectors = (end + 511) / 512 - begin / 512;
    journal_bench_forget(&d->bench, 2);
    assert_in_range(sectors, 8, 9);
    for (unsigned missing = 1; missing < 1u << sectors; missing++) {
        disk_journal_restore(&d->disk, &d->files);
        unsigned char *bytes = malloc(newest_segment(d)->size);
        assert_non_null(bytes);
        memcpy(bytes, newest_segment(d)->bytes, newest_segment(d)->size);
        for (size_t i = 0; i < sectors; i++) {
            size_t from = (begin / 512 + i) * 512;
            size_t to = from + 512;
            if ((missing & 1u << i) != 0)
                memset(bytes + (from > begin ? from : begin), 0,
                       (to < end ? to : end) - (from > begin ? from : begin));
        }
        disk_journal_write(&d->disk, newest_segment(d)->name, bytes, newest_segment(d)->size);
        free(bytes);
        set_mark(d, 2);
        must_open(d);
        assert_int_equal(journal_durable(d->bench.journal), 2);
        bool all = missing == (1u << sectors) - 1;
        assert_int_equal(journal_file_has_cut(d->bench.journal), !all);
        journal_bench_append(&d->bench, 1, missing % 2 == 0 ? 10 : 5000);
        disk_journal_close(&d->disk);
        must_open(d);
        assert_false(journal_file_has_cut(d->bench.journal));
        journal_bench_check(&d->bench);
        disk_journal_close(&d->disk);
        journal_bench_forget(&d->bench, 2);
    }
    forget(&d);
}

/* The same for one that goes over several segments: some of them may not be there yet. */
static void a_torn_end_over_several_segments_is_cut_off(void **state)
{
    (void)state;
    struct damage *d = made(SMALL, SMALL);
    journal_bench_append(&d->bench, 1, 300);
    journal_bench_append(&d->bench, 1, 14000);
    close_and_save(d);
    assert_int_equal(d->files.count, 5);
    struct disk_files whole = d->files;
    journal_bench_forget(&d->bench, 1);
    for (size_t there = 1; there <= 4; there++) {
        for (unsigned is_torn = 0; is_torn < 2; is_torn++) {
            d->files.count = there;
            disk_journal_restore(&d->disk, &d->files);
            struct disk_file *last = &d->files.items[there - 1];
            unsigned char *bytes = malloc(last->size);
            assert_non_null(bytes);
            memcpy(bytes, last->bytes, last->size);
            size_t begin = SEGMENT_HEAD_BYTES + (there == 1 ? part_bytes(300) : 0);
            if (is_torn == 1) /* else all parts are whole that are there */
                memset(bytes + begin + 50, 0, 100);
            disk_journal_write(&d->disk, last->name, bytes, last->size);
            free(bytes);
            d->files = whole;
            set_mark(d, 1);
            if (there == 4 && is_torn == 0)
                continue; /* it is whole */
            must_open(d);
            assert_int_equal(journal_durable(d->bench.journal), 1);
            assert_true(journal_file_has_cut(d->bench.journal));
            assert_true(journal_bytes(d->bench.journal) <= 2 * SMALL + MARK_BYTES);
            journal_bench_append(&d->bench, 1, 20000);
            disk_journal_close(&d->disk);
            must_open(d);
            assert_false(journal_file_has_cut(d->bench.journal));
            journal_bench_check(&d->bench);
            disk_journal_close(&d->disk);
            journal_bench_forget(&d->bench, 1);
        }
    }
    forget(&d);
}

static void a_damaged_middle_is_refused(void **state)
{
    (void)state;
    struct damage *d = made(65536, 65536);
    for (unsigned i = 0; i < 3; i++)
        journal_bench_append(&d->bench, 1, 600);
    close_and_save(d);
    newest_segment(d)->bytes[SEGMENT_HEAD_BYTES + part_bytes(600) + 200] ^= 1;
    disk_journal_restore(&d->disk, &d->files);
    set_mark(d, 1); /* it need not know: what stands behind it tells */
    expect_refused(d, "entry 2 does not check, and entry 3 is there");
    forget(&d);
}

static void a_mark_ahead_is_refused(void **state)
{
    (void)state;
    struct damage *d = made_small();
    set_mark(d, d->bench.count + 1);
    expect_refused(d, "was stored, and is not there any more");
    set_mark(d, d->bench.count);
    must_open(d);
    journal_bench_check(&d->bench);
    forget(&d);
}

/* ---- what belongs elsewhere ---- */

/* The last entry is of the same size as the one before: whatever is put in its place stands just
 * where a part is expected. */
static void a_stale_part_is_never_taken(void **state)
{
    (void)state;
    const size_t part = part_bytes(600);
    struct damage *d = made(65536, 65536);
    struct damage *other = made(65536, 65536);
    for (unsigned i = 0; i < 4; i++) {
        journal_bench_append(&d->bench, 1, 600);
        journal_bench_append(&other->bench, 1, 600);
    }
    close_and_save(d);
    close_and_save(other);
    journal_bench_forget(&d->bench, 3);
    unsigned char *place = newest_segment(d)->bytes + SEGMENT_HEAD_BYTES + 3 * part;
    for (unsigned from = 0; from < 6; from++) {
        if (from < 3) /* an older part of the same segment */
            memcpy(place, newest_segment(d)->bytes + SEGMENT_HEAD_BYTES + from * part, part);
        else if (from < 5) /* of another journal, also one that stood at this very place */
            memcpy(place, newest_segment(other)->bytes + SEGMENT_HEAD_BYTES + (from - 1) * part,
                   part);
        else
            memset(place, 0, part);
        disk_journal_restore(&d->disk, &d->files);
        set_mark(d, 3);
        must_open(d);
        assert_int_equal(journal_durable(d->bench.journal), 3);
        journal_bench_check(&d->bench);
        disk_journal_close(&d->disk);
    }
    forget(&d);
    forget(&other);
}

/* Makes two lives of one journal from a copy on: entries 2 to 7, of which 5 to 7 stand in the
 * second segment. Numbers and places are the same in both, and bodies are not. The bench has the
 * last life. */
static struct damage *live_twice(struct disk_files lives[2])
{
    struct damage *d = made(SMALL, SMALL);
    journal_bench_append(&d->bench, 1, 600);
    close_and_save(d);
    for (unsigned life = 0; life < 2; life++) {
        disk_journal_restore(&d->disk, &d->files);
        must_open(d);
        journal_bench_forget(&d->bench, 1);
        for (unsigned i = 0; i < 6; i++)
            journal_bench_append(&d->bench, 1, 900);
        disk_journal_close(&d->disk);
        lives[life].count = 0;
        disk_journal_save(&d->disk, &lives[life]);
    }
    return d;
}

static void expect_damaged_at(struct damage *d, uint64_t damaged)
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    must_open(d);
    assert_int_equal(journal_read_begin(d->bench.journal, JOURNAL_BY_NUMBER, 1, &cursor), STORE_OK);
    for (uint64_t number = 1; number < damaged; number++) {
        assert_int_equal(journal_read_next(cursor, &entry), STORE_OK);
        journal_bench_same(&entry, &d->bench.entries[number - 1]);
    }
    assert_int_equal(journal_read_next(cursor, &entry), STORE_DAMAGED);
    assert_int_equal(journal_read_next(cursor, &entry), STORE_DAMAGED);
    journal_read_end(&cursor);
    disk_journal_close(&d->disk);
}

/* All checksums of it are right: the chain alone tells. */
static void what_another_life_wrote_is_never_taken(void **state)
{
    const size_t third = SEGMENT_HEAD_BYTES + part_bytes(600) + part_bytes(900);
    const size_t sixth = SEGMENT_HEAD_BYTES + part_bytes(900);
    const struct {
        size_t file;
        size_t at;
        size_t bytes;
        uint64_t damaged; /* met by reading; 0: the start is refused */
    } rows[] = {{0, third, part_bytes(900), 3}, {1, 0, SMALL, 5}, {1, sixth, part_bytes(900), 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct disk_files lives[2];
        struct damage *d = live_twice(lives);
        assert_string_equal(lives[1].items[1].name, "00000000000000000005.segment");
        memcpy(lives[1].items[rows[i].file].bytes + rows[i].at,
               lives[0].items[rows[i].file].bytes + rows[i].at, rows[i].bytes);
        disk_journal_restore(&d->disk, &lives[1]);
        if (rows[i].damaged > 0)
            expect_damaged_at(d, rows[i].damaged);
        else
            expect_refused(d, "an entry stands where entry 6 should follow");
        disk_journal_forget(&lives[0]);
        disk_journal_forget(&lives[1]);
        forget(&d);
    }
}

static void a_foreign_file_is_refused(void **state)
{
    (void)state;
    struct damage *d = made_small();
    struct damage *other = made_small();
    for (size_t i = 1; i + 1 < d->files.count; i++) {
        disk_journal_restore(&d->disk, &d->files);
        disk_journal_write(&d->disk, other->files.items[i].name, other->files.items[i].bytes,
                           other->files.items[i].size);
        expect_refused(d, "belongs to another journal");
    }
    disk_journal_restore(&d->disk, &d->files);
    disk_journal_write(&d->disk, MARK_FILE, other->files.items[d->files.count - 1].bytes,
                       MARK_BYTES);
    expect_refused(d, "its mark belongs to another journal");
    disk_journal_restore(&d->disk, &d->files);
    disk_journal_write(&d->disk, "00000000000000000099.segment", d->files.items[0].bytes,
                       d->files.items[0].size);
    expect_refused(d, "has the head of another segment");
    disk_journal_restore(&d->disk, &d->files);
    disk_journal_write(&d->disk, "copy-of-1.segment", "", 0);
    expect_refused(d, "copy-of-1.segment is no name of a segment");
    forget(&d);
    forget(&other);
}

static void a_format_that_is_not_known_has_its_own_line(void **state)
{
    (void)state;
    struct damage *d = made_small();
    struct disk_file *file = &d->files.items[0];
    part_put_number(file->bytes + 8, 2, 4);
    part_put_number(file->bytes + 4088, hash_bytes(file->bytes, 4088, 0), 8);
    disk_journal_restore(&d->disk, &d->files);
    expect_refused(d, "has format 2, and this program knows 1 alone");
    forget(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_turned_byte_is_seen_or_harmless),
        cmocka_unit_test(without_a_mark_the_last_entry_alone_may_be_cut),
        cmocka_unit_test(a_file_that_was_cut_is_refused),
        cmocka_unit_test(a_missing_segment_is_refused),
        cmocka_unit_test(a_torn_end_is_cut_off),
        cmocka_unit_test(a_torn_end_over_several_segments_is_cut_off),
        cmocka_unit_test(a_damaged_middle_is_refused),
        cmocka_unit_test(a_mark_ahead_is_refused),
        cmocka_unit_test(a_stale_part_is_never_taken),
        cmocka_unit_test(what_another_life_wrote_is_never_taken),
        cmocka_unit_test(a_foreign_file_is_refused),
        cmocka_unit_test(a_format_that_is_not_known_has_its_own_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
