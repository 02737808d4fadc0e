/* Segments: their names, the indexes of very many of them, and those that are not there any more as
 * they were while the journal is open. */
#include "store/journal/inside.h"
#include "tests/support/disk_journal.h"
#include "tests/support/journal_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
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
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    journal_bench_find(&f->bench, JOURNAL_BY_NUMBER, 1, 1);
    assert_int_equal(journal_read_begin(f->bench.journal, JOURNAL_BY_NUMBER, 2, &cursor), STORE_OK);
    enum store_result result = journal_read_next(cursor, &entry);
    if (result == STORE_OK)
        journal_bench_same(&entry, &f->bench.entries[1]);
    journal_read_end(&cursor);
    return result;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_says_number_and_index),
        cmocka_unit_test(indexes_are_given_up_and_made_again),
        cmocka_unit_test(what_is_not_the_segment_is_damage),
    };
    return cmocka_run_group_tests_name("segments", tests, NULL, NULL);
}
