/* allocd --verify: a whole store is whole, and each contradiction between its tables, with seals
 * that are right, is found and named. What is about the log is in test_log.c. */
#include "store/verify/inside.h"
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

/* ---- whole ones ---- */

static void a_whole_store_is_whole(void **state)
{
    struct verified *f = *state;
    verified_expect_whole(f);
    assert_non_null(strstr(f->report, "events: 1..17: ok\n"));
    assert_non_null(strstr(f->report, "replies: 13 remembered: ok\n"));
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

/* What a first start leaves that died at some point. */
static void a_start_that_died_is_no_damage(void **state)
{
    struct verified *f = *state;
    cut(f, "node.lock", 0);
    const off_t left[] = {8192, 4096, 100, 0};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        cut(f, "data.mdb", left[i]);
        verified_expect_whole(f);
        assert_int_equal(size_of(f, "data.mdb"), left[i]); /* nothing is changed */
        assert_int_equal(size_of(f, "node.lock"), 0);
    }
    remove_file(f, "data.mdb");
    verified_expect_whole(f);
    assert_int_equal(size_of(f, "data.mdb"), -1);
    remove_file(f, "lock.mdb");
    remove_file(f, "node.lock");
    verified_expect_whole(f);
    struct sample sample; /* and a node starts there */
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    sample_close(&sample);
    verified_expect_whole(f);
    assert_non_null(strstr(f->report, "events: 1..0: ok\n"));
}

static void one_that_cannot_be_looked_at(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_false(verified_report(f, f->directory));
    assert_non_null(strstr(f->report, "is in use by a node"));
    sample_close(&sample);
    assert_false(verified_report(f, "/nonexistent/store"));
    assert_non_null(strstr(f->report, "is not there"));
    assert_false(verified_report(f, "/"));
    assert_non_null(strstr(f->report, "is not the directory of a store"));
    cut(f, "data.mdb", 0);
    assert_false(verified_report(f, f->directory));
    assert_non_null(strstr(f->report, "is empty or gone"));
    remove_file(f, "data.mdb");
    assert_false(verified_report(f, f->directory));
    assert_non_null(strstr(f->report, "is empty or gone"));
    assert_false(sample_open(&sample, f->directory, UINT64_MAX));
    assert_non_null(strstr(sample.error, "is empty or gone"));
    sample_close(&sample);
}

/* ---- the tables ---- */

static void wrong_totals_and_counters(void **state)
{
    struct verified *f = *state;
    struct product_record red;
    struct record record;
    struct meta meta;
    verified_begin(f);
    assert_true(
        record_get_product(text_of("RED"), verified_get(f, "products", text_of("RED")), &red));
    red.totals.available++;
    record_put_product(&record, text_of("RED"), &red);
    verified_put(f, "products", text_of("RED"), &record);
    verified_drop(f, "products", text_of("GREEN"));
    meta = verified_get_meta(f);
    meta.waiting_lines = 7;
    meta.products = 4;
    meta.last_of_type[MESSAGE_ALLOCATED]--;
    verified_put_meta(f, meta);
    verified_commit_unstamped(f);
    verified_expect(f, "products: RED is not what the log says");
    verified_expect(f, "product GREEN is missing");
    verified_expect(f, "counters: 1 lines wait, not 7");
    verified_expect(f, "counters: there are 3 products, not 4");
    verified_expect(f, "counters: the newest events of each type are others");
}

