/* Tables that are written behind the journal, in rounds: that they are, that nobody notices, and
 * what a start finds and a failed group leaves. A round that was cut short is in
 * test_cut_rounds.c, and one for which there is no room in test_full_rounds.c. */
#include "tests/support/behind_store.h"
#include "tests/support/memory_store/store.h"
#include "tests/support/sample_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* `from` to `to` - 1, each in a unit of its own. */
static void allocate(struct contract *c, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        GROUP(c, contract_text(c, "Allocate o%u RED 1", i));
}

/* Totals of RED, by its record in the tables. */
static struct product_totals stored_totals(struct contract *c)
{
    struct behind_tables tables;
    struct product_record red = {.totals = {.version = 0}};
    struct text value;
    behind_open_tables(&tables, c);
    if (behind_get(&tables, "products", text_of("RED"), &value) == STORE_OK)
        assert_true(record_get_product(text_of("RED"), value, &red));
    behind_close_tables(&tables);
    return red.totals;
}

/* The seq under which the tables have a line of RED; 0: they have none. */
static uint64_t stored_line(struct contract *c, const char *orderid)
{
    struct behind_tables tables;
    struct key key = key_of_two(text_of(orderid), text_of("RED"));
    struct order_line line = {.seq = 0};
    struct text value;
    behind_open_tables(&tables, c);
    if (behind_get(&tables, "lines", key_text(&key), &value) == STORE_OK)
        assert_true(record_get_line(key_text(&key), value, &line));
    behind_close_tables(&tables);
    return line.seq;
}

static uint64_t events_behind(struct contract *c)
{
    struct store_figures figures;
    assert_int_equal(c->reader->ops->figures(c->reader, &figures), STORE_OK);
    return figures.events_behind;
}

/* Fails the test unless all answers are the same before and behind something. */
struct sameness {
    struct notation before;
    struct notation after;
};

static void note_all(struct contract *c, struct sameness *same)
{
    notation_clear(&same->before);
    contract_dump(c, &same->before);
}

static void expect_same(struct contract *c, struct sameness *same)
{
    notation_clear(&same->after);
    contract_dump(c, &same->after);
    assert_string_equal(notation_text(&same->after), notation_text(&same->before));
}

static void release(struct sameness *same)
{
    notation_release(&same->before);
    notation_release(&same->after);
}

/* ---- when tables are written ---- */

static void tables_stay_behind_and_catch_up(void **state)
{
    struct contract *c = *state;
    allocate(c, 0, 10);
    assert_int_equal(behind_counters(c).last_seq, 0);
    assert_int_equal(stored_totals(c).version, 0);
    assert_int_equal(events_behind(c), 12);
    EXPECT(c, "GetStock RED",
           "ok RED v12 available=140 b1:90/100:- b2:50/50:2030-01-01 exhausted=0");
    allocate(c, 10, 40);
    struct meta meta = behind_counters(c);
    struct product_totals red = stored_totals(c);
    assert_in_range(meta.last_seq, 20, 41);
    assert_int_equal(red.last_seq, meta.last_seq); /* what follows from the same entries */
    assert_int_equal(red.version, meta.last_seq);
    assert_int_equal(meta.entry, meta.last_seq - 1); /* the first one had two events */
    assert_int_equal(meta.journal, behind_store(c)->journal_id);
    EXPECT(c, "GetStock RED",
           "ok RED v42 available=110 b1:60/100:- b2:50/50:2030-01-01 exhausted=0");
}

static void a_start_does_not_forget_how_far_tables_have_come(void **state)
{
    struct contract *c = *state;
    allocate(c, 0, 40);
    struct meta meta = behind_counters(c);
    assert_true(meta.last_seq > 0);
    for (unsigned i = 0; i < 3; i++) {
        behind_crash(c);
        assert_null(lmdb_store_why_rebuilt(behind_store(c)));
        assert_true(behind_counters(c).entry >= meta.entry);
    }
    allocate(c, 40, 41);
    assert_true(behind_counters(c).entry >= meta.entry);
}

