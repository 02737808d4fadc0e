/* Calls that fail. Each n-th one in its turn, with each error: what was told to be durable is there
 * afterwards, and what was refused is not. */
#include "tests/support/disk_journal.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/journal_bench.h"

#include "store/journal/part.h"
#include "store/journal/segment.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define SMALL UINT64_C(8192)

struct faults {
    struct disk_journal disk;
    struct journal_bench bench;
    bool may_have_one_more; /* the journal broke: the next entry may be there */
};

static const size_t sizes[] = {100, 3000, 0, 160, 9000, 40, 20000, 700, 700, 700, 700, 5000, 8};
#define SIZES (sizeof sizes / sizeof *sizes)

static void must_open(struct faults *f)
{
    if (!disk_journal_open(&f->disk))
        fail_msg("%s", f->disk.error);
    f->bench.journal = f->disk.journal;
}

/* What became of entries that were submitted. False: the journal broke. */
static bool take_all(struct faults *f)
{
    uint64_t number;
    enum store_result result = STORE_OK;
    enum store_result worst = STORE_OK;
    journal_wait(f->bench.journal);
    while (journal_done(f->bench.journal, &number, &result)) {
        if (worst == STORE_OK)
            worst = result;
        assert_int_equal(result, worst);
    }
    if (worst != STORE_OK) {
        f->bench.count = journal_durable(f->bench.journal);
        f->bench.salt += worst != STORE_BROKEN;
    }
    assert_int_equal(journal_durable(f->bench.journal), f->bench.count);
    return worst != STORE_BROKEN;
}

/* Submits what it can; what is refused comes again later. */
static void run_script(struct faults *f)
{
    for (unsigned i = 0; i < 2 * SIZES && !f->may_have_one_more; i++) {
        struct journal_entry entry = journal_bench_make(&f->bench, i % 3, sizes[i % SIZES]);
        enum store_result result = journal_submit(f->bench.journal, &entry, i % 2 == 0);
        if (result == STORE_OK) {
            journal_bench_add(&f->bench, &entry);
            /* Kept, as it may be the one that is there though the journal broke. */
            f->may_have_one_more = i % 4 == 3 ? !take_all(f) : false;
        } else {
            bool is_whole = take_all(f);
            assert_true(result == STORE_FULL || result == STORE_FAILED || result == STORE_BROKEN);
            f->may_have_one_more = !is_whole || result == STORE_BROKEN;
            if (!f->may_have_one_more)
                journal_bench_forget(&f->bench, f->bench.count);
        }
    }
    if (!f->may_have_one_more)
        f->may_have_one_more = !take_all(f);
}

/* Opens what is there, without faults, and looks at it. */
static void judge(struct faults *f)
{
    faulty_disk_reset();
    disk_journal_close(&f->disk);
    must_open(f);
    uint64_t durable = journal_durable(f->bench.journal);
    assert_in_range(durable, f->bench.count, f->bench.count + f->may_have_one_more);
    uint64_t acknowledged = f->bench.count;
    f->bench.count = durable; /* one more is still in the list, or was made and not added */
    if (durable > acknowledged) {
        struct journal_cursor *cursor = NULL;
        struct journal_entry entry;
        assert_int_equal(journal_read_begin(f->bench.journal, JOURNAL_BY_NUMBER, durable, &cursor),
                         STORE_OK);
        assert_int_equal(journal_read_next(cursor, &entry), STORE_OK);
        assert_int_equal(entry.number, durable);
        f->bench.count = acknowledged;
        struct journal_entry made = journal_bench_make(&f->bench, entry.events, entry.body.len);
        journal_bench_same(&entry, &made);
        journal_bench_add(&f->bench, &made);
        journal_read_end(&cursor);
    }
    journal_bench_check(&f->bench);
    for (unsigned i = 0; i < 3; i++)
        journal_bench_append(&f->bench, 1, 3000);
    disk_journal_close(&f->disk);
    must_open(f);
    journal_bench_check(&f->bench);
}