static void wrong_batches(void **state)
{
    struct verified *f = *state;
    struct key key = key_of_two(text_of("RED"), text_of("b2"));
    struct key gone = key_of_two(text_of("BLUE"), text_of("b3"));
    struct key use = key_of_use(text_of("GREEN"), date_none(), 17);
    struct key other_use = key_of_use(text_of("GREEN"), date_none(), 16);
    struct key exhausted = key_of_use(text_of("RED"), date_none(), 1);
    struct batch batch;
    struct record record;
    verified_begin(f);
    assert_true(
        record_get_batch(key_text(&key), verified_get(f, "batches", key_text(&key)), &batch));
    batch.newest = 1;
    record_put_batch(&record, key_text(&key), &batch);
    verified_put(f, "batches", key_text(&key), &record);
    verified_drop(f, "batches", key_text(&gone));
    verified_drop(f, "use", key_text(&use));
    record_put_text(&record, key_text(&other_use), text_of("b4"));
    verified_put(f, "use", key_text(&other_use), &record);
    record_put_text(&record, key_text(&exhausted), text_of("b1"));
    verified_put(f, "use", key_text(&exhausted), &record);
    record_put_text(&record, text_of("b1"), text_of("BLUE"));
    verified_put(f, "refs", text_of("b1"), &record);
    verified_drop(f, "refs", text_of("b4"));
    verified_commit(f);
    verified_expect(f, "batches: RED/b2 is not what the log says");
    verified_expect(f, "batch b3 is missing");
    verified_expect(f, "in the order of use, batch b4 is missing");
    verified_expect(f, "order of use: RED////////////%01 is not what the log says");
    verified_expect(f, "references: b1 is not what the log says");
    verified_expect(f, "the SKU of batch b4 is missing");
}

/* Puts records under one key, each of which is wrong in one field, and expects that finding of
 * each; then the right one. */
static void expect_of_each(struct verified *f, const char *table, struct text key,
                           const struct record *wrong, size_t count, const struct record *right,
                           const char *finding)
{
    for (size_t i = 0; i <= count; i++) {
        verified_begin(f);
        verified_put(f, table, key, i < count ? &wrong[i] : right);
        verified_commit(f);
        if (i < count)
            verified_expect(f, finding);
    }
    verified_expect_whole(f);
}

static void each_field_of_a_batch(void **state)
{
    enum { FIELDS = 5 };
    struct verified *f = *state;
    struct key key = key_of_two(text_of("RED"), text_of("b2"));
    struct text k = key_text(&key);
    struct batch batch;
    struct record right;
    struct record wrong[FIELDS];
    verified_begin(f);
    assert_true(record_get_batch(k, verified_get(f, "batches", k), &batch));
    verified_commit_unstamped(f);
    struct batch batches[FIELDS] = {batch, batch, batch, batch, batch};
    batches[0].qty++;
    batches[1].eta.yyyymmdd++;
    batches[2].age++;
    batches[3].allocated++;
    batches[4].newest++;
    record_put_batch(&right, k, &batch);
    for (size_t i = 0; i < FIELDS; i++)
        record_put_batch(&wrong[i], k, &batches[i]);
    expect_of_each(f, "batches", k, wrong, FIELDS, &right,
                   "batches: RED/b2 is not what the log says");
}

static void each_field_of_a_product(void **state)
{
    enum { FIELDS = 12 };
    struct verified *f = *state;
    struct text key = text_of("RED");
    struct product_record red;
    struct product_record each[FIELDS];
    struct record right;
    struct record wrong[FIELDS];
    verified_begin(f);
    assert_true(record_get_product(key, verified_get(f, "products", key), &red));
    for (size_t i = 0; i < FIELDS; i++)
        each[i] = red;
    each[0].totals.version++;
    each[1].totals.last_seq++;
    each[2].totals.batches++;
    each[3].totals.open++;
    each[4].totals.available++;
    each[5].totals.waiting++;
    each[6].carried.ref = text_of("b1");
    each[7].carried.age++;
    each[8].carried.eta.yyyymmdd++;
    each[9].carried.qty++;
    each[10].carried.allocated++;
    each[11].carried.newest++;
    record_put_product(&right, key, &red);
    for (size_t i = 0; i < FIELDS; i++)
        record_put_product(&wrong[i], key, &each[i]);
    verified_commit_unstamped(f); /* the ref was LMDB's until now */
    expect_of_each(f, "products", key, wrong, FIELDS, &right,
                   "products: RED is not what the log says");
}

