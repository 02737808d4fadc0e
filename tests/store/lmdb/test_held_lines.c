/* The lines that a batch holds, the newest first, which stand in two logs and in a table: all are
 * found, and none that the batch has lost or that a round that was cut short had left there. */
#include "tests/support/behind_store.h"
#include "tests/support/sample_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* How many items the log of what is newer has, the log of the round, and the table. */
static void expect_places(struct contract *c, size_t newer, size_t older, size_t stored)
{
    struct lmdb_store *store = behind_store(c);
    MDB_stat stat;
    assert_int_equal(mdb_stat(store->tables.snapshot, store->tables.env.tables[TABLE_HELD], &stat),
                     0);
    assert_int_equal(store->tables.newer_held.count, newer);
    assert_int_equal(store->tables.older_held.count, older);
    assert_int_equal(stat.ms_entries, stored);
}

/* All that changed is in the table; no round is under way. */
static void write_all(struct contract *c)
{
    contract_reopen(c);
}

/* What changed is in a round from now on, whose end nobody has taken. */
static void begin_round(struct contract *c)
{
    contract_begin(c, 1); /* takes the end of one before, if there was one */
    unit_rollback(c->unit);
    store_begin_round(behind_store(c));
}

/* Lines in each of the three places, of two each. */
static void make_lines(struct contract *c)
{
    behind_set_events(c, 1000);
    GROUP(c, "Allocate o1 RED 1", "Allocate o2 RED 2");
    write_all(c);
    GROUP(c, "Allocate o3 RED 3", "Allocate o4 RED 4");
    begin_round(c);
}

static void the_newest_come_first(void **state)
{
    struct contract *c = *state;
    make_lines(c);
    contract_begin(c, 1); /* one that is open takes no end of a round */
    contract_run(c, "Allocate o5 RED 5");
    contract_run(c, "Allocate o6 RED 6");
    EXPECT(c, "newest b1 1", "o6:6@8");
    EXPECT(c, "newest b1 6", "o6:6@8");
    EXPECT(c, "newest b1 7", "o6:6@8 o5:5@7");
    EXPECT(c, "newest b1 15", "o6:6@8 o5:5@7 o4:4@6");
    EXPECT(c, "newest b1 16", "o6:6@8 o5:5@7 o4:4@6 o3:3@5");
    EXPECT(c, "newest b1 21", "o6:6@8 o5:5@7 o4:4@6 o3:3@5 o2:2@4 o1:1@3");
    EXPECT(c, "newest b1 22", "damaged"); /* it does not hold so much */
    EXPECT(c, "newest b2 1", "damaged");
    contract_commit(c);
    write_all(c);
    expect_places(c, 0, 0, 6);
    EXPECT(c, "newest b1 21", "o6:6@8 o5:5@7 o4:4@6 o3:3@5 o2:2@4 o1:1@3");
}

static void each_place_alone(void **state)
{
    struct contract *c = *state;
    static const char *const all = "o2:2@4 o1:1@3";
    behind_set_events(c, 1000);
    write_all(c);
    GROUP(c, "Allocate o1 RED 1", "Allocate o2 RED 2");
    expect_places(c, 2, 0, 0);
    EXPECT(c, "newest b1 3", all);
    contract_begin(c, 1);
    store_begin_round(behind_store(c));
    expect_places(c, 0, 2, 0);
    EXPECT(c, "newest b1 3", all);
    projector_wait(behind_store(c)->projector);
    EXPECT(c, "newest b1 3", all);
    unit_rollback(c->unit);
    EXPECT(c, "newest b1 3", all); /* which took the round's end */
    expect_places(c, 0, 0, 2);
}

/* Those that the batch has lost are in the logs and in the table still. */
static void those_that_are_gone_are_left_out(void **state)
{
    struct contract *c = *state;
    make_lines(c);
    contract_begin(c, 1);
    contract_run(c, "Allocate o5 RED 5");
    contract_run(c, "Allocate o6 RED 6");
    contract_run(c, "Deallocate o2 RED"); /* of the table */
    contract_run(c, "Deallocate o4 RED"); /* of the round */
    contract_run(c, "Deallocate o6 RED"); /* of what is newer */
    EXPECT(c, "newest b1 9", "o5:5@7 o3:3@5 o1:1@3");
    contract_commit(c);
    write_all(c);
    expect_places(c, 0, 0, 3);
    EXPECT(c, "newest b1 9", "o5:5@7 o3:3@5 o1:1@3");
}

/* The same line again, in the same batch and in another one. */
static void those_that_came_back_are_there_once(void **state)
{
    struct contract *c = *state;
    make_lines(c);
    GROUP(c, "Deallocate o1 RED", "Deallocate o3 RED");
    GROUP(c, "Allocate o3 RED 3", "Allocate o1 RED 1");
    EXPECT(c, "newest b1 10", "o1:1@10 o3:3@9 o4:4@6 o2:2@4");
    behind_crash(c);
    EXPECT(c, "newest b1 10", "o1:1@10 o3:3@9 o4:4@6 o2:2@4");
    write_all(c);
    expect_places(c, 0, 0, 4);
    EXPECT(c, "newest b1 10", "o1:1@10 o3:3@9 o4:4@6 o2:2@4");
    GROUP(c, "ChangeBatchQuantity b1 3"); /* o1 fits in again, the others do not */
    EXPECT(c, "newest b1 3", "o1:1@17 o2:2@4");
    EXPECT(c, "newest b2 7", "o3:3@16 o4:4@15");
    write_all(c);
    expect_places(c, 0, 0, 4);
    EXPECT(c, "newest b1 3", "o1:1@17 o2:2@4");
    EXPECT(c, "newest b2 7", "o3:3@16 o4:4@15");
}

