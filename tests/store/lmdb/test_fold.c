/* Tables that are written behind the log: that they are, that nobody notices, and that a start
 * finds what they lack. */
#include "store/lmdb/env.h"
#include "tests/support/disk_store.h"
#include "tests/support/store_contract_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- what is on disk; the store is closed meanwhile, as LMDB wants it ---- */

struct behind {
    struct meta meta;
    struct product_totals red;
    char carried[8];       /* ref of the batch that its record carries */
    uint32_t in_carried;   /* allocated in it */
    uint32_t in_b1, in_b2; /* by their own records */
};

static MDB_txn *begin(MDB_env **env, const struct disk_store *disk, unsigned flags)
{
    MDB_txn *txn;
    assert_int_equal(mdb_env_create(env), 0);
    assert_int_equal(mdb_env_set_maxdbs(*env, LMDB_ENV_TABLES_MAX), 0);
    assert_int_equal(mdb_env_set_mapsize(*env, disk->options.map_size_bytes), 0);
    assert_int_equal(mdb_env_open(*env, disk->directory, flags | MDB_NOLOCK, 0600), 0);
    assert_int_equal(mdb_txn_begin(*env, NULL, flags & MDB_RDONLY, &txn), 0);
    return txn;
}

static struct text get(MDB_txn *txn, const char *table, const char *key)
{
    MDB_dbi dbi;
    struct text value = text_none();
    assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
    assert_int_equal(lmdb_get(txn, dbi, text_of(key), &value), STORE_OK);
    return value;
}

/* What is allocated in a batch by its own record. */
static uint32_t allocated_in(MDB_txn *txn, const char *key, size_t len)
{
    MDB_dbi dbi;
    struct text k = {key, len};
    struct text value;
    struct batch batch;
    assert_int_equal(mdb_dbi_open(txn, "batches", 0, &dbi), 0);
    assert_int_equal(lmdb_get(txn, dbi, k, &value), STORE_OK);
    assert_true(record_get_batch(k, value, &batch));
    return batch.allocated;
}

static struct behind look(struct contract *c)
{
    struct disk_store *disk = c->store;
    struct behind found = {.carried = ""};
    struct store_figures figures;
    struct product_record red;
    MDB_env *env;
    assert_int_equal(c->reader->ops->figures(c->reader, &figures), STORE_OK);
    lmdb_store_close(&disk->store);
    MDB_txn *txn = begin(&env, disk, MDB_RDONLY);
    assert_true(
        record_get_meta(text_of(LMDB_META_KEY), get(txn, "meta", LMDB_META_KEY), &found.meta));
    assert_int_equal(figures.events_behind, found.meta.last_seq - found.meta.folded_seq);
    assert_true(record_get_product(text_of("RED"), get(txn, "products", "RED"), &red));
    found.red = red.totals;
    if (!text_is_none(red.carried.ref)) {
        memcpy(found.carried, red.carried.ref.data, red.carried.ref.len);
        found.in_carried = red.carried.allocated;
    }
    found.in_b1 = allocated_in(txn, "RED\0b1", 6);
    found.in_b2 = allocated_in(txn, "RED\0b2", 6);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    contract_reopen(c);
    return found;
}

/* The seq under which the table has a line of RED; 0: it has none. */
static uint64_t stored_line(struct contract *c, const char *orderid)
{
    struct disk_store *disk = c->store;
    struct key key = key_of_two(text_of(orderid), text_of("RED"));
    struct text value;
    uint64_t seq = 0;
    MDB_env *env;
    MDB_dbi lines;
    lmdb_store_close(&disk->store);
    MDB_txn *txn = begin(&env, disk, MDB_RDONLY);
    assert_int_equal(mdb_dbi_open(txn, "lines", 0, &lines), 0);
    if (lmdb_get(txn, lines, key_text(&key), &value) == STORE_OK)
        assert_true(record_get_line(key_text(&key), value, &seq));
    mdb_txn_abort(txn);
    mdb_env_close(env);
    contract_reopen(c);
    return seq;
}

/* `from` to `to` - 1, each in a unit of its own. */
static void allocate(struct contract *c, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        GROUP(c, contract_text(c, "Allocate o%u RED 1", i));
}