/* Its order, its quantity, and in the key its seq. */
static void each_field_of_a_waiting_line(void **state)
{
    struct verified *f = *state;
    struct key line_key = key_of_two(text_of("o3"), text_of("BLUE"));
    uint64_t seq;
    verified_begin(f);
    assert_true(
        record_get_line(key_text(&line_key), verified_get(f, "lines", key_text(&line_key)), &seq));
    verified_commit_unstamped(f);
    struct key key = key_of_waiting(text_of("BLUE"), seq);
    struct key other = key_of_waiting(text_of("BLUE"), seq + 1);
    struct text k = key_text(&key);
    struct record right;
    struct record wrong[2];
    record_put_waiting(&right, k, &(struct waiting_line){text_of("o3"), 6, seq});
    record_put_waiting(&wrong[0], k, &(struct waiting_line){text_of("o4"), 6, seq});
    record_put_waiting(&wrong[1], k, &(struct waiting_line){text_of("o3"), 7, seq});
    expect_of_each(f, "waiting", k, wrong, 2, &right, "is not what the log says");
    verified_begin(f);
    verified_drop(f, "waiting", k);
    record_put_waiting(&right, key_text(&other), &(struct waiting_line){text_of("o3"), 6, seq});
    verified_put(f, "waiting", key_text(&other), &right);
    verified_commit(f);
    verified_expect(f, "is not what the log says");
    verified_expect(f, "among those that wait, line o3/BLUE is missing");
}

static void wrong_lines(void **state)
{
    struct verified *f = *state;
    struct key moved = key_of_two(text_of("o1"), text_of("RED"));
    struct key gone = key_of_two(text_of("o2"), text_of("RED"));
    struct key extra = key_of_two(text_of("o7"), text_of("RED"));
    struct record record;
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val v;
    verified_begin(f);
    record_put_line(&record, key_text(&moved), 5);
    verified_put(f, "lines", key_text(&moved), &record);
    verified_drop(f, "lines", key_text(&gone));
    record_put_line(&record, key_text(&extra), 4);
    verified_put(f, "lines", key_text(&extra), &record);
    assert_int_equal(mdb_cursor_open(f->txn, verified_table(f, "waiting"), &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &k, &v, MDB_FIRST), 0);
    assert_int_equal(mdb_cursor_del(cursor, 0), 0);
    struct key waiting = key_of_waiting(text_of("RED"), 4);
    record_put_waiting(&record, key_text(&waiting), &(struct waiting_line){text_of("o1"), 10, 4});
    verified_put(f, "waiting", key_text(&waiting), &record);
    verified_commit(f);
    verified_expect(f, "lines: o1/RED is not what the log says");
    verified_expect(f, "line o2/RED is missing");
    verified_expect(f, "lines: o7/RED is not what the log says");
    verified_expect(f, "among those that wait, line o3/BLUE is missing");
    verified_expect(f, "waiting lines: RED////////%04 is not what the log says");
}

static void put_line(struct verified *f, const char *orderid, uint64_t seq)
{
    struct key key = key_of_two(text_of(orderid), text_of("RED"));
    struct record record;
    verified_begin(f);
    record_put_line(&record, key_text(&key), seq);
    if (seq != 0)
        verified_put(f, "lines", key_text(&key), &record);
    else
        verified_drop(f, "lines", key_text(&key));
    verified_commit(f);
}

/* The table may have any state that a line had since the events that all tables have; o3 was never
 * RED, o0 comes, o1 leaves and comes again, and o2 stays. */
static void lines_that_may_be_outdated(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    verified_expect_whole(f);
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_non_null(strstr(sample_ask(&sample, "Allocate o0 RED 1"), "ok seq=18"));
    assert_non_null(strstr(sample_ask(&sample, "Deallocate o1 RED"), "ok seq=19"));
    assert_non_null(strstr(sample_ask(&sample, "Allocate o1 RED 2"), "ok seq=20"));
    sample_close(&sample);
    verified_expect_whole(f);
    static const struct {
        const char *orderid;
        uint64_t seqs[4]; /* that the table may say, the last one from now on */
        uint64_t wrong;
    } each[] = {{"o0", {18, 0, 18, 0}, 19}, {"o1", {20, 0, 20, 0}, 18}, {"o1", {0, 20, 0, 20}, 19}};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        char finding[64];
        put_line(f, each[i].orderid, each[i].wrong);
        snprintf(finding, sizeof finding, "lines: %s/RED is not what the log says",
                 each[i].orderid);
        verified_expect(f, finding);
        for (size_t j = 0; j < 4; j++) {
            put_line(f, each[i].orderid, each[i].seqs[j]);
            verified_expect_whole(f);
        }
    }
    put_line(f, "o3", 20);
    verified_expect(f, "lines: o3/RED is not what the log says");
    put_line(f, "o3", 0);
    put_line(f, "o2", 0);
    verified_expect(f, "line o2/RED is missing");
}