static void a_clean_stop_leaves_nothing_behind(void **state)
{
    struct contract *c = *state;
    allocate(c, 0, 5);
    assert_int_equal(events_behind(c), 7);
    contract_reopen(c);
    assert_int_equal(events_behind(c), 0);
    assert_int_equal(behind_counters(c).last_seq, 7);
    assert_int_equal(stored_totals(c).version, 7);
    allocate(c, 5, 30); /* while a round is under way */
    contract_reopen(c);
    assert_int_equal(events_behind(c), 0);
    assert_int_equal(behind_counters(c).last_seq, 32);
    assert_int_equal(stored_line(c, "o29"), 32);
}

/* What changes takes too much memory long before there are so many events. */
static void memory_makes_a_round_too(void **state)
{
    struct contract *c = *state;
    struct disk_store *disk = c->store;
    disk->options.events_behind = UINT64_MAX;
    disk->options.cache_bytes = 4096;
    contract_reopen(c);
    for (unsigned i = 0; i < 4000 && behind_counters(c).last_seq <= 5; i++)
        allocate(c, i, i + 1);
    assert_true(behind_counters(c).last_seq > 5);
}

/* ---- nobody notices ---- */

static void a_batch_is_exhausted_and_freed_behind_the_tables(void **state)
{
    struct contract *c = *state;
    contract_reopen(c);
    GROUP(c, "Allocate all RED 100");
    assert_int_equal(stored_totals(c).open, 2); /* as the order of use on disk has it */
    EXPECT(c, "GetStock RED", "ok RED v3 available=50 b2:50/50:2030-01-01 exhausted=1");
    GROUP(c, "Allocate next RED 10");
    EXPECT(c, "GetAllocations next", "ok RED:10:b2");
    contract_reopen(c);
    assert_int_equal(stored_totals(c).open, 1);
    GROUP(c, "ChangeBatchEta b2 2031-01-01");
    GROUP(c, "Deallocate all RED");
    assert_int_equal(stored_totals(c).open, 1);
    EXPECT(c, "GetStock RED",
           "ok RED v6 available=140 b1:100/100:- b2:40/50:2031-01-01 exhausted=0");
    behind_crash(c);
    EXPECT(c, "GetStock RED",
           "ok RED v6 available=140 b1:100/100:- b2:40/50:2031-01-01 exhausted=0");
}

static void lines_stay_behind_and_catch_up(void **state)
{
    struct contract *c = *state;
    GROUP(c, "Allocate z RED 1", "Allocate m RED 2");
    assert_int_equal(stored_line(c, "z"), 0);
    assert_int_equal(stored_line(c, "m"), 0);
    EXPECT(c, "GetAllocations m", "ok RED:2:b1");
    GROUP(c, "Allocate m RED 2");
    EXPECT(c, "figures", "seq=4 products=1 waiting=0"); /* it was there already */
    allocate(c, 0, 40);
    assert_int_equal(stored_line(c, "m"), 4);
    GROUP(c, "Deallocate m RED", "Deallocate z RED");
    EXPECT(c, "GetAllocations m", "not found");
    EXPECT(c, "GetAllocations z", "not found");
    assert_int_equal(stored_line(c, "m"), 4);
    assert_int_equal(stored_line(c, "z"), 3);
    allocate(c, 40, 80);
    assert_int_equal(stored_line(c, "m"), 0);
    assert_int_equal(stored_line(c, "z"), 0);
}

/* What is known of the largest key must not come from the table alone. */
static void the_largest_line_goes_behind_the_table(void **state)
{
    struct contract *c = *state;
    GROUP(c, "Allocate z RED 1");
    GROUP(c, "Deallocate z RED");
    contract_reopen(c);
    GROUP(c, "Allocate y RED 1");
    assert_int_equal(stored_line(c, "z"), 0);
    assert_int_equal(stored_line(c, "y"), 0);
    GROUP(c, "Deallocate y RED");
    GROUP(c, "Allocate y RED 5");
    EXPECT(c, "GetAllocations y", "ok RED:5:b1");
    EXPECT(c, "figures", "seq=7 products=1 waiting=0");
    behind_crash(c);
    GROUP(c, "Allocate y RED 5"); /* it is there */
    EXPECT(c, "figures", "seq=7 products=1 waiting=0");
    contract_reopen(c);
    assert_int_equal(stored_line(c, "y"), 7);
    GROUP(c, "Allocate y RED 5");
    EXPECT(c, "figures", "seq=7 products=1 waiting=0");
}