static int set_up(void **state)
{
    static struct contract c;
    disk_store_options.events_behind = 20;
    contract_open(&c, &disk_store_factory);
    GROUP(&c, "CreateBatch b1 RED 100", "CreateBatch b2 RED 50 2030-01-01");
    *state = &c;
    return 0;
}

static int tear_down(void **state)
{
    contract_close(*state);
    disk_store_options.events_behind = 7;
    return 0;
}

/* ---- the tests ---- */

static void tables_stay_behind_and_catch_up(void **state)
{
    struct contract *c = *state;
    allocate(c, 0, 10);
    struct behind found = look(c);
    assert_int_equal(found.meta.last_seq, 12);
    assert_int_equal(found.meta.folded_seq, 0);
    assert_int_equal(found.red.last_seq, 2); /* of the second CreateBatch */
    EXPECT(c, "GetStock RED",
           "ok RED v12 available=140 b1:90/100:- b2:50/50:2030-01-01 exhausted=0");
    allocate(c, 10, 40);
    found = look(c);
    assert_int_equal(found.meta.last_seq, 42);
    assert_true(found.meta.folded_seq >= 20 && found.meta.folded_seq <= 42);
    assert_true(found.red.last_seq >= found.meta.folded_seq && found.red.last_seq < 42);
}

static void a_start_does_not_forget_how_far_tables_have_come(void **state)
{
    struct contract *c = *state;
    allocate(c, 0, 40);
    uint64_t folded = look(c).meta.folded_seq;
    assert_true(folded > 0);
    allocate(c, 40, 41);
    assert_true(look(c).meta.folded_seq >= folded);
}

static void what_has_to_be_written_at_once_brings_the_rest(void **state)
{
    struct contract *c = *state;
    allocate(c, 0, 5);
    GROUP(c, "ChangeBatchQuantity b2 60");
    assert_int_equal(look(c).red.last_seq, 8);
    allocate(c, 5, 7);
    assert_int_equal(look(c).red.last_seq, 8);
}

/* The order of use on disk still has a batch that is exhausted, and lacks one that is not. */
static void a_batch_is_exhausted_and_freed_behind_the_tables(void **state)
{
    struct contract *c = *state;
    GROUP(c, "Allocate all RED 100");
    assert_int_equal(look(c).red.open, 2);
    EXPECT(c, "GetStock RED", "ok RED v3 available=50 b2:50/50:2030-01-01 exhausted=1");
    GROUP(c, "Allocate next RED 10");
    EXPECT(c, "GetAllocations next", "ok RED:10:b2");
    GROUP(c, "ChangeBatchEta b2 2031-01-01");
    GROUP(c, "Deallocate all RED");
    assert_int_equal(look(c).red.open, 1);
    EXPECT(c, "GetStock RED",
           "ok RED v6 available=140 b1:100/100:- b2:40/50:2031-01-01 exhausted=0");
}

/* The figures of the first batch with stock are in its product's record and not in its own. */
static void a_product_carries_its_first_batch(void **state)
{
    struct contract *c = *state;
    allocate(c, 0, 40);
    struct behind found = look(c);
    assert_string_equal(found.carried, "b1");
    assert_true(found.in_carried >= 18);
    assert_int_equal(found.in_b1, 0);
    GROUP(c, "Allocate rest RED 60", "ChangeBatchEta b2 2031-01-01"); /* which writes it */
    found = look(c);
    assert_string_equal(found.carried, "b2");
    assert_int_equal(found.in_b1, 100);
    GROUP(c, "Allocate next RED 7", "ChangeBatchQuantity b2 49");
    found = look(c);
    assert_int_equal(found.in_carried, 7);
    assert_int_equal(found.in_b2, 0);
    EXPECT(c, "GetBatch b2", "ok RED b2:42/49:2031-01-01");
    GROUP(c, "Deallocate rest RED", "ChangeBatchEta b2 2032-01-01");
    found = look(c);
    assert_string_equal(found.carried, "b1");
    assert_int_equal(found.in_carried, 40);
    assert_int_equal(found.in_b1, 0);
    assert_int_equal(found.in_b2, 7);
    GROUP(c, "Allocate again RED 60", "Allocate last RED 42", "ChangeBatchQuantity b2 49");
    GROUP(c, "ChangeBatchEta b2 2033-01-01");
    found = look(c);
    assert_int_equal(found.red.open, 0);
    assert_string_equal(found.carried, "");
    assert_int_equal(found.in_b1, 100);
    assert_int_equal(found.in_b2, 49);
}