/* Returns whether a call has failed. */
static bool try_fault(enum disk_call call, uint64_t n, int code, bool for_good)
{
    struct faults *f = calloc(1, sizeof *f);
    assert_non_null(f);
    faulty_disk_reset();
    disk_journal_make(&f->disk, SMALL, 2 * SMALL);
    faulty_disk_fail(call, n, code, for_good);
    if (disk_journal_open(&f->disk)) {
        f->bench.journal = f->disk.journal;
        run_script(f);
    } else {
        assert_non_null(strstr(f->disk.error, "cannot "));
    }
    bool has_failed = faulty_disk_has_failed();
    judge(f);
    disk_journal_remove(&f->disk);
    journal_bench_clear(&f->bench);
    free(f);
    return has_failed;
}

static uint64_t try_each(int code, bool for_good)
{
    uint64_t n = 1;
    while (try_fault(DISK_ANY, n, code, for_good))
        n++;
    return n;
}

static void any_call_may_find_the_disk_full(void **state)
{
    (void)state;
    assert_true(try_each(ENOSPC, false) > 100);
    try_each(EFBIG, false);
}

static void any_call_may_find_the_disk_full_for_good(void **state)
{
    (void)state;
    assert_true(try_each(ENOSPC, true) > 100);
}

static void any_call_may_find_the_disk_broken(void **state)
{
    (void)state;
    assert_true(try_each(EIO, false) > 100);
}

static void any_file_may_find_no_descriptor(void **state)
{
    (void)state;
    for (unsigned for_good = 0; for_good < 2; for_good++) {
        uint64_t n = 1;
        while (try_fault(DISK_OPEN, n, EMFILE, for_good > 0))
            n++;
        assert_true(n > 10);
    }
}

static void any_write_may_be_short(void **state)
{
    (void)state;
    assert_true(try_each(DISK_SHORT, false) > 100);
    try_each(EINTR, false);
}

/* ---- what each failure means ---- */

static struct faults *made(uint64_t first_bytes, uint64_t largest_bytes)
{
    struct faults *f = calloc(1, sizeof *f);
    assert_non_null(f);
    faulty_disk_reset();
    disk_journal_make(&f->disk, first_bytes, largest_bytes);
    must_open(f);
    return f;
}

static void forget(struct faults **f)
{
    faulty_disk_reset();
    disk_journal_remove(&(*f)->disk);
    journal_bench_clear(&(*f)->bench);
    free(*f);
    *f = NULL;
}

static void a_failure_has_its_result(void **state)
{
    static const struct {
        enum disk_call call;
        int code;
        enum store_result result;
    } rows[] = {
        {DISK_PWRITEV, ENOSPC, STORE_FULL},   {DISK_PWRITEV, EDQUOT, STORE_FULL},
        {DISK_PWRITEV, EFBIG, STORE_FULL},    {DISK_PWRITEV, EIO, STORE_BROKEN},
        {DISK_FDATASYNC, ENOSPC, STORE_FULL}, {DISK_FDATASYNC, EDQUOT, STORE_FULL},
        {DISK_FDATASYNC, EIO, STORE_BROKEN},  {DISK_FDATASYNC, EROFS, STORE_BROKEN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults *f = made(65536, 65536);
        journal_bench_append(&f->bench, 1, 100);
        faulty_disk_fail(rows[i].call, 1, rows[i].code, false);
        struct journal_entry entry = journal_bench_make(&f->bench, 1, 100);
        assert_int_equal(journal_submit(f->bench.journal, &entry, true), rows[i].result);
        assert_true(faulty_disk_has_failed());
        f->may_have_one_more = rows[i].result == STORE_BROKEN;
        judge(f);
        forget(&f);
    }
}

static void wait_for_room(const struct faults *f, uint64_t bytes)
{
    time_t deadline = time(NULL) + 20;
    while (!journal_has_room(f->bench.journal, bytes) && time(NULL) < deadline)
        sched_yield();
    assert_true(journal_has_room(f->bench.journal, bytes));
}

/* The next segment is there and cannot be opened: a refusal like any other, and it has its cause.
 */
static void without_a_descriptor_entries_are_refused(void **state)
{
    static const int codes[] = {EMFILE, ENFILE};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct faults *f = made(65536, 65536);
        bool here = i % 2 == 0;
        journal_bench_append(&f->bench, 1, 40000);
        wait_for_room(f, 25000);
        faulty_disk_fail(DISK_OPEN, 1, codes[i / 2], false);
        struct journal_entry entry = journal_bench_make(&f->bench, 1, 25000);
        assert_int_equal(journal_submit(f->bench.journal, &entry, here),
                         here ? STORE_FAILED : STORE_OK);
        if (!here) {
            journal_bench_add(&f->bench, &entry);
            assert_true(take_all(f));
            assert_int_equal(f->bench.count, 1);
            journal_bench_forget(&f->bench, 1);
        }
        assert_int_equal(journal_file_cause(f->bench.journal), codes[i / 2]);
        journal_bench_append(&f->bench, 1, 25000);
        judge(f);
        forget(&f);
    }
}