#define SKUS 30u

/* All lines of the order, or a page of them. */
static void expect_lines(struct contract *c, const char *orderid, const bool *has, unsigned after,
                         unsigned limit)
{
    struct notation expected = {0};
    unsigned count = 0;
    unsigned last = 0;
    bool is_there = false;
    notation_add(&expected, "ok");
    for (unsigned i = 0; i < SKUS; i++) {
        is_there = is_there || has[i];
        if (!has[i] || i <= after)
            continue;
        if (count++ < limit) {
            notation_add(&expected, " P%02u:1:b%02u", i, i);
            last = i;
        }
    }
    if (count > limit)
        notation_add(&expected, " next=P%02u", last);
    EXPECT(c, contract_text(c, "GetAllocations %s after=P%02u limit=%u", orderid, after, limit),
           is_there ? notation_text(&expected) : "not found");
    notation_release(&expected);
}

/* Lines that come and go, of orders that are neighbours, while some of each are in the table, some
 * are being written and some have changed since. */
static void an_order_is_read_from_all_places(void **state)
{
    struct contract *c = *state;
    static const char *const orders[] = {"m", "m!", "n"};
    bool has[3][SKUS] = {{false}};
    behind_set_events(c, 60); /* a round lasts for several units */
    for (unsigned i = 0; i < SKUS; i++)
        GROUP(c, contract_text(c, "CreateBatch b%02u P%02u 100", i, i));
    GROUP(c, "Allocate z P00 1");
    contract_reopen(c);
    unsigned random = 1;
    for (unsigned step = 0; step < 500; step++) {
        random = random * 1103515245u + 12345u;
        unsigned order = (random >> 16) % 3;
        unsigned sku = 1 + (random >> 20) % (SKUS - 1);
        has[order][sku] = !has[order][sku];
        GROUP(c, contract_text(c, has[order][sku] ? "Allocate %s P%02u 1" : "Deallocate %s P%02u",
                               orders[order], sku));
        if (step % 70 == 69)
            contract_reopen(c);
        if (step % 70 == 35)
            behind_crash(c);
        for (unsigned i = 0; i < 3; i++) {
            expect_lines(c, orders[i], has[i], 0, 100);
            expect_lines(c, orders[i], has[i], sku, 3);
        }
    }
}

/* ---- held against a store that has no tables ---- */

static void *create_memory(void)
{
    struct memory_store *store = memory_store_new();
    assert_non_null(store);
    return store;
}

static struct unit_of_work *unit_of_memory(void *store)
{
    return memory_store_unit(store);
}

static struct reader *reader_of_memory(void *store)
{
    return memory_store_reader(store);
}

static void destroy_memory(void *store)
{
    struct memory_store *memory = store;
    memory_store_destroy(&memory);
}

static const struct store_factory memory_factory = {.create = create_memory,
                                                    .unit = unit_of_memory,
                                                    .reader = reader_of_memory,
                                                    .destroy = destroy_memory};

/* A command of any kind, about few things, so that much happens to each. */
static const char *any_command(struct contract *c, unsigned *random)
{
    *random = *random * 1103515245u + 12345u;
    unsigned r = *random >> 8;
    unsigned sku = r / 16 % 4;
    unsigned order = r / 64 % 30;
    switch (r % 16) {
    case 0:
        return contract_text(c, "CreateBatch n%u P%u %u 20%02u-01-01", r / 64 % 200, sku, 1 + r % 9,
                             30 + r % 5);
    case 1:
    case 2:
        return contract_text(c, "ChangeBatchQuantity b%u %u", r / 64 % 8, r / 512 % 40);
    case 3:
        return contract_text(c, "ChangeBatchEta b%u 203%u-01-01", r / 64 % 8, r / 512 % 9);
    case 4:
    case 5:
    case 6:
    case 7:
        return contract_text(c, "Deallocate o%u P%u", order, sku);
    default:
        return contract_text(c, "Allocate o%u P%u %u id=i%u", order, sku, 1 + order % 7, r % 4096);
    }
}