static void replaying_again_changes_nothing(void **state)
{
    struct contract *c = *state;
    struct notation before = {0};
    struct notation after = {0};
    allocate(c, 0, 30); /* in the middle of a round */
    contract_dump(c, &before);
    for (unsigned i = 0; i < 3; i++) {
        contract_reopen(c);
        notation_clear(&after);
        contract_dump(c, &after);
        assert_string_equal(notation_text(&after), notation_text(&before));
    }
    notation_release(&before);
    notation_release(&after);
}

static void a_round_that_has_begun_is_not_taken_for_ended(void **state)
{
    struct contract *c = *state;
    struct disk_store *disk = c->store;
    struct notation before = {0};
    struct notation after = {0};
    disk->options.events_behind = 80; /* more than are written with one unit */
    contract_reopen(c);
    for (unsigned i = 0; i < 40; i++)
        GROUP(c, contract_text(c, "CreateBatch p%u P%u 10", i, i));
    for (unsigned i = 0; i < 60; i++) {
        GROUP(c, contract_text(c, "Allocate o%u P%u 1", i, i % 40));
        if (i % 5 != 4) /* which comes once within a round, and once behind one */
            continue;
        notation_clear(&before);
        contract_dump(c, &before);
        contract_reopen(c);
        notation_clear(&after);
        contract_dump(c, &after);
        assert_string_equal(notation_text(&after), notation_text(&before));
    }
    assert_true(look(c).meta.folded_seq >= 80);
    notation_release(&before);
    notation_release(&after);
}

/* A product's record that says it has an event more than it has. */
static void tables_that_contradict_the_log_are_refused(void **state)
{
    struct contract *c = *state;
    struct disk_store *disk = c->store;
    struct product_record red;
    struct record record;
    MDB_env *env;
    MDB_dbi products;
    allocate(c, 0, 5);
    lmdb_store_close(&disk->store);
    disk->options.check_bytes = 0; /* the transaction below has no stamp of ours */
    MDB_txn *txn = begin(&env, disk, 0);
    assert_true(record_get_product(text_of("RED"), get(txn, "products", "RED"), &red));
    red.totals.version++;
    record_put_product(&record, text_of("RED"), &red);
    assert_int_equal(mdb_dbi_open(txn, "products", 0, &products), 0);
    assert_int_equal(lmdb_put(txn, products, text_of("RED"), &record), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    assert_false(disk_store_open(disk));
    assert_non_null(strstr(disk->error, "damaged"));
}

/* As the store does with each transaction. */
static void write_stamp(MDB_txn *txn)
{
    struct text key = text_of(LMDB_META_KEY);
    struct meta meta;
    struct record record;
    MDB_dbi table;
    assert_true(record_get_meta(key, get(txn, "meta", LMDB_META_KEY), &meta));
    meta.txn = mdb_txn_id(txn);
    record_put_meta(&record, key, &meta);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &table), 0);
    assert_int_equal(lmdb_put(txn, table, key, &record), 0);
}

/* Damages the record of a batch that its product carries, so that loading it does not show. */
static void spoil_carried_batch(struct contract *c)
{
    struct disk_store *disk = c->store;
    struct key key = key_of_two(text_of("RED"), text_of("b1"));
    MDB_val k = lmdb_val(key_text(&key));
    MDB_val v = lmdb_val(text_of("no record"));
    MDB_env *env;
    MDB_dbi batches;
    lmdb_store_close(&disk->store);
    disk->options.check_bytes = 0;
    MDB_txn *txn = begin(&env, disk, 0);
    assert_int_equal(mdb_dbi_open(txn, "batches", 0, &batches), 0);
    assert_int_equal(mdb_put(txn, batches, &k, &v, 0), 0);
    write_stamp(txn);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    contract_reopen(c);
}

