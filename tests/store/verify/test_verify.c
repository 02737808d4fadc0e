/* allocd --verify: a whole store is whole, and each contradiction between its tables and its
 * journal, with seals that are right, is found and named. What is about the journal is in
 * test_log.c. */
#include "store/journal/part.h"
#include "store/verify/inside.h"
#include "tests/support/verified_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- whole ones ---- */

static void a_whole_store_is_whole(void **state)
{
    struct verified *f = *state;
    verified_expect_whole(f);
    assert_non_null(strstr(f->report, "pages: "));
    assert_non_null(strstr(f->report, "events: 15 entries, seq 1..17: ok\n"));
    assert_non_null(strstr(f->report, "replies: 13 in the journal: ok\n"));
    assert_non_null(strstr(f->report, "products: 3: ok\n"));
    assert_non_null(strstr(f->report, "batches: 4: ok\n"));
    assert_non_null(strstr(f->report, "lines of batches: 3: ok\n"));
    assert_non_null(strstr(f->report, "remembered replies: 13: ok\n"));
    assert_non_null(strstr(f->report, "waiting lines: 1: ok\n"));
}

static off_t size_of(const struct verified *f, const char *name)
{
    char path[160];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void cut(const struct verified *f, const char *name, off_t size)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    assert_int_equal(truncate(path, size), 0);
}

static void remove_file(const struct verified *f, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    assert_int_equal(unlink(path), 0);
}

static void remove_journal(const struct verified *f)
{
    char path[160];
    snprintf(path, sizeof path, "%s/" DIRECTORY_JOURNAL, f->directory);
    sample_directory_remove(path);
}

/* What a first start leaves that died at some point. */
static void a_start_that_died_is_no_damage(void **state)
{
    struct verified *f = *state;
    cut(f, "node.lock", 0);
    const off_t left[] = {8192, 4096, 100, 0};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        cut(f, "data.mdb", left[i]);
        verified_expect_whole(f);
        assert_non_null(strstr(f->report, "nothing is stored yet"));
        assert_int_equal(size_of(f, "data.mdb"), left[i]); /* nothing is changed */
        assert_int_equal(size_of(f, "node.lock"), 0);
    }
    remove_file(f, "data.mdb");
    verified_expect_whole(f);
    assert_int_equal(size_of(f, "data.mdb"), -1);
    remove_journal(f);
    verified_expect_whole(f);
    remove_file(f, "lock.mdb");
    remove_file(f, "node.lock");
    verified_expect_whole(f);
    struct sample sample; /* and a node starts there */
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    sample_close(&sample);
    verified_expect_whole(f);
    assert_non_null(strstr(f->report, "events: 0 entries, seq 1..0: ok\n"));
}

static void one_that_cannot_be_looked_at(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_false(verified_report(f, f->directory));
    assert_non_null(strstr(f->report, "journal: the data directory "));
    assert_non_null(strstr(f->report, "is in use by another node"));
    sample_close(&sample);
    verified_expect_whole(f);
    assert_false(verified_report(f, "/nonexistent/store"));
    assert_non_null(strstr(f->report, "is not there"));
    assert_false(verified_report(f, "/"));
    assert_non_null(strstr(f->report, "is not the directory of a store"));
    char file[160];
    snprintf(file, sizeof file, "%s/node.lock", f->directory);
    assert_false(verified_report(f, file));
    assert_non_null(strstr(f->report, "Not a directory"));
}

/* The journal is replayed where the tables cannot be looked at, and the other way round there is
 * nothing to hold them against. */
static void files_that_are_missing(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    cut(f, "data.mdb", 0);
    verified_expect(f, "pages: the tables in ");
    assert_non_null(strstr(f->report, "are damaged: it is empty"));
    assert_non_null(strstr(f->report, "events: 15 entries, seq 1..17: ok\n"));
    remove_file(f, "data.mdb");
    verified_expect(f, "pages: cannot open ");
    assert_non_null(strstr(f->report, "events: 15 entries, seq 1..17: ok\n"));
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    sample_close(&sample);
    verified_expect_whole(f);
    remove_journal(f);
    verified_expect(f, "journal: the store ");
    assert_non_null(strstr(f->report, "has no journal"));
    assert_null(strstr(f->report, "events:"));
}

/* As a node that was killed leaves it: what the tables lack is laid over them, and nothing on disk
 * is changed. */
