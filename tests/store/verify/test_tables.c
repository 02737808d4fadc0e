/* allocd --verify: each contradiction between the tables and the journal, with seals that are
 * right, is found and named. */
#include "tests/support/verified_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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
    verified_commit(f);
    verified_expect(f, "products: RED is not what the journal says");
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
    batch.age = 1;
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
    verified_expect(f, "batches: RED/b2 is not what the journal says");
    verified_expect(f, "batch b3 is missing");
    verified_expect(f, "in the order of use, batch b4 is missing");
    verified_expect(f, "order of use: RED////////////%01 is not what the journal says");
    verified_expect(f, "references: b1 is not what the journal says");
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
    enum { FIELDS = 4 };
    struct verified *f = *state;
    struct key key = key_of_two(text_of("RED"), text_of("b2"));
    struct text k = key_text(&key);
    struct batch batch;
    struct record right;
    struct record wrong[FIELDS];
    verified_begin(f);
    assert_true(record_get_batch(k, verified_get(f, "batches", k), &batch));
    verified_commit(f);
    struct batch batches[FIELDS] = {batch, batch, batch, batch};
    batches[0].qty++;
    batches[1].eta.yyyymmdd++;
    batches[2].age++;
    batches[3].allocated++;
    record_put_batch(&right, k, &batch);
    for (size_t i = 0; i < FIELDS; i++)
        record_put_batch(&wrong[i], k, &batches[i]);
    expect_of_each(f, "batches", k, wrong, FIELDS, &right,
                   "batches: RED/b2 is not what the journal says");
}

static void each_field_of_a_product(void **state)
{
    enum { FIELDS = 11 };
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
    record_put_product(&right, key, &red);
    for (size_t i = 0; i < FIELDS; i++)
        record_put_product(&wrong[i], key, &each[i]);
    verified_commit(f); /* the ref was LMDB's until now */
    expect_of_each(f, "products", key, wrong, FIELDS, &right,
                   "products: RED is not what the journal says");
}

/* Its order, its quantity, and in the key its seq. */
static void each_field_of_a_waiting_line(void **state)
{
    struct verified *f = *state;
    const uint64_t seq = 11;
    struct key key = key_of_waiting(text_of("BLUE"), seq);
    struct key other = key_of_waiting(text_of("BLUE"), seq + 1);
    struct text k = key_text(&key);
    struct record right;
    struct record wrong[2];
    record_put_waiting(&right, k, &(struct waiting_line){text_of("o3"), 6, seq});
    record_put_waiting(&wrong[0], k, &(struct waiting_line){text_of("o4"), 6, seq});
    record_put_waiting(&wrong[1], k, &(struct waiting_line){text_of("o3"), 7, seq});
    expect_of_each(f, "waiting", k, wrong, 2, &right, "is not what the journal says");
    verified_begin(f);
    verified_drop(f, "waiting", k);
    record_put_waiting(&right, key_text(&other), &(struct waiting_line){text_of("o3"), 6, seq});
    verified_put(f, "waiting", key_text(&other), &right);
    verified_commit(f);
    verified_expect(f, "is not what the journal says");
    verified_expect(f, "among those that wait, line o3/BLUE is missing");
}

/* A line of RED as a record has it. */
static struct order_line line_of(const char *orderid, uint32_t qty, uint64_t seq,
                                 const char *batchref)
{
    return (struct order_line){.orderid = text_of(orderid),
                               .sku = text_of("RED"),
                               .qty = qty,
                               .batchref = batchref != NULL ? text_of(batchref) : text_none(),
                               .seq = seq};
}

static void put_line(struct verified *f, const struct order_line *line)
{
    struct key key = key_of_two(line->orderid, line->sku);
    struct record record;
    record_put_line(&record, key_text(&key), line);
    verified_put(f, "lines", key_text(&key), &record);
}

