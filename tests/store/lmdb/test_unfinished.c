/* A commit that was cut off at its meta page: LMDB has written the new roots back under the numbers
 * of an older transaction, and the node died before it put back what was there. The next start
 * finishes it, if all of it is whole. */
#include "tests/support/verified_store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE_BYTES ((off_t)4096)
#define NUMBERS_AT ((off_t)136) /* in a meta page: its last page, and its transaction */
#define SAYS "pages: a commit was cut off, and the next start will finish it\n"

struct numbers {
    uint64_t last_page;
    uint64_t txn;
};

static int open_data(const struct verified *f)
{
    char path[160];
    snprintf(path, sizeof path, "%s/data.mdb", f->directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void read_at(const struct verified *f, void *bytes, size_t len, off_t at)
{
    int fd = open_data(f);
    assert_int_equal(pread(fd, bytes, len, at), len);
    close(fd);
}

static void write_at(const struct verified *f, const void *bytes, size_t len, off_t at)
{
    int fd = open_data(f);
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    close(fd);
}

static off_t bytes_of(const struct verified *f)
{
    struct stat file;
    int fd = open_data(f);
    assert_int_equal(fstat(fd, &file), 0);
    close(fd);
    return file.st_size;
}

static struct numbers numbers_of(const struct verified *f, unsigned meta)
{
    struct numbers numbers;
    read_at(f, &numbers, sizeof numbers, meta * PAGE_BYTES + NUMBERS_AT);
    return numbers;
}

static void set_numbers(const struct verified *f, unsigned meta, struct numbers numbers)
{
    write_at(f, &numbers, sizeof numbers, meta * PAGE_BYTES + NUMBERS_AT);
}

static unsigned newest_meta(const struct verified *f)
{
    return numbers_of(f, 1).txn > numbers_of(f, 0).txn;
}

static void expect(const struct verified *f, const char *question, const char *answer,
                   uint64_t check_bytes, bool has_finished)
{
    struct sample sample;
    if (!sample_open(&sample, f->directory, check_bytes))
        fail_msg("%s", sample.error);
    assert_int_equal(lmdb_store_has_finished_commit(sample.store), has_finished);
    assert_true(!has_finished || lmdb_store_was_walked(sample.store));
    assert_string_equal(sample_ask(&sample, question), answer);
    sample_close(&sample);
}

static void expect_refused(const struct verified *f, uint64_t check_bytes)
{
    struct sample sample;
    assert_false(sample_open(&sample, f->directory, check_bytes));
    assert_non_null(strstr(sample.error, "is damaged"));
    sample_close(&sample);
}

static void do_command(const struct verified *f, const char *line)
{
    struct sample sample;
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_non_null(sample_ask(&sample, line));
    sample_close(&sample);
}

/* Does a command, and cuts its commit off. Returns the meta page, and the numbers that it had. */
static unsigned cut_off(const struct verified *f, const char *line, struct numbers *whole)
{
    unsigned meta = 1 - newest_meta(f);
    struct numbers before = numbers_of(f, meta);
    do_command(f, line);
    assert_int_equal(newest_meta(f), meta);
    *whole = numbers_of(f, meta);
    set_numbers(f, meta, before);
    return meta;
}

/* In each of the two meta pages, with more pages than there were and with as many; whatever part of
 * the file a start looks at. */
static void it_is_finished(void **state)
{
    struct verified *f = *state;
    unsigned grown = 0;
    for (unsigned round = 0; round < 40; round++) {
        char line[64];
        char question[64];
        char answer[64];
        struct numbers whole;
        snprintf(line, sizeof line, "CreateBatch cut-%u SKU-%u 1 id=cut-%u", round, round, round);
        snprintf(question, sizeof question, "GetBatch cut-%u", round);
        snprintf(answer, sizeof answer, "ok SKU-%u cut-%u:1/1:-", round, round);
        unsigned meta = cut_off(f, line, &whole);
        struct numbers numbers = numbers_of(f, meta);
        grown += whole.last_page > numbers_of(f, 1 - meta).last_page;
        verified_expect_whole(f);
        assert_non_null(strstr(f->report, SAYS));
        struct numbers after = numbers_of(f, meta);
        assert_memory_equal(&after, &numbers, sizeof after); /* it changes nothing */
        expect(f, question, answer, round % 3 == 0 ? 0 : UINT64_MAX, true);
        after = numbers_of(f, meta);
        assert_memory_equal(&after, &whole, sizeof after);
        verified_expect_whole(f);
        assert_null(strstr(f->report, SAYS));
        expect(f, question, answer, 0, false);
        if (round % 3 == 1)
            do_command(f, "Deallocate o1 RED"); /* the other page's turn */
    }
    assert_in_range(grown, 1, 39);
}

/* The verifier sees what the start will: the events of the commit are in the log. */
static void it_is_verified_as_if_finished(void **state)
{
    struct verified *f = *state;
    struct numbers whole;
    assert_true(verified_report(f, f->directory));
    assert_non_null(strstr(f->report, "events: 1..17: ok\n"));
    cut_off(f, "CreateBatch cut RED 1", &whole);
    verified_expect_whole(f);
    assert_non_null(strstr(f->report, "events: 1..18: ok\n"));
}

/* The commit that made the tables has no stamp. */
static void the_first_one_is_finished(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    sample_directory_remove(f->directory);
    sample_directory_make(f->directory);
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    sample_close(&sample);
    assert_int_equal(numbers_of(f, 1).txn, 1);
    set_numbers(f, 1, (struct numbers){1, 0});
    verified_expect_whole(f);
    assert_non_null(strstr(f->report, SAYS));
    expect(f, "CreateBatch b RED 1", "ok seq=1", UINT64_MAX, true);
    verified_expect_whole(f);
}

/* A command that was answered has happened. */
static void a_flipped_bit_in_its_number_is_mended(void **state)
{
    struct verified *f = *state;
    unsigned meta = newest_meta(f);
    struct numbers whole = numbers_of(f, meta);
    for (unsigned bit = 0; bit < 64; bit++) {
        struct numbers flipped = whole;
        flipped.txn ^= (uint64_t)1 << bit;
        set_numbers(f, meta, flipped);
        expect(f, "GetBatch b4", "ok GREEN b4:1/1:-", bit % 2 == 0 ? UINT64_MAX : 0, true);
        assert_int_equal(numbers_of(f, meta).txn, whole.txn);
    }
}

static void one_in_the_number_of_the_older_page_is_damage(void **state)
{
    struct verified *f = *state;
    unsigned meta = 1 - newest_meta(f);
    struct numbers whole = numbers_of(f, meta);
    for (unsigned bit = 0; bit < 64; bit++) {
        struct numbers flipped = whole;
        flipped.txn ^= (uint64_t)1 << bit;
        set_numbers(f, meta, flipped);
        expect_refused(f, UINT64_MAX);
        expect_refused(f, 0);
        assert_int_equal(numbers_of(f, meta).txn, flipped.txn); /* it is left as it is */
    }
}

/* A page of zeros anywhere where the finished store would be refused, and nowhere else. */
static void a_damaged_one_is_refused(void **state)
{
    struct verified *f = *state;
    struct numbers whole;
    unsigned refused = 0;
    unsigned meta = cut_off(f, "CreateBatch cut RED 1", &whole);
    struct numbers cut = numbers_of(f, meta);
    off_t pages = bytes_of(f) / PAGE_BYTES;
    for (off_t page = 2; page < pages; page++) {
        static const char zeros[PAGE_BYTES];
        char bytes[PAGE_BYTES];
        struct sample sample;
        read_at(f, bytes, sizeof bytes, page * PAGE_BYTES);
        write_at(f, zeros, sizeof zeros, page * PAGE_BYTES);
        set_numbers(f, meta, whole);
        bool is_whole = sample_open(&sample, f->directory, UINT64_MAX);
        sample_close(&sample);
        for (uint64_t check_bytes = 0; check_bytes <= 1; check_bytes++) {
            set_numbers(f, meta, cut);
            if (is_whole)
                expect(f, "GetBatch cut", "ok RED cut:1/1:-", check_bytes - 1, true);
            else
                expect_refused(f, check_bytes - 1);
        }
        if (!is_whole) {
            verified_expect(f, "pages: ");
            assert_int_equal(numbers_of(f, meta).txn, cut.txn);
        }
        refused += !is_whole;
        write_at(f, bytes, sizeof bytes, page * PAGE_BYTES);
    }
    assert_in_range(refused, 10, pages);
}

/* Its record says that it is of some other transaction. */
static void one_of_another_transaction_is_refused(void **state)
{
    struct verified *f = *state;
    unsigned meta = 1 - newest_meta(f);
    struct numbers before = numbers_of(f, meta);
    verified_begin(f);
    verified_drop(f, "refs", text_of("b4"));
    verified_commit_unstamped(f);
    set_numbers(f, meta, before);
    expect_refused(f, UINT64_MAX);
    expect_refused(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, verified_set_up, verified_tear_down)
        TEST(it_is_finished),
        TEST(it_is_verified_as_if_finished),
        TEST(the_first_one_is_finished),
        TEST(a_flipped_bit_in_its_number_is_mended),
        TEST(one_in_the_number_of_the_older_page_is_damage),
        TEST(a_damaged_one_is_refused),
        TEST(one_of_another_transaction_is_refused),
    };
    return cmocka_run_group_tests_name("lmdb_unfinished", tests, NULL, NULL);
}