static void tables_that_are_behind_are_whole(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    char copy[128];
    sample_directory_make(copy);
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_string_equal(sample_ask(&sample, "Allocate o0 RED 1 id=i14"),
                        "ok id=i14 seq=18 batchref=b2");
    assert_non_null(strstr(sample_ask(&sample, "Deallocate o1 RED"), "ok seq=19"));
    assert_non_null(strstr(sample_ask(&sample, "Allocate o1 RED 2"), "ok seq=20"));
    assert_non_null(strstr(sample_ask(&sample, "CreateBatch b5 BLACK 2"), "ok seq=21"));
    assert_non_null(strstr(sample_ask(&sample, "CreateBatch b6 BLUE 7"), "ok seq=23"));
    sample_directory_copy(f->directory, copy);
    sample_close(&sample);
    sample_directory_copy(copy, f->directory);
    sample_directory_remove(copy);
    off_t size = size_of(f, "data.mdb");
    for (unsigned i = 0; i < 2; i++) {
        verified_expect_whole(f);
        assert_non_null(strstr(f->report, "events: 20 entries, seq 1..23: ok\n"));
        assert_non_null(strstr(f->report, "replies: 14 in the journal: ok\n"));
        assert_non_null(strstr(f->report, "lines of batches: 3: ok\n")); /* by themselves */
    }
    verified_begin(f);
    assert_int_equal(verified_get_meta(f).last_seq, 17);
    verified_commit(f);
    assert_int_equal(size_of(f, "data.mdb"), size);
}

/* ---- names that are not fit for a terminal ---- */