static void wrong_lines(void **state)
{
    struct verified *f = *state;
    struct key gone = key_of_two(text_of("o2"), text_of("RED"));
    struct order_line extra = line_of("o7", 1, 4, "b1");
    struct record record;
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val v;
    verified_begin(f);
    verified_drop(f, "lines", key_text(&gone));
    put_line(f, &extra);
    assert_int_equal(mdb_cursor_open(f->txn, verified_table(f, "waiting"), &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &k, &v, MDB_FIRST), 0);
    assert_int_equal(mdb_cursor_del(cursor, 0), 0);
    struct key waiting = key_of_waiting(text_of("RED"), 4);
    record_put_waiting(&record, key_text(&waiting), &(struct waiting_line){text_of("o1"), 10, 4});
    verified_put(f, "waiting", key_text(&waiting), &record);
    verified_commit(f);
    verified_expect(f, "line o2/RED is missing");
    verified_expect(f, "lines: o7/RED is not what the journal says");
    verified_expect(f, "among those that wait, line o3/BLUE is missing");
    verified_expect(f, "waiting lines: RED////////%04 is not what the journal says");
}

/* Its quantity, its seq and its batch. */
static void each_field_of_a_line(void **state)
{
    enum { FIELDS = 4 };
    struct verified *f = *state;
    struct key key = key_of_two(text_of("o1"), text_of("RED"));
    const struct order_line right_line = line_of("o1", 10, 4, "b1");
    const struct order_line lines[FIELDS] = {line_of("o1", 9, 4, "b1"), line_of("o1", 10, 5, "b1"),
                                             line_of("o1", 10, 4, "b2"),
                                             line_of("o1", 10, 4, NULL)};
    struct record right;
    struct record wrong[FIELDS];
    record_put_line(&right, key_text(&key), &right_line);
    for (size_t i = 0; i < FIELDS; i++)
        record_put_line(&wrong[i], key_text(&key), &lines[i]);
    expect_of_each(f, "lines", key_text(&key), wrong, FIELDS, &right,
                   "lines: o1/RED is not what the journal says");
}

static void put_held(struct verified *f, const char *ref, uint64_t seq, const char *orderid)
{
    struct key key = key_of_held(text_of(ref), seq);
    struct record record;
    record_put_text(&record, key_text(&key), text_of(orderid));
    verified_put(f, "held", key_text(&key), &record);
}

static void drop_held(struct verified *f, const char *ref, uint64_t seq)
{
    struct key key = key_of_held(text_of(ref), seq);
    verified_drop(f, "held", key_text(&key));
}

/* b1 holds o1 since seq 4. */
static void wrong_lines_of_batches(void **state)
{
    static const struct {
        const char *ref;
        uint64_t seq;
        const char *orderid;
    } wrong[] = {{"b1", 5, "o1"}, {"b1", 4, "o2"}, {"b2", 4, "o1"},
                 {"b9", 4, "o1"}, {"b1", 4, "o9"}, {"b3", 11, "o3"} /* which waits */};
    struct verified *f = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        verified_begin(f);
        drop_held(f, "b1", 4);
        put_held(f, wrong[i].ref, wrong[i].seq, wrong[i].orderid);
        verified_commit(f);
        verified_expect(f, "lines of batches: b");
        assert_non_null(strstr(f->report, " is not what the journal says"));
        assert_non_null(strstr(f->report, "among those of its batch, line o1/RED is missing"));
        verified_begin(f);
        drop_held(f, wrong[i].ref, wrong[i].seq);
        put_held(f, "b1", 4, "o1");
        verified_commit(f);
        verified_expect_whole(f);
    }
}

/* Keys that are none of a line of a batch. */
static void keys_that_are_no_lines_of_batches(void **state)
{
    static const struct text keys[] = {{"b1", 2}, {"b1\0abcdefg", 10}, {"b1\0abcdefghi", 12}};
    struct verified *f = *state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct record record;
        record_put_text(&record, keys[i], text_of("o1"));
        verified_begin(f);
        verified_put(f, "held", keys[i], &record);
        verified_commit(f);
        verified_expect(f, "lines of batches: b1");
        verified_begin(f);
        verified_drop(f, "held", keys[i]);
        verified_commit(f);
    }
    verified_expect_whole(f);
}

