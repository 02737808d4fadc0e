/* Memory that runs out: the n-th allocation of the journal fails, for n = 1, 2, 3 ... until none is
 * left that could. What was refused can be done again, and nothing is lost or done twice. */
#include "tests/support/disk_journal.h"
#include "tests/support/journal_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SMALL UINT64_C(8192)
#define ENTRIES 150u /* more than the queue and the list of segments hold at first */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static uint64_t left; /* allocations until the one that fails; 0: none does */
static bool is_armed; /* a call of the journal is under way */
static bool has_failed;

static bool fails(void)
{
    if (!is_armed || left == 0 || --left > 0)
        return false;
    has_failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

static void open_it(struct disk_journal *disk)
{
    is_armed = true;
    bool is_open = disk_journal_open(disk);
    is_armed = false;
    if (is_open)
        return;
    assert_true(has_failed);
    assert_true(disk_journal_open(disk));
}

static void submit_all(struct journal_bench *bench)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct journal_entry entry = journal_bench_make(bench, i % 2, 1500);
        is_armed = true;
        enum store_result result = journal_submit(bench->journal, &entry, false);
        is_armed = false;
        if (result != STORE_OK) {
            assert_int_equal(result, STORE_FAILED);
            assert_true(has_failed);
            assert_int_equal(journal_submit(bench->journal, &entry, false), STORE_OK);
        }
        journal_bench_add(bench, &entry);
    }
    journal_wait(bench->journal);
}

/* The entry that has the seq. */
static enum store_result read_one(struct journal_bench *bench, uint64_t seq)
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    enum store_result result = journal_read_begin(bench->journal, JOURNAL_BY_SEQ, seq, &cursor);
    if (result == STORE_OK)
        result = journal_read_next(cursor, &entry);
    if (result == STORE_OK)
        journal_bench_same(&entry, &bench->entries[2 * seq - 1]);
    journal_read_end(&cursor);
    return result;
}

static void read_some(struct journal_bench *bench)
{
    for (uint64_t seq = 1; seq <= ENTRIES / 2; seq += 10) {
        is_armed = true;
        enum store_result result = read_one(bench, seq);
        is_armed = false;
        assert_true(result == STORE_OK || (result == STORE_FAILED && has_failed));
        assert_int_equal(read_one(bench, seq), STORE_OK);
    }
}

static void what_has_no_memory_can_be_done_again(void **state)
{
    (void)state;
    uint64_t n = 1;
    do {
        struct disk_journal disk;
        struct journal_bench bench = {.journal = NULL};
        disk_journal_make(&disk, SMALL, SMALL);
        left = n;
        has_failed = false;
        open_it(&disk);
        bench.journal = disk.journal;
        submit_all(&bench);
        is_armed = true;
        journal_bench_finish(&bench);
        is_armed = false;
        read_some(&bench);
        disk_journal_close(&disk);
        open_it(&disk);
        bench.journal = disk.journal;
        read_some(&bench);
        journal_bench_check(&bench);
        left = 0;
        disk_journal_remove(&disk);
        journal_bench_clear(&bench);
        n++;
    } while (has_failed);
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_memory_can_be_done_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
