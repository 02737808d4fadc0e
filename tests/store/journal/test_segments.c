/* Segments: their names, heads that check and say what cannot be, the indexes of very many of them,
 * and those that are not there any more as they were while the journal is open. */
#include "store/hash.h"
#include "store/journal/inside.h"
#include "store/journal/mark.h"
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
#define ONE_IN_EACH ((size_t)3000) /* bytes of an entry that has a small segment to itself */

struct fixture {
    struct disk_journal disk;
    struct journal_bench bench;
};

static void must_open(struct fixture *f)
{
    if (!disk_journal_open(&f->disk))
        fail_msg("%s", f->disk.error);
    f->bench.journal = f->disk.journal;
}

/* A journal of so many small segments, with an entry in each. */
static struct fixture *made(unsigned segments)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    disk_journal_make(&f->disk, SMALL, SMALL);
    must_open(f);
    for (unsigned i = 0; i < segments; i++)
        journal_bench_append(&f->bench, 1, ONE_IN_EACH);
    assert_int_equal(journal_file_of(f->disk.journal)->segments.count, segments);
    return f;
}

static void forget(struct fixture **f)
{
    disk_journal_remove(&(*f)->disk);
    journal_bench_clear(&(*f)->bench);
    free(*f);
    *f = NULL;
}

/* ---- names ---- */

static void a_name_says_number_and_index(void **state)
{
    static const struct {
        const char *name;
        uint64_t number; /* 0: it is none */
        uint32_t index;
    } rows[] = {
        {"00000000000000000001.segment", 1, 0},
        {"00000000000000000004-0000000002.segment", 4, 2},
        {"09223372036854775807-4294967295.segment", INT64_MAX, UINT32_MAX},
        {"00000000000000000000.segment", 0, 0},
        {"09223372036854775808.segment", 0, 0},
        {"99999999999999999999.segment", 0, 0},
        {"0000000000000000001.segment", 0, 0},
        {"0000000000000000000/.segment", 0, 0},
        {"0000000000000000000x.segment", 0, 0},
        {"00000000000000000001", 0, 0},
        {"00000000000000000001.segments", 0, 0},
        {"00000000000000000004-.segment", 0, 0},
        {"00000000000000000004-0000000000.segment", 0, 0},
        {"00000000000000000004-4294967296.segment", 0, 0},
        {"00000000000000000004-00000000002.segment", 0, 0},
        {"", 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t number = 0;
        uint32_t index = 0;
        char again[SEGMENT_NAME_BYTES];
        if (segment_name_parse(rows[i].name, &number, &index) != (rows[i].number > 0))
            fail_msg("%s", rows[i].name);
        if (rows[i].number == 0)
            continue;
        assert_int_equal(number, rows[i].number);
        assert_int_equal(index, rows[i].index);
        segment_name(number, index, again);
        assert_string_equal(again, rows[i].name);
    }
    assert_true(segment_name_is_spare("next-3.tmp"));
    assert_false(segment_name_is_spare("next-3.segment"));
    assert_false(segment_name_is_spare("probe.tmp"));
}

/* ---- heads ---- */

struct field {
    size_t at;
    size_t bytes;
    uint64_t number;
};

/* Whoever can make a seal can say anything; whatever it is, it can be reckoned with. */
static void a_head_of_a_part_says_what_can_be(void **state)
{
    static const struct field rows[] = {
        {8, 8, 0},           {8, 8, UINT64_MAX},         {20, 4, 2}, {24, 8, 0}, {24, 8, INT64_MAX},
        {36, 4, UINT32_MAX}, {36, 4, PART_BODY_MAX + 1}, {56, 8, 7},
    };
    const struct part_place place = {.journal_id = 1, .ordinal = 1, .offset = 4096};
    struct part part = {.number = 7, .is_last = true, .first_seq = 1, .durable = 6};
    unsigned char head[PART_HEAD_BYTES];
    unsigned char seed_bytes[16];
    (void)state;
    part_put_number(seed_bytes, place.ordinal, 8);
    part_put_number(seed_bytes + 8, place.offset, 8);
    uint64_t seed = hash_bytes(seed_bytes, sizeof seed_bytes, place.journal_id);
    part_encode(&part, &place, "", head);
    assert_true(part_decode(head, &place, &part));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        part_encode(&part, &place, "", head);
        part_put_number(head + rows[i].at, rows[i].number, rows[i].bytes);
        part_put_number(head + PART_HEAD_BYTES - 8, hash_bytes(head, PART_HEAD_BYTES - 8, seed), 8);
        assert_false(part_decode(head, &place, &part));
    }
}

static void a_head_of_a_segment_says_what_can_be(void **state)
{
    static const struct field rows[] = {
        {24, 8, 0},          {32, 8, 0}, {32, 8, UINT64_MAX}, {40, 8, 0},
        {40, 8, UINT64_MAX}, {56, 8, 0}, {56, 8, 8196},       {56, 8, 2 * SEGMENT_BYTES_MAX},
    };
    const struct segment_head fine = {.ordinal = 1, .number = 1, .first_seq = 1, .bytes = SMALL};
    struct segment_head head;
    unsigned char bytes[SEGMENT_HEAD_BYTES];
    uint32_t version;
    (void)state;
    segment_encode(&fine, bytes);
    assert_int_equal(segment_decode(bytes, &head, &version), SEGMENT_FINE);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        segment_encode(&fine, bytes);
        part_put_number(bytes + rows[i].at, rows[i].number, rows[i].bytes);
        part_put_number(bytes + sizeof bytes - 8, hash_bytes(bytes, sizeof bytes - 8, 0), 8);
        assert_int_equal(segment_decode(bytes, &head, &version), SEGMENT_DAMAGED);
    }
}