/* Of events that the counters do not count: a round that was cut short leaves them, and each is
 * told from one that is wrong by what the journal has behind the counters. */
static void lines_of_batches_that_are_later(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    char copy[128];
    sample_directory_make(copy);
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_non_null(strstr(sample_ask(&sample, "Allocate o0 RED 1"), "ok seq=18"));
    assert_non_null(strstr(sample_ask(&sample, "Deallocate o0 RED"), "ok seq=19"));
    sample_directory_copy(f->directory, copy);
    sample_close(&sample);
    sample_directory_copy(copy, f->directory);
    sample_directory_remove(copy);
    verified_begin(f);
    put_held(f, "b2", 18, "o0");
    verified_commit(f);
    verified_expect_whole(f);
    verified_begin(f);
    drop_held(f, "b2", 16); /* an older one that is gone is missing */
    verified_commit(f);
    verified_expect(f, "among those of its batch, line o2/RED is missing");
    verified_begin(f);
    put_held(f, "b2", 16, "o2");
    put_held(f, "b2", 19, "o0"); /* and one that never was there is wrong */
    verified_commit(f);
    verified_expect(f, "lines of batches: b2/");
}

/* ---- remembered replies ---- */

static void each_field_of_a_remembered_reply(void **state)
{
    enum { FIELDS = 6 };
    struct verified *f = *state;
    struct key key = key_of_number(3);
    struct remembered reply;
    struct record right;
    struct record wrong[FIELDS];
    verified_begin(f);
    struct text value = verified_get(f, "remembered", key_text(&key));
    assert_true(record_get_remembered(key_text(&key), value, &reply));
    assert_true(text_equal(reply.id, text_of("i4")) && text_equal(reply.batchref, text_of("b1")));
    struct remembered replies[FIELDS] = {reply, reply, reply, reply, reply, reply};
    replies[0].id = text_of("i5");
    replies[1].request++;
    replies[2].outcome = OUTCOME_OUT_OF_STOCK;
    replies[3].duplicate = true;
    replies[4].seq++;
    replies[5].batchref = text_of("b2");
    record_put_remembered(&right, key_text(&key), &reply);
    for (size_t i = 0; i < FIELDS; i++)
        record_put_remembered(&wrong[i], key_text(&key), &replies[i]);
    verified_commit(f);
    expect_of_each(f, "remembered", key_text(&key), wrong, FIELDS, &right,
                   "remembered replies: ///////%03 is not what the journal says");
}

static void replies_that_are_too_many_or_missing(void **state)
{
    struct verified *f = *state;
    struct key first = key_of_number(0);
    struct key another = key_of_number(1000);
    struct remembered reply;
    struct record record;
    struct text value;
    verified_begin(f);
    struct meta meta = verified_get_meta(f);
    assert_int_equal(meta.ids_first, 0);
    assert_int_equal(meta.ids_next, 13);
    value = verified_get(f, "remembered", key_text(&first));
    assert_true(record_get_remembered(key_text(&first), value, &reply));
    record_put_remembered(&record, key_text(&another), &reply);
    verified_put(f, "remembered", key_text(&another), &record);
    verified_commit(f);
    verified_expect(f, "remembered replies: //////%03%e8 is not what the journal says");
    verified_begin(f);
    verified_drop(f, "remembered", key_text(&another));
    meta.ids_first = 1; /* the oldest one was forgotten */
    verified_put_meta(f, meta);
    verified_commit(f);
    verified_expect(f, "remembered replies: //////// is not what the journal says");
    verified_begin(f);
    verified_drop(f, "remembered", key_text(&first));
    verified_commit(f);
    verified_expect_whole(f);
    verified_begin(f);
    struct key second = key_of_number(1);
    verified_drop(f, "remembered", key_text(&second));
    verified_commit(f);
    verified_expect_whole(f); /* a round that was cut short may have gone so far */
    verified_begin(f);
    struct key sixth = key_of_number(5);
    verified_drop(f, "remembered", key_text(&sixth));
    verified_commit(f);
    verified_expect(f, "do not follow from its journal");
}