/* Whichever of its segments cannot be made or opened. (Behind them one more is made ahead.) */
static void without_a_descriptor_a_large_entry_is_taken_back(void **state)
{
    (void)state;
    bool has_failed = true;
    unsigned refused = 0;
    for (uint64_t n = 1; has_failed; n++) {
        struct faults *f = made(SMALL, SMALL);
        journal_bench_append(&f->bench, 1, 100);
        faulty_disk_fail(DISK_OPEN, n, EMFILE, false);
        struct journal_entry entry = journal_bench_make(&f->bench, 1, 3 * SMALL);
        enum store_result result = journal_submit(f->bench.journal, &entry, true);
        has_failed = faulty_disk_has_failed();
        faulty_disk_reset();
        if (result == STORE_OK) {
            journal_bench_add(&f->bench, &entry);
            assert_true(take_all(f));
        } else {
            assert_int_equal(result, STORE_FAILED);
            assert_int_equal(journal_file_cause(f->bench.journal), EMFILE);
            refused++;
        }
        journal_bench_append(&f->bench, 1, 3 * SMALL);
        judge(f);
        forget(&f);
    }
    assert_true(refused > 6);
}

/* That a segment cannot be opened is no damage. */
static void without_a_descriptor_nothing_is_damaged(void **state)
{
    (void)state;
    struct faults *f = made(SMALL, SMALL);
    for (unsigned i = 0; i < 3; i++)
        journal_bench_append(&f->bench, 1, 3000);
    journal_bench_check(&f->bench); /* so that the first one is not kept */
    wait_for_room(f, 3000);
    faulty_disk_fail(DISK_OPEN, 1, EMFILE, false);
    assert_int_equal(journal_bench_read(&f->bench, JOURNAL_BY_NUMBER, 1, 1), STORE_FAILED);
    assert_int_equal(journal_file_cause(f->bench.journal), EMFILE);
    assert_int_equal(journal_bench_read(&f->bench, JOURNAL_BY_NUMBER, 1, 1), STORE_OK);
    forget(&f);
}

/* Parts go out a few at a time: each of these writes may fail. */
static void an_entry_of_many_parts_is_taken_back(void **state)
{
    (void)state;
    const uint64_t size = 20 * (uint64_t)PART_BODY_MAX;
    bool has_failed = true;
    for (uint64_t n = 1; has_failed; n++) {
        struct faults *f = made(2 * size, 2 * size);
        journal_bench_append(&f->bench, 1, 100);
        faulty_disk_fail(DISK_PWRITEV, n, ENOSPC, false);
        struct journal_entry entry = journal_bench_make(&f->bench, 1, size);
        enum store_result result = journal_submit(f->bench.journal, &entry, true);
        has_failed = faulty_disk_has_failed();
        faulty_disk_reset();
        assert_int_equal(result, has_failed ? STORE_FULL : STORE_OK);
        assert_true(has_failed || n > 2);
        if (!has_failed) {
            journal_bench_add(&f->bench, &entry);
            assert_true(take_all(f));
        }
        journal_bench_append(&f->bench, 1, 100);
        judge(f);
        forget(&f);
    }
}

/* Trap: written, the sync fails, and so does what would erase it. A refusal could be a lie. */
static void what_cannot_be_taken_back_breaks_the_journal(void **state)
{
    (void)state;
    struct faults *f = made(65536, 65536);
    faulty_disk_fail(DISK_FDATASYNC, 1, ENOSPC, true);
    struct journal_entry entry = journal_bench_make(&f->bench, 1, 100);
    assert_int_equal(journal_submit(f->bench.journal, &entry, true), STORE_BROKEN);
    assert_int_equal(journal_submit(f->bench.journal, &entry, true), STORE_BROKEN);
    f->may_have_one_more = true;
    judge(f);
    forget(&f);
}

/* ---- files ---- */

