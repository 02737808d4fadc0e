/* Rounds for which the tables have no room: nothing is lost by them, a part of one is in the
 * tables, and they are written once there is room. */
#include "tests/support/behind_store.h"
#include "tests/support/sample_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define SMALL_MAP_BYTES ((size_t)512 * 1024)

static uint64_t events_behind(struct contract *c)
{
    struct store_figures figures;
    assert_int_equal(c->reader->ops->figures(c->reader, &figures), STORE_OK);
    return figures.events_behind;
}

/* Asks for a unit until there is one, which is as soon as the round is tried again. */
static void begin_with_room(struct contract *c)
{
    time_t deadline = time(NULL) + 60;
    enum store_result result;
    while ((result = unit_begin(c->unit, 1)) == STORE_FULL && time(NULL) < deadline)
        assert_true(result == STORE_FULL);
    assert_int_equal(result, STORE_OK);
}

/* LMDB takes another size only while nobody reads, so this reads nothing meanwhile. */
static void set_map_size(struct lmdb_store *store, size_t bytes)
{
    mdb_txn_reset(store->tables.snapshot);
    assert_int_equal(mdb_env_set_mapsize(store->tables.env.env, bytes), 0);
    assert_int_equal(tables_refresh(&store->tables), STORE_OK);
}

static void a_round_without_room_is_tried_again(void **state)
{
    struct contract *c = *state;
    struct notation before = {0};
    struct notation after = {0};
    unsigned filled = 0;
    ((struct disk_store *)c->store)->options.map_size_bytes = SMALL_MAP_BYTES;
    contract_reopen(c);
    behind_store(c)->rounds.events = 3000;
    for (; unit_begin(c->unit, 1) == STORE_OK; filled++) {
        contract_run(c, contract_text(c, "CreateBatch x%u X%u 5 id=x%u", filled, filled, filled));
        contract_run(c, contract_text(c, "Allocate y%u X%u 2", filled, filled));
        contract_commit(c);
        assert_true(filled < 100000);
    }
    assert_true(filled > 1000);
    EXPECT(c, "figures",
           contract_text(c, "seq=%u products=%u waiting=0", 2 + 2 * filled, filled + 1));
    EXPECT(c, contract_text(c, "GetAllocations y%u", filled - 1),
           contract_text(c, "ok X%u:2:x%u", filled - 1, filled - 1));
    uint64_t behind = events_behind(c);
    assert_true(behind >= 3000);
    behind_store(c)->is_stale = true; /* as after a group that was lost */
    EXPECT(c, contract_text(c, "GetAllocations y%u", filled - 1),
           contract_text(c, "ok X%u:2:x%u", filled - 1, filled - 1));
    assert_int_equal(unit_begin(c->unit, 1), STORE_FULL);
    set_map_size(behind_store(c), SAMPLE_MAP_BYTES);
    begin_with_room(c);
    contract_run(c, "Allocate last RED 1");
    contract_commit(c);
    projector_wait(behind_store(c)->projector);
    GROUP(c, "Deallocate last RED");
    assert_true(events_behind(c) < behind);
    EXPECT(c, contract_text(c, "GetAllocations y%u", filled - 1),
           contract_text(c, "ok X%u:2:x%u", filled - 1, filled - 1));
    ((struct disk_store *)c->store)->options.map_size_bytes = SAMPLE_MAP_BYTES;
    contract_dump(c, &before);
    behind_crash(c);
    contract_dump(c, &after);
    assert_string_equal(notation_text(&after), notation_text(&before));
    notation_release(&before);
    notation_release(&after);
}

/* A round of which some slices are there, and then a group that fails: all is applied again to what
 * the tables have now. */
static void a_group_that_fails_behind_half_a_round(void **state)
{
    struct contract *c = *state;
    unsigned filled = 0;
    ((struct disk_store *)c->store)->options.map_size_bytes = SMALL_MAP_BYTES;
    contract_reopen(c);
    behind_store(c)->rounds.events = 5000;
    GROUP(c, "Allocate o0 RED 5", "Allocate o1 RED 60", "Allocate o2 RED 30");
    for (; events_behind(c) < 8000; filled++)
        GROUP(c, contract_text(c, "CreateBatch x%u X%u 5", filled, filled),
              contract_text(c, "Allocate y%u X%u 2 id=y%u", filled, filled, filled));
    projector_wait(behind_store(c)->projector);
    contract_begin(c, 1);
    assert_int_equal(behind_store(c)->projected.entry, 1);
    assert_true(behind_store(c)->rounds.retry_ms > 0); /* it did not come to its end */
    assert_int_equal(contract_run(c, "ChangeBatchQuantity b1 10"), OUTCOME_DONE);
    set_map_size(behind_store(c), SAMPLE_MAP_BYTES);
    unit_rollback(c->unit);
    for (unsigned i = 0; i < filled; i += 97) {
        EXPECT(c, contract_text(c, "GetAllocations y%u", i),
               contract_text(c, "ok X%u:2:x%u", i, i));
        EXPECT(c, contract_text(c, "batch x%u", i),
               contract_text(c, "X%u x%u:3/5:- age=%u", i, i, 6 + 2 * i));
        EXPECT(c, contract_text(c, "newest x%u 2", i), contract_text(c, "y%u:2@%u", i, 7 + 2 * i));
        EXPECT(c, contract_text(c, "recall Allocate y%u X%u 2 id=y%u", i, i, i),
               contract_text(c, "ok seq=%u batchref=x%u", 7 + 2 * i, i));
    }
    EXPECT(c, "newest b1 95", "o2:30@5 o1:60@4 o0:5@3");
    EXPECT(c, "figures",
           contract_text(c, "seq=%u products=%u waiting=0", 5 + 2 * filled, filled + 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, behind_set_up, behind_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_round_without_room_is_tried_again),
        TEST(a_group_that_fails_behind_half_a_round),
    };
    return cmocka_run_group_tests_name("full_rounds", tests, NULL, NULL);
}