/* ---- records ---- */

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
        {"held", "lines of batches: the record BLACK is damaged"},
        {"waiting", "waiting lines: the record BLACK is damaged"},
    };
    struct verified *f = *state;
    struct record record;
    verified_begin(f);
    record_put_text(&record, text_of("o1"), text_of("WHITE"));
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        verified_put(f, each[i].table, text_of("BLACK"), &record);
    verified_commit(f);
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        verified_expect(f, each[i].finding);
}

/* ---- counters ---- */

/* Each by itself: the newest event and its time, replies, products and waiting lines. */
static void each_counter(void **state)
{
    static const char *const findings[] = {
        "counters: the newest event is 17, not 17, or of another time",
        "counters: the newest events of each type are others",
        "counters: there are 3 products, not 4",
        "counters: 1 lines wait, not 2",
    };
    struct verified *f = *state;
    verified_begin(f);
    const struct meta right = verified_get_meta(f);
    verified_commit(f);
    struct meta each[4] = {right, right, right, right};
    each[0].last_time_ms++;
    each[1].last_of_type[MESSAGE_BATCH_CREATED] = 0;
    each[2].products++;
    each[3].waiting_lines++;
    for (size_t i = 0; i < 4; i++) {
        verified_begin(f);
        verified_put_meta(f, each[i]);
        verified_commit(f);
        verified_expect(f, findings[i]);
        assert_non_null(strstr(f->report, "is damaged: 1 finding\n"));
    }
    verified_begin(f);
    verified_put_meta(f, right);
    verified_commit(f);
    verified_expect_whole(f);
}

/* Counters that say of entries or replies what the journal does not. */
static void counters_that_are_not_of_the_journal(void **state)
{
    static const struct {
        int entry, seq, ids;
        const char *finding;
    } rows[] = {{-1, -1, 0, "replies: there are 13, and the counters say 14"},
                {-1, 0, 0, "do not follow from its journal"},
                {1, 0, 0, "do not follow from its journal"},
                {0, 0, 1, "do not follow from its journal"},
                {0, 0, -1, "replies: there are 13, and the counters say 12"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct verified *f = *state;
        struct sample sample;
        verified_begin(f);
        struct meta meta = verified_get_meta(f);
        meta.entry += (uint64_t)rows[i].entry;
        meta.last_seq += (uint64_t)rows[i].seq;
        meta.ids_next += (uint64_t)rows[i].ids;
        verified_put_meta(f, meta);
        verified_commit(f);
        verified_expect(f, rows[i].finding);
        bool is_open = sample_open(&sample, f->directory, UINT64_MAX);
        if (rows[i].entry > 0) /* the journal lacks what these say to have */
            assert_non_null(strstr(sample.error, "its journal has lost what its tables have"));
        assert_int_equal(is_open, rows[i].entry <= 0);
        sample_close(&sample);
        verified_tear_down(state);
        verified_set_up(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, verified_set_up, verified_tear_down)
        TEST(wrong_totals_and_counters),
        TEST(wrong_batches),
        TEST(each_field_of_a_batch),
        TEST(each_field_of_a_product),
        TEST(each_field_of_a_waiting_line),
        TEST(wrong_lines),
        TEST(each_field_of_a_line),
        TEST(wrong_lines_of_batches),
        TEST(keys_that_are_no_lines_of_batches),
        TEST(lines_of_batches_that_are_later),
        TEST(each_field_of_a_remembered_reply),
        TEST(replies_that_are_too_many_or_missing),
        TEST(a_broken_seal),
        TEST(each_counter),
        TEST(counters_that_are_not_of_the_journal),
    };
    return cmocka_run_group_tests_name("verify_tables", tests, NULL, NULL);
}