/* ---- indexes ---- */

/* Of those that are written, and of those that are read, there are no more than so many. */
static void indexes_are_given_up_and_made_again(void **state)
{
    (void)state;
    const unsigned segments = SEGMENTS_INDEXED_MAX + 40;
    struct fixture *f = made(segments);
    for (unsigned life = 0; life < 2; life++) {
        const struct segments *known = &journal_file_of(f->disk.journal)->segments;
        for (unsigned turn = 0; turn < 2; turn++) {
            for (uint64_t number = 1; number <= segments; number++)
                journal_bench_find(&f->bench, JOURNAL_BY_NUMBER, number, number);
            assert_int_equal(known->indexed, SEGMENTS_INDEXED_MAX);
            assert_true(known->items[segments - 1].is_indexed); /* it is written to */
        }
        journal_bench_check(&f->bench);
        disk_journal_close(&f->disk);
        must_open(f);
    }
    forget(&f);
}

/* ---- segments that change behind the journal's back ---- */

/* From its file: the entry that was read last is kept, and that is another one. */
static enum store_result read_second(struct fixture *f)
{
    journal_bench_find(&f->bench, JOURNAL_BY_NUMBER, 1, 1);
    return journal_bench_read(&f->bench, JOURNAL_BY_NUMBER, 2, 2);
}

static void what_is_not_the_segment_is_damage(void **state)
{
    (void)state;
    struct disk_files files;
    char path[256];
    struct fixture *f = made(4);
    disk_journal_save(&f->disk, &files);
    const struct disk_file *second = &files.items[1];
    disk_journal_path(&f->disk, second->name, path);
    assert_int_equal(read_second(f), STORE_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(read_second(f), STORE_DAMAGED);
    disk_journal_write(&f->disk, second->name, second->bytes, 100);
    assert_int_equal(read_second(f), STORE_DAMAGED);
    disk_journal_write(&f->disk, second->name, files.items[2].bytes, SMALL);
    assert_int_equal(read_second(f), STORE_DAMAGED);
    disk_journal_write(&f->disk, second->name, second->bytes, SMALL);
    assert_int_equal(read_second(f), STORE_OK);
    disk_journal_forget(&files);
    forget(&f);
}

static void a_segment_that_was_renamed_is_missed(void **state)
{
    (void)state;
    char error[ERROR_BYTES];
    char path[256];
    char other[256];
    struct fixture *f = made(2);
    disk_journal_path(&f->disk, "00000000000000000002.segment", path);
    disk_journal_path(&f->disk, "elsewhere", other);
    assert_true(journal_file_is_in_place(f->disk.journal, "DATA", error));
    assert_int_equal(rename(path, other), 0);
    assert_false(journal_file_is_in_place(f->disk.journal, "DATA", error));
    assert_string_equal(error, "DATA/journal/00000000000000000002.segment was renamed, replaced or "
                               "removed");
    assert_int_equal(rename(other, path), 0);
    assert_true(journal_file_is_in_place(f->disk.journal, "DATA", error));
    forget(&f);
}

/* ---- for reading alone ---- */

/* Nothing is made, and nothing is removed. */
static void who_only_looks_changes_nothing(void **state)
{
    (void)state;
    struct disk_files before;
    struct disk_files after;
    char path[256];
    struct fixture *f = made(3);
    disk_journal_close(&f->disk);
    disk_journal_path(&f->disk, MARK_FILE, path);
    assert_int_equal(unlink(path), 0);
    disk_journal_write(&f->disk, "next-9.tmp", "half", 4);
    disk_journal_save(&f->disk, &before);
    f->disk.options.mode = JOURNAL_FILE_READ_ONLY;
    must_open(f);
    journal_bench_check(&f->bench);
    disk_journal_close(&f->disk);
    disk_journal_save(&f->disk, &after);
    assert_int_equal(after.count, before.count);
    for (size_t i = 0; i < before.count; i++) {
        assert_string_equal(after.items[i].name, before.items[i].name);
        assert_int_equal(after.items[i].size, before.items[i].size);
        assert_memory_equal(after.items[i].bytes, before.items[i].bytes, before.items[i].size);
    }
    disk_journal_forget(&before);
    disk_journal_forget(&after);
    forget(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_says_number_and_index),
        cmocka_unit_test(a_head_of_a_part_says_what_can_be),
        cmocka_unit_test(a_head_of_a_segment_says_what_can_be),
        cmocka_unit_test(indexes_are_given_up_and_made_again),
        cmocka_unit_test(what_is_not_the_segment_is_damage),
        cmocka_unit_test(a_segment_that_was_renamed_is_missed),
        cmocka_unit_test(who_only_looks_changes_nothing),
    };
    return cmocka_run_group_tests_name("segments", tests, NULL, NULL);
}