static off_t size_of(const struct faults *f, const char *name)
{
    char path[256];
    struct stat status;
    disk_journal_path(&f->disk, name, path);
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void segments_grow_up_to_the_largest(void **state)
{
    (void)state;
    struct disk_files files;
    struct faults *f = made(SMALL, 4 * SMALL);
    for (unsigned i = 0; i < 60; i++)
        journal_bench_append(&f->bench, 1, 1500);
    disk_journal_close(&f->disk);
    disk_journal_save(&f->disk, &files);
    uint64_t expected = SMALL;
    for (size_t i = 0; i < files.count && segment_name_is_one(files.items[i].name); i++) {
        assert_int_equal(files.items[i].size, expected);
        expected = expected < 4 * SMALL ? 2 * expected : expected;
    }
    assert_int_equal(size_of(f, "00000000000000000001.segment"), SMALL);
    assert_int_equal(size_of(f, "00000000000000000003.segment"), 2 * SMALL);
    disk_journal_forget(&files);
    char path[256];
    struct stat status;
    disk_journal_path(&f->disk, "", path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    forget(&f);
}

static void the_next_segment_is_made_ahead(void **state)
{
    (void)state;
    struct faults *f = made(65536, 65536);
    assert_false(journal_has_room(f->bench.journal, 62000));
    assert_true(journal_has_room(f->bench.journal, 61000));
    journal_bench_append(&f->bench, 1, 40000); /* more than half */
    journal_bench_append(&f->bench, 1, 30000); /* waits for the next one */
    assert_int_equal(size_of(f, "00000000000000000002.segment"), 65536);
    journal_bench_append(&f->bench, 1, 10000);
    disk_journal_close(&f->disk);
    must_open(f);
    /* A start that finds a segment more than half full makes the next one too; entries go before.
     */
    wait_for_room(f, 61000);
    assert_int_equal(size_of(f, "next-3.tmp"), 65536);
    assert_int_equal(journal_bytes(f->bench.journal), 3 * 65536 + 64);
    forget(&f);
}

static void what_a_start_left_half_made_is_removed(void **state)
{
    (void)state;
    struct faults *f = made(65536, 65536);
    disk_journal_close(&f->disk);
    disk_journal_write(&f->disk, "next-2.tmp", "half", 4);
    disk_journal_write(&f->disk, "next-17.tmp", "", 0);
    must_open(f);
    assert_int_equal(size_of(f, "next-2.tmp"), -1);
    assert_int_equal(size_of(f, "next-17.tmp"), -1);
    journal_bench_append(&f->bench, 1, 100);
    forget(&f);
}

/* A limit of the system, and no call of ours that is in the way. */
static void a_limit_on_files_is_a_full_disk(void **state)
{
    (void)state;
    struct rlimit before;
    struct faults *f = made(65536, 262144);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {.rlim_cur = 100000, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (unsigned i = 0; i < 6; i++)
        journal_bench_append(&f->bench, 1, 9000);
    struct journal_entry entry = journal_bench_make(&f->bench, 1, 9000);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(journal_submit(f->bench.journal, &entry, i == 0), STORE_FULL);
    journal_bench_append(&f->bench, 1, 1000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    journal_bench_append(&f->bench, 1, 9000);
    judge(f);
    forget(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_may_find_the_disk_full),
        cmocka_unit_test(any_call_may_find_the_disk_full_for_good),
        cmocka_unit_test(any_call_may_find_the_disk_broken),
        cmocka_unit_test(any_file_may_find_no_descriptor),
        cmocka_unit_test(any_write_may_be_short),
        cmocka_unit_test(a_failure_has_its_result),
        cmocka_unit_test(without_a_descriptor_entries_are_refused),
        cmocka_unit_test(without_a_descriptor_a_large_entry_is_taken_back),
        cmocka_unit_test(without_a_descriptor_nothing_is_damaged),
        cmocka_unit_test(an_entry_of_many_parts_is_taken_back),
        cmocka_unit_test(what_cannot_be_taken_back_breaks_the_journal),
        cmocka_unit_test(segments_grow_up_to_the_largest),
        cmocka_unit_test(the_next_segment_is_made_ahead),
        cmocka_unit_test(what_a_start_left_half_made_is_removed),
        cmocka_unit_test(a_limit_on_files_is_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