static void all_is_read_as_if_there_were_no_tables(void **state)
{
    struct contract *c = *state;
    struct contract memory;
    unsigned random = 3;
    contract_open(&memory, &memory_factory);
    GROUP(&memory, "CreateBatch b1 RED 100", "CreateBatch b2 RED 50 2030-01-01");
    ((struct disk_store *)c->store)->options.cache_bytes = 1; /* products come from tables */
    for (unsigned i = 0; i < 8; i++) {
        const char *line = contract_text(c, "CreateBatch b%u P%u 20 203%u-01-01", i + 3, i % 4, i);
        GROUP(c, line);
        GROUP(&memory, line);
    }
    for (unsigned step = 0; step < 240; step++) {
        const char *lines[] = {any_command(c, &random), any_command(c, &random), NULL};
        contract_group(c, lines);
        contract_group(&memory, lines);
        if (step % 60 == 20) {
            behind_set_events(c, 1 + step % 17);
            contract_reopen(c);
        }
        if (step % 60 == 50)
            behind_crash(c);
        if (step % 6 == 0)
            contract_compare(c, &memory);
    }
    contract_close(&memory);
}

/* ---- replaying ---- */

static void replaying_again_changes_nothing(void **state)
{
    struct contract *c = *state;
    struct sameness same = {{0}, {0}};
    GROUP(c, "Allocate w RED 5000 id=w", "CreateBatch b3 BLUE 5 id=b3", "Allocate v BLUE 3 id=v");
    GROUP(c, "ChangeBatchQuantity b3 1 id=q"); /* which waits then */
    allocate(c, 0, 26);
    note_all(c, &same);
    for (unsigned i = 0; i < 4; i++) {
        behind_set_events(c, i < 2 ? 20 : 1000);
        behind_crash(c);
        expect_same(c, &same);
        EXPECT(c, "recall Allocate v BLUE 3 id=v", "ok seq=5 batchref=b3");
        EXPECT(c, "recall Allocate w RED 5000 id=w", "out_of_stock seq=3");
    }
    release(&same);
}

static void a_start_without_tables_makes_the_same_ones(void **state)
{
    struct contract *c = *state;
    struct disk_store *disk = c->store;
    struct sameness same = {{0}, {0}};
    char path[128];
    allocate(c, 0, 50);
    GROUP(c, "ChangeBatchQuantity b1 10", "Deallocate o3 RED");
    note_all(c, &same);
    lmdb_store_close(&disk->store);
    snprintf(path, sizeof path, "%s/data.mdb", disk->directory);
    assert_int_equal(remove(path), 0);
    contract_reopen(c);
    expect_same(c, &same);
    release(&same);
}

/* ---- a group that failed ---- */

/* Does something of everything, and takes it back. */
static void fail_a_group(struct contract *c, unsigned i)
{
    contract_begin(c, 1);
    contract_run(c, contract_text(c, "CreateBatch never%u NEVER 5 id=never%u", i, i));
    contract_run(c, "ChangeBatchQuantity b1 3 id=less");
    contract_run(c, "Deallocate o0 RED id=gone");
    contract_run(c, "ChangeBatchEta b2 2029-01-01 id=eta");
    contract_run(c, "Allocate zz RED 1 id=line");
    contract_run(c, "Allocate zz NEVER 2 id=other");
    unit_rollback(c->unit);
}