/* A record under another key, with a seal that is right for where it was. */
static void a_broken_seal(void **state)
{
    static const struct {
        const char *table;
        const char *finding;
    } each[] = {
        {"products", "products: the record BLACK is damaged"},
        {"batches", "batches: the record BLACK is damaged"},
        {"use", "order of use: the record BLACK is damaged"},
        {"refs", "references: the record BLACK is damaged"},
        {"lines", "lines: the record BLACK is damaged"},
        {"waiting", "waiting lines: the record BLACK is damaged"},
    };
    struct verified *f = *state;
    struct record record;
    verified_begin(f);
    record_put_line(&record, text_of("o1"), 5);
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        verified_put(f, each[i].table, text_of("BLACK"), &record);
    verified_commit(f);
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        verified_expect(f, each[i].finding);
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
    static const char *const tables[] = {"products", "batches", "use", "refs", "lines", "waiting"};
    struct verified *f = *state;
    struct text key = {"A\x1b[31m\xc2\x9b\xff\0\xe2\x28Z", 13};
    struct record record;
    verified_begin(f);
    record_put_line(&record, key, 5);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        verified_put(f, tables[i], key, &record);
    verified_commit(f);
    verified_expect(f, "products: the record A%1b[31m%c2%9b%ff/%e2(Z is damaged");
    verified_expect(f, "lines: A%1b[31m%c2%9b%ff/%e2(Z is not what the log says");
    for (const char *at = f->report; *at != '\0';) {
        size_t bytes = *at == '\n' ? 1 : text_printable(at, strlen(at));
        if (bytes == 0)
            fail_msg("not fit to print: %s", at);
        at += bytes;
    }
}

/* ---- metas and pages ---- */

static void a_transaction_without_its_stamp(void **state)
{
    struct verified *f = *state;
    verified_begin(f);
    verified_drop(f, "refs", text_of("b4"));
    verified_commit_unstamped(f);
    verified_expect(f, "is not of the transaction that it names");
    struct sample sample;
    assert_false(sample_open(&sample, f->directory, 0));
    assert_non_null(strstr(sample.error, "is not of the transaction that it names"));
    sample_close(&sample);
}

/* LMDB writes its meta pages through a descriptor of their own. */
static int descriptor_of_metas(void)
{
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && (flags & O_DSYNC) != 0)
            return fd;
    }
    return -1;
}

/* LMDB leaves half of the transaction there, which is not taken for damage. */
static void a_meta_page_that_could_not_be_written(void **state)
{
    struct verified *f = *state;
    for (unsigned round = 0; round < 4; round++) {
        struct sample sample;
        char line[64];
        assert_true(sample_open(&sample, f->directory, UINT64_MAX));
        snprintf(line, sizeof line, "CreateBatch again-%u RED 1", round);
        assert_non_null(sample_ask(&sample, line));
        int broken = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(broken >= 0);
        assert_true(dup2(broken, descriptor_of_metas()) >= 0);
        close(broken);
        assert_null(sample_ask(&sample, "CreateBatch never RED 1 id=never"));
        sample_close(&sample);
        verified_expect_whole(f);
    }
    struct sample sample;
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_string_equal(sample_ask(&sample, "GetBatch again-3"), "ok RED again-3:1/1:-");
    assert_string_equal(sample_ask(&sample, "GetBatch never"), "unknown_batch never");
    sample_close(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, verified_set_up, verified_tear_down)
        TEST(a_whole_store_is_whole),
        TEST(a_start_that_died_is_no_damage),
        TEST(one_that_cannot_be_looked_at),
        TEST(wrong_totals_and_counters),
        TEST(wrong_batches),
        TEST(each_field_of_a_batch),
        TEST(each_field_of_a_product),
        TEST(each_field_of_a_waiting_line),
        TEST(wrong_lines),
        TEST(lines_that_may_be_outdated),
        TEST(a_broken_seal),
        TEST(names_are_fit_to_print),
        TEST(a_report_is_fit_to_print),
        TEST(a_transaction_without_its_stamp),
        TEST(a_meta_page_that_could_not_be_written),
    };
    return cmocka_run_group_tests_name("lmdb_verify", tests, NULL, NULL);
}