static void a_line_that_came_and_went_within_a_round(void **state)
{
    struct contract *c = *state;
    behind_set_events(c, 1000);
    write_all(c);
    GROUP(c, "Allocate o1 RED 1", "Allocate o2 RED 2", "Allocate o3 RED 3");
    GROUP(c, "Deallocate o2 RED");
    expect_places(c, 4, 0, 0);
    EXPECT(c, "newest b1 4", "o3:3@5 o1:1@3");
    begin_round(c);
    EXPECT(c, "newest b1 4", "o3:3@5 o1:1@3");
    write_all(c);
    expect_places(c, 0, 0, 2);
    EXPECT(c, "newest b1 4", "o3:3@5 o1:1@3");
}

/* Refs of which one is the beginning of the other, and that stand next to each other. */
static void each_batch_has_its_own(void **state)
{
    struct contract *c = *state;
    behind_set_events(c, 1000);
    GROUP(c, "CreateBatch b B 10", "CreateBatch b! C 10", "CreateBatch b10 D 10");
    GROUP(c, "Allocate o1 B 1", "Allocate o1 C 2", "Allocate o1 D 3", "Allocate o1 RED 4");
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(c, "newest b 1", "o1:1@6");
        EXPECT(c, "newest b! 2", "o1:2@7");
        EXPECT(c, "newest b10 3", "o1:3@8");
        EXPECT(c, "newest b1 4", "o1:4@9");
        if (i == 0)
            begin_round(c);
        else
            write_all(c);
    }
}

/* ---- a table that is newer than its counters ---- */

/* Puts a line into the table of those that a batch holds, behind the back of the store. */
static void put_stale(struct contract *c, const char *ref, uint64_t seq, const char *orderid)
{
    struct disk_store *disk = c->store;
    struct key key = key_of_held(text_of(ref), seq);
    struct record record;
    MDB_env *env;
    MDB_dbi held;
    MDB_val k = lmdb_val(key_text(&key));
    lmdb_store_close(&disk->store);
    MDB_txn *txn = behind_begin(&env, disk->directory, 0);
    record_put_text(&record, key_text(&key), text_of(orderid));
    MDB_val v = {record.len, record.bytes};
    assert_int_equal(mdb_dbi_open(txn, "held", 0, &held), 0);
    assert_int_equal(mdb_put(txn, held, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* As a round leaves them that was cut short: they are of events that the counters do not count, and
 * the journal says again that the batch got them. */
static void later_ones_of_the_table_are_passed_over(void **state)
{
    struct contract *c = *state;
    char copy[128];
    struct disk_store *disk = c->store;
    behind_set_events(c, 1000);
    GROUP(c, "Allocate o1 RED 1");
    write_all(c);
    GROUP(c, "Allocate o2 RED 2", "Allocate o3 RED 3");
    sample_directory_make(copy); /* whose tables lack o2 and o3 */
    sample_directory_copy(disk->directory, copy);
    lmdb_store_close(&disk->store);
    sample_directory_copy(copy, disk->directory);
    sample_directory_remove(copy);
    put_stale(c, "b1", 4, "o2");
    put_stale(c, "b1", 5, "o3");
    contract_reopen(c);
    assert_null(lmdb_store_why_rebuilt(behind_store(c)));
    expect_places(c, 2, 0, 3);
    EXPECT(c, "newest b1 6", "o3:3@5 o2:2@4 o1:1@3"); /* each once */
    EXPECT(c, "newest b1 7", "damaged");
    GROUP(c, "Deallocate o3 RED");
    EXPECT(c, "newest b1 3", "o2:2@4 o1:1@3");
    write_all(c);
    expect_places(c, 0, 0, 2);
    EXPECT(c, "newest b1 3", "o2:2@4 o1:1@3");
}

/* The table says that a batch got a line, and the line that it is in another one. */
static void a_contradiction_is_damage(void **state)
{
    struct contract *c = *state;
    behind_set_events(c, 1000);
    GROUP(c, "Allocate o1 RED 1");
    put_stale(c, "b2", 3, "o1");
    contract_reopen(c);
    EXPECT(c, "newest b2 1", "damaged");
    EXPECT(c, "newest b1 1", "o1:1@3");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, behind_set_up, behind_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_newest_come_first),
        TEST(each_place_alone),
        TEST(those_that_are_gone_are_left_out),
        TEST(those_that_came_back_are_there_once),
        TEST(a_line_that_came_and_went_within_a_round),
        TEST(each_batch_has_its_own),
        TEST(later_ones_of_the_table_are_passed_over),
        TEST(a_contradiction_is_damage),
    };
    return cmocka_run_group_tests_name("held_lines", tests, NULL, NULL);
}