static void names_are_fit_to_print(void **state)
{
    static const struct {
        struct text name;
        const char *printed;
    } rows[] = {
        {{"RED-CHAIR", 9}, "RED-CHAIR"},
        {{"o1\0RED", 6}, "o1/RED"},
        {{"\x1b[31m\a\r\n\x7f", 9}, "%1b[31m%07%0d%0a%7f"},
        {{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9}, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {{"\xc2\x9b", 2}, "%c2%9b"},                 /* a control character of two bytes */
        {{"\x9b\xff\xfe", 3}, "%9b%ff%fe"},          /* no UTF-8 at all */
        {{"\xe2\x82(\xc0\xaf", 5}, "%e2%82(%c0%af"}, /* one that is cut, one that is overlong */
        {{"\xed\xa0\x80\xe2\x82", 5}, "%ed%a0%80%e2%82"},
        {{"", 0}, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(verify_name(rows[i].name).text, rows[i].printed);
    char longest[2 * KEY_MAX_BYTES];
    memset(longest, '\x1b', sizeof longest);
    size_t len = strlen(verify_name((struct text){longest, sizeof longest}).text);
    assert_in_range(len, 3 * (KEY_MAX_BYTES - 2), 3 * KEY_MAX_BYTES);
}

/* Damaged records of all tables, under a key that would turn a terminal red and more. */
static void a_report_is_fit_to_print(void **state)
{
    static const char *const tables[] = {"products", "batches", "use",    "refs",
                                         "lines",    "held",    "waiting"};
    struct verified *f = *state;
    struct text key = {"A\x1b[31m\xc2\x9b\xff\0\xe2\x28Z", 13};
    struct record record;
    verified_begin(f);
    record_put_text(&record, key, text_of("?"));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        verified_put(f, tables[i], key, &record);
    verified_commit(f);
    verified_expect(f, "products: the record A%1b[31m%c2%9b%ff/%e2(Z is damaged");
    verified_expect(f, "lines: A%1b[31m%c2%9b%ff/%e2(Z is not what the journal says");
    for (const char *at = f->report; *at != '\0';) {
        size_t bytes = *at == '\n' ? 1 : text_printable(at, strlen(at));
        if (bytes == 0)
            fail_msg("not fit to print: %s", at);
        at += bytes;
    }
}

/* ---- pages ---- */

static void pages_that_contradict_each_other(void **state)
{
    struct verified *f = *state;
    char path[160];
    snprintf(path, sizeof path, "%s/data.mdb", f->directory);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    off_t size = size_of(f, "data.mdb");
    assert_true(fd >= 0 && size > 16384);
    for (off_t at = 8192; at < size; at += 4096) /* all but the metas */
        assert_int_equal(pwrite(fd, "\xff\xff", 2, at + 10), 2);
    close(fd);
    verified_expect(f, "pages: the tables in ");
    assert_non_null(strstr(f->report, "are damaged: page "));
    assert_non_null(strstr(f->report, "events: 15 entries, seq 1..17: ok\n"));
    struct sample sample;
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_non_null(lmdb_store_why_rebuilt(sample.store));
    sample_close(&sample);
    verified_expect_whole(f);
}

/* LMDB writes its meta pages through a descriptor of their own. */
static int descriptor_of_metas(void)
{
    for (int fd = 3; fd < 1024; fd++) {
        char target[160];
        char name[32];
        int flags = fcntl(fd, F_GETFL);
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(name, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        if (flags >= 0 && (flags & O_DSYNC) != 0 && strstr(target, "/data.mdb") != NULL)
            return fd;
    }
    return -1;
}

/* LMDB leaves half of a round there, which is not taken for damage; the journal has it. */
static void a_meta_page_that_could_not_be_written(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    for (unsigned round = 0; round < 4; round++) {
        char line[64];
        assert_true(sample_open(&sample, f->directory, UINT64_MAX));
        int broken = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(broken >= 0 && dup2(broken, descriptor_of_metas()) >= 0);
        close(broken);
        snprintf(line, sizeof line, "CreateBatch again-%u RED 1", round);
        assert_non_null(sample_ask(&sample, line));
        sample_close(&sample);
        verified_expect_whole(f);
    }
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_null(lmdb_store_why_rebuilt(sample.store));
    for (unsigned round = 0; round < 4; round++) {
        char line[64];
        char answer[64];
        snprintf(line, sizeof line, "GetBatch again-%u", round);
        snprintf(answer, sizeof answer, "ok RED again-%u:1/1:-", round);
        assert_string_equal(sample_ask(&sample, line), answer);
    }
    sample_close(&sample);
}

/* ---- the journal's files ---- */

/* Name of its one segment. */
static const char *segment(const struct verified *f)
{
    static char name[96];
    char path[160];
    snprintf(path, sizeof path, "%s/" DIRECTORY_JOURNAL, f->directory);
    DIR *names = opendir(path);
    const struct dirent *entry;
    name[0] = '\0';
    assert_non_null(names);
    while ((entry = readdir(names)) != NULL)
        if (strstr(entry->d_name, ".segment") != NULL)
            snprintf(name, sizeof name, DIRECTORY_JOURNAL "/%.64s", entry->d_name);
    closedir(names);
    assert_true(name[0] != '\0');
    return name;
}

static void a_damaged_journal(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    char path[256];
    char byte;
    snprintf(path, sizeof path, "%s/%s", f->directory, segment(f));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    const off_t places[] = {0, 40, 4096 + 8, 4096 + 200, 4096 + 1000};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assert_int_equal(pread(fd, &byte, 1, places[i]), 1);
        byte = (char)~byte;
        assert_int_equal(pwrite(fd, &byte, 1, places[i]), 1);
        verified_expect(f, "journal: ");
        assert_non_null(strstr(f->report, "damaged"));
        assert_null(strstr(f->report, "events:")); /* there is nothing to hold the tables against */
        assert_false(sample_open(&sample, f->directory, UINT64_MAX));
        assert_non_null(strstr(sample.error, "damaged"));
        sample_close(&sample);
        byte = (char)~byte;
        assert_int_equal(pwrite(fd, &byte, 1, places[i]), 1);
        verified_expect_whole(f);
    }
    close(fd);
}

/* The beginning of an entry that was never told to be durable. */
static void a_journal_whose_end_is_torn(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    struct stat status = {.st_size = 0};
    char path[256];
    unsigned char head[PART_HEAD_BYTES];
    snprintf(path, sizeof path, "%s/%s", f->directory, segment(f));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    off_t end = 4096;
    while (pread(fd, head, sizeof head, end) == sizeof head &&
           part_get_number(head, 8) == PART_MAGIC)
        end += (off_t)part_bytes((size_t)part_get_number(head + 36, 4));
    assert_true(end > 4096 && end + 100 < status.st_size);
    assert_int_equal(pwrite(fd, "alcdPart torn", 13, end), 13);
    close(fd);
    verified_expect_whole(f);
    assert_non_null(strstr(f->report, "journal: it ends in what was not written to its end"));
    verified_expect_whole(f); /* which it still does */
    assert_non_null(strstr(f->report, "journal: it ends in what was not written to its end"));
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_true(lmdb_store_has_cut(sample.store));
    sample_close(&sample);
    verified_expect_whole(f);
    assert_null(strstr(f->report, "journal: it ends"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, verified_set_up, verified_tear_down)
        TEST(a_whole_store_is_whole),
        TEST(a_start_that_died_is_no_damage),
        TEST(one_that_cannot_be_looked_at),
        TEST(files_that_are_missing),
        TEST(tables_that_are_behind_are_whole),
        TEST(names_are_fit_to_print),
        TEST(a_report_is_fit_to_print),
        TEST(pages_that_contradict_each_other),
        TEST(a_meta_page_that_could_not_be_written),
        TEST(a_damaged_journal),
        TEST(a_journal_whose_end_is_torn),
    };
    return cmocka_run_group_tests_name("lmdb_verify", tests, NULL, NULL);
}