static void a_write_that_fails_before_a_query_loses_the_unit(void **state)
{
    struct contract *c = *state;
    struct stock_view view;
    spoil_carried_batch(c);
    contract_begin(c, 1);
    assert_int_equal(contract_run(c, "ChangeBatchEta b1 2031-01-01"), OUTCOME_DONE);
    const struct get_stock query = {.sku = text_of("RED")};
    assert_int_equal(c->reader->ops->stock(c->reader, &query, c->arena, &view), STORE_FAILED);
    unit_rollback(c->unit);
    EXPECT(c, "GetStock RED",
           "ok RED v2 available=150 b1:100/100:- b2:50/50:2030-01-01 exhausted=0");
}

static void what_is_written_later_mends_a_damaged_batch(void **state)
{
    struct contract *c = *state;
    spoil_carried_batch(c);
    GROUP(c, "Allocate all RED 100");
    allocate(c, 0, 40);
    assert_true(look(c).red.last_seq > 20);
    EXPECT(c, "GetBatch b1", "ok RED b1:0/100:-");
    EXPECT(c, "GetStock RED", "ok RED v43 available=10 b2:10/50:2030-01-01 exhausted=1");
}

/* ---- lines ---- */

static void lines_stay_behind_and_catch_up(void **state)
{
    struct contract *c = *state;
    GROUP(c, "Allocate z RED 1", "Allocate m RED 2");
    assert_int_equal(stored_line(c, "z"), 0);
    assert_int_equal(stored_line(c, "m"), 0);
    EXPECT(c, "GetAllocations m", "ok RED:2:b1");
    GROUP(c, "Allocate m RED 2");
    assert_int_equal(look(c).meta.last_seq, 4); /* it was there already */
    allocate(c, 0, 40);
    assert_int_equal(stored_line(c, "m"), 4);
    GROUP(c, "Deallocate m RED", "Deallocate z RED");
    assert_int_equal(stored_line(c, "m"), 4);
    assert_int_equal(stored_line(c, "z"), 3);
    EXPECT(c, "GetAllocations m", "not found");
    EXPECT(c, "GetAllocations z", "not found");
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
    allocate(c, 0, 40);
    GROUP(c, "Allocate y RED 1");
    assert_int_equal(stored_line(c, "z"), 0);
    assert_int_equal(stored_line(c, "y"), 0);
    GROUP(c, "Deallocate y RED");
    GROUP(c, "Allocate y RED 5");
    EXPECT(c, "GetAllocations y", "ok RED:5:b1");
    uint64_t seq = look(c).meta.last_seq;
    EXPECT(c, "GetAllocations y", "ok RED:5:b1");
    allocate(c, 40, 80);
    EXPECT(c, "GetAllocations y", "ok RED:5:b1");
    assert_int_equal(stored_line(c, "y"), seq);
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
    struct disk_store *disk = c->store;
    static const char *const orders[] = {"m", "m!", "n"};
    bool has[3][SKUS] = {{false}};
    disk->options.events_behind = 60; /* a round lasts for several units */
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
        for (unsigned i = 0; i < 3; i++) {
            expect_lines(c, orders[i], has[i], 0, 100);
            expect_lines(c, orders[i], has[i], sku, 3);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tables_stay_behind_and_catch_up),
        TEST(a_start_does_not_forget_how_far_tables_have_come),
        TEST(what_has_to_be_written_at_once_brings_the_rest),
        TEST(a_batch_is_exhausted_and_freed_behind_the_tables),
        TEST(a_product_carries_its_first_batch),
        TEST(replaying_again_changes_nothing),
        TEST(a_round_that_has_begun_is_not_taken_for_ended),
        TEST(tables_that_contradict_the_log_are_refused),
        TEST(a_write_that_fails_before_a_query_loses_the_unit),
        TEST(what_is_written_later_mends_a_damaged_batch),
        TEST(lines_stay_behind_and_catch_up),
        TEST(the_largest_line_goes_behind_the_table),
        TEST(an_order_is_read_from_all_places),
    };
    return cmocka_run_group_tests_name("lmdb_fold", tests, NULL, NULL);
}