static void a_group_that_failed_leaves_nothing(void **state)
{
    struct contract *c = *state;
    struct sameness same = {{0}, {0}};
    for (unsigned i = 0; i < 60; i++) { /* with rounds in all of their states */
        allocate(c, i, i + 1);
        if (i % 4 == 3)
            GROUP(c, contract_text(c, "ChangeBatchEta b2 2030-01-%02u", 1 + i % 28));
        note_all(c, &same);
        fail_a_group(c, i);
        expect_same(c, &same);
        EXPECT(c, contract_text(c, "recall CreateBatch never%u NEVER 5 id=never%u", i, i),
               "not found");
        if (i % 10 == 9) {
            fail_a_group(c, i);
            behind_crash(c);
            expect_same(c, &same);
        }
    }
    release(&same);
}

/* ---- tables that are not what they should be ---- */

/* Puts a record behind the back of the store, which is closed. */
static void put_behind(struct contract *c, const char *table, struct text key, MDB_val value)
{
    MDB_env *env;
    MDB_dbi dbi;
    MDB_val k = lmdb_val(key);
    MDB_txn *txn = behind_begin(&env, ((struct disk_store *)c->store)->directory, 0);
    assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &k, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* A product's record that says it has an event less than its counters, so that the next one cannot
 * follow. */
static void tables_that_contradict_the_journal_are_made_anew(void **state)
{
    struct contract *c = *state;
    struct sameness same = {{0}, {0}};
    struct behind_tables tables;
    struct product_record red;
    struct record record;
    struct text value;
    allocate(c, 0, 5);
    contract_reopen(c);
    behind_set_events(c, 1000);
    allocate(c, 5, 8);
    note_all(c, &same);
    behind_open_tables(&tables, c);
    assert_int_equal(behind_get(&tables, "products", text_of("RED"), &value), STORE_OK);
    assert_true(record_get_product(text_of("RED"), value, &red));
    red.totals.version++;
    record_put_product(&record, text_of("RED"), &red);
    put_behind(c, "products", text_of("RED"), (MDB_val){record.len, record.bytes});
    behind_close_tables(&tables);
    behind_crash(c);
    assert_non_null(lmdb_store_why_rebuilt(behind_store(c)));
    assert_non_null(strstr(lmdb_store_why_rebuilt(behind_store(c)), "do not follow from"));
    expect_same(c, &same);
    release(&same);
}

/* The record of a batch that its product carries is not read while it does. */
static void what_is_written_later_mends_a_damaged_batch(void **state)
{
    struct contract *c = *state;
    struct key key = key_of_two(text_of("RED"), text_of("b1"));
    lmdb_store_close(&((struct disk_store *)c->store)->store);
    put_behind(c, "batches", key_text(&key), lmdb_val(text_of("no record")));
    ((struct disk_store *)c->store)->options.check_bytes = 0;
    contract_reopen(c);
    assert_null(lmdb_store_why_rebuilt(behind_store(c)));
    GROUP(c, "Allocate all RED 100");
    allocate(c, 0, 40);
    EXPECT(c, "GetBatch b1", "ok RED b1:0/100:-");
    contract_reopen(c);
    assert_null(lmdb_store_why_rebuilt(behind_store(c)));
    EXPECT(c, "GetBatch b1", "ok RED b1:0/100:-");
    EXPECT(c, "GetStock RED", "ok RED v43 available=10 b2:10/50:2030-01-01 exhausted=1");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, behind_set_up, behind_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tables_stay_behind_and_catch_up),
        TEST(a_start_does_not_forget_how_far_tables_have_come),
        TEST(a_clean_stop_leaves_nothing_behind),
        TEST(memory_makes_a_round_too),
        TEST(a_batch_is_exhausted_and_freed_behind_the_tables),
        TEST(lines_stay_behind_and_catch_up),
        TEST(the_largest_line_goes_behind_the_table),
        TEST(an_order_is_read_from_all_places),
        TEST(all_is_read_as_if_there_were_no_tables),
        TEST(replaying_again_changes_nothing),
        TEST(a_start_without_tables_makes_the_same_ones),
        TEST(a_group_that_failed_leaves_nothing),
        TEST(tables_that_contradict_the_journal_are_made_anew),
        TEST(what_is_written_later_mends_a_damaged_batch),
    };
    return cmocka_run_group_tests_name("rounds", tests, NULL, NULL);
}
