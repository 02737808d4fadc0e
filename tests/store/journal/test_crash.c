/* A process that dies at each crash point of the journal, and a machine that loses its power there:
 * some of what was not synced is lost then, sector by sector and name by name. And once more while
 * the next start mends that. What was told to be durable is there afterwards, and nothing is there
 * that was refused or never submitted. */
#include "tests/support/disk_journal.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/journal_bench.h"

#include "domain/base/crash_point.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ENTRIES 48u
#define SMALL UINT64_C(8192)

/* What the lives before have done. Written by a child, read by its parent. */
struct past {
    uint64_t acknowledged;
    uint64_t submitted;
    atomic_bool was_passed[32];
    uint64_t salts[ENTRIES + 1]; /* of the newest version of an entry: a refused one has another */
};

static struct past *past;
static atomic_ullong left; /* crash points until the one that kills; 0: none does */
static uint64_t chance;

static const char *const points[] = {"journal_before_preparing",
                                     "journal_preparing",
                                     "journal_prepared",
                                     "journal_before_rename",
                                     "journal_after_rename",
                                     "journal_directory_synced",
                                     "journal_before_write",
                                     "journal_after_write",
                                     "journal_after_sync",
                                     "journal_after_mark",
                                     "journal_taking_back",
                                     "journal_heads_erased",
                                     "journal_taken_back",
                                     "journal_cutting",
                                     "journal_cut",
                                     "journal_opened"};
#define POINTS (sizeof points / sizeof *points)

void crash_point(const char *name)
{
    size_t point = 0;
    if (past == NULL)
        return;
    while (strcmp(points[point], name) != 0) {
        point++;
        assert(point < POINTS); /* else it is missing in the list */
    }
    atomic_store(&past->was_passed[point], true);
    if (atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) == 1)
        faulty_disk_cut_power(chance);
}

/* ---- entries, which follow from their number and salt ---- */

static char bodies[ENTRIES + 1][20000];

static struct journal_entry make(uint64_t number, uint64_t salt, uint64_t first_seq)
{
    static const size_t sizes[] = {100, 0, 900, 5000, 8, 2500, 15000, 40};
    size_t len = sizes[(number + salt) % (sizeof sizes / sizeof *sizes)];
    uint64_t dice = number * 1000 + salt;
    for (size_t i = 0; i < len; i++)
        bodies[number][i] = (char)journal_bench_dice(&dice, 256);
    return (struct journal_entry){.number = number,
                                  .first_seq = first_seq,
                                  .events = (uint32_t)(number % 3),
                                  .time_ms = number + salt,
                                  .epoch = salt,
                                  .body = {bodies[number], len}};
}

/* ---- a life ---- */

static void take_all(struct journal *journal)
{
    uint64_t number;
    enum store_result result;
    journal_wait(journal);
    while (journal_done(journal, &number, &result)) {
        if (result == STORE_OK)
            past->acknowledged = number;
        else if (result == STORE_FULL)
            past->salts[number]++;
        else
            _exit(1);
    }
    past->submitted = journal_newest(journal);
}

static void submit(struct journal *journal, bool here)
{
    uint64_t number = journal_newest(journal) + 1;
    struct journal_entry entry = make(number, past->salts[number], journal_next_seq(journal));
    past->submitted = number;
    enum store_result result = journal_submit(journal, &entry, here);
    if (result == STORE_OK)
        return;
    if (result != STORE_FULL)
        _exit(2);
    past->submitted = number - 1;
    past->salts[number]++;
    take_all(journal);
}

static void live(struct disk_journal *disk, uint64_t until)
{
    if (!disk_journal_open(disk))
        _exit(3);
    struct journal *journal = disk->journal;
    past->acknowledged = past->submitted = journal_durable(journal);
    for (unsigned turn = 0; journal_newest(journal) < until; turn++) {
        if (turn % 5 == 3)
            faulty_disk_fail(DISK_PWRITEV, 1 + turn % 2, ENOSPC, false);
        if (turn % 5 == 1)
            faulty_disk_fail(DISK_FDATASYNC, 1 + turn % 3, ENOSPC, false);
        if (turn % 3 == 0) {
            submit(journal, true);
        } else {
            for (unsigned i = 0; i < 3 && journal_newest(journal) < until; i++)
                submit(journal, false);
        }
        if (turn % 4 != 0)
            take_all(journal);
    }
    take_all(journal);
    faulty_disk_fail(DISK_ANY, 0, 0, false);
    disk_journal_close(disk);
}

/* Returns whether it died at the point. */
static bool run_child(struct disk_journal *disk, uint64_t die_at, uint64_t until)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        faulty_disk_watch();
        atomic_store(&left, die_at);
        live(disk, until);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!died && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        fail_msg("point %llu, chance %llu: status %d", (unsigned long long)die_at,
                 (unsigned long long)chance, status);
    return died;
}

static void judge(struct disk_journal *disk)
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    uint64_t seq = 1;
    if (!disk_journal_open(disk))
        fail_msg("chance %llu: %s", (unsigned long long)chance, disk->error);
    uint64_t durable = journal_durable(disk->journal);
    assert_in_range(durable, past->acknowledged, past->submitted);
    assert_int_equal(journal_read_begin(disk->journal, JOURNAL_BY_NUMBER, 1, &cursor), STORE_OK);
    for (uint64_t number = 1; number <= durable; number++) {
        struct journal_entry expected = make(number, past->salts[number], seq);
        assert_int_equal(journal_read_next(cursor, &entry), STORE_OK);
        journal_bench_same(&entry, &expected);
        seq += expected.events;
    }
    assert_int_equal(journal_read_next(cursor, &entry), STORE_NOT_FOUND);
    journal_read_end(&cursor);
    disk_journal_close(disk);
}

static void any_moment_may_be_the_last(void **state)
{
    (void)state;
    past = mmap(NULL, sizeof *past, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(past != MAP_FAILED);
    bool goes_on = true;
    uint64_t n = 1;
    for (; goes_on; n++) {
        struct disk_journal disk;
        past->acknowledged = past->submitted = 0;
        memset(past->salts, 0, sizeof past->salts);
        disk_journal_make(&disk, SMALL, 2 * SMALL);
        chance = n * 31;
        goes_on = run_child(&disk, n, ENTRIES / 2);
        if (n % 3 == 0) {
            judge(&disk);
        } else { /* and once more, while it is mended or soon after */
            chance = n * 37 + 5;
            run_child(&disk, 1 + n % 8, ENTRIES);
        }
        judge(&disk);
        disk_journal_remove(&disk);
    }
    assert_true(n > 150);
    for (size_t i = 0; i < POINTS; i++) {
        if (!atomic_load(&past->was_passed[i]))
            fail_msg("%s was never passed", points[i]);
    }
    munmap(past, sizeof *past);
    past = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_moment_may_be_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
