/* The LMDB store: the contract of every store, with room for all products in memory and with room
 * for none, and what is promised of files alone. */
#include "store/lmdb/env.h"
#include "store/lmdb/store.h"
#include "tests/support/disk_store.h"
#include "tests/support/fake_parts.h"
#include "tests/support/sample_store.h"
#include "tests/support/store_contract_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MAP_BYTES ((size_t)1024 * 1024 * 1024) /* valgrind cannot map much more */
#define CACHE_BYTES ((size_t)64 * 1024 * 1024)
#define IDS_KEPT 1000000

/* A refusal to open it, in one line. */
static void expect_refused(struct disk_store *disk, const char *reason)
{
    assert_false(disk_store_open(disk));
    if (strstr(disk->error, reason) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", disk->error, reason);
    assert_null(strchr(disk->error, '\n'));
    assert_non_null(strstr(disk->error, disk->directory));
}

/* ---- ids ---- */

/* Which of the ids i0 ... i<count - 1> are known, as a text of 0 and 1. */
static const char *known_ids(struct contract *c, unsigned count)
{
    char *known = (char *)(uintptr_t)contract_text(c, "%*s", (int)count, "");
    for (unsigned i = 0; i < count; i++) {
        const char *answer =
            contract_ask(c, contract_text(c, "recall Deallocate o%u RED id=i%u", i, i));
        assert_true(strcmp(answer, "invalid_sku seq=0") == 0 || strcmp(answer, "not found") == 0);
        known[i] = strcmp(answer, "not found") == 0 ? '0' : '1';
    }
    return known;
}

static void use_ids(struct contract *c, unsigned from, unsigned to)
{
    contract_begin(c, 1);
    for (unsigned i = from; i < to; i++)
        contract_run(c, contract_text(c, "Deallocate o%u RED id=i%u", i, i));
    contract_commit(c);
}

static void the_oldest_ids_are_forgotten(void **state)
{
    (void)state;
    struct contract c;
    disk_store_options.ids_kept = 10;
    contract_open(&c, &disk_store_factory);
    use_ids(&c, 0, 6);
    use_ids(&c, 6, 10);
    assert_string_equal(known_ids(&c, 12), "111111111100");
    use_ids(&c, 10, 13);
    assert_string_equal(known_ids(&c, 14), "00011111111110");
    contract_begin(&c, 1); /* none is lost to a unit that is rolled back */
    for (unsigned i = 13; i < 26; i++)
        contract_run(&c, contract_text(&c, "Deallocate o%u RED id=i%u", i, i));
    assert_string_equal(known_ids(&c, 27), "000" /* but these */ "11111111111111111111111"
                                           "0");
    unit_rollback(c.unit);
    for (int round = 0; round < 2; round++) {
        assert_string_equal(known_ids(&c, 14), "00011111111110");
        contract_reopen(&c);
    }
    use_ids(&c, 13, 40); /* in one unit more than are kept */
    for (int round = 0; round < 2; round++) {
        assert_string_equal(known_ids(&c, 41), "00000000000000000000000000000011111111110");
        contract_reopen(&c);
    }
    contract_begin(&c, 1); /* one that is forgotten can be used again, for another request */
    assert_int_equal(contract_run(&c, "CreateBatch b1 RED 5 id=i0"), OUTCOME_DONE);
    assert_int_equal(contract_run(&c, "CreateBatch b1 RED 5 id=i39"), OUTCOME_ID_REUSED);
    contract_commit(&c);
    EXPECT(&c, "recall CreateBatch b1 RED 5 id=i0", "ok seq=1");
    contract_close(&c);
    disk_store_options.ids_kept = IDS_KEPT;
}

static void fewer_ids_are_kept_after_a_change_of_the_limit(void **state)
{
    (void)state;
    struct contract c;
    contract_open(&c, &disk_store_factory);
    use_ids(&c, 0, 20);
    ((struct disk_store *)c.store)->options.ids_kept = 5;
    contract_reopen(&c);
    use_ids(&c, 20, 21);
    assert_string_equal(known_ids(&c, 22), "0000000000000000111110");
    contract_reopen(&c);
    assert_string_equal(known_ids(&c, 22), "0000000000000000111110");
    contract_close(&c);
}

/* ---- opening ---- */

static void a_directory_is_made_for_its_owner_alone(void **state)
{
    (void)state;
    struct disk_store *disk = disk_store_create();
    lmdb_store_close(&disk->store);
    struct disk_store inner = {.options = disk->options};
    snprintf(inner.directory, sizeof inner.directory, "%.50s/inner", disk->directory);
    inner.options.directory = inner.directory;
    assert_true(disk_store_open(&inner));
    struct stat status;
    assert_int_equal(stat(inner.directory, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    lmdb_store_close(&inner.store);

    struct disk_store nowhere = inner;
    snprintf(nowhere.directory, sizeof nowhere.directory, "%.50s/no/such", disk->directory);
    nowhere.options.directory = nowhere.directory;
    expect_refused(&nowhere, "No such file");
    snprintf(nowhere.directory, sizeof nowhere.directory, "%.40s/node.lock", disk->directory);
    expect_refused(&nowhere, "Not a directory");

    sample_directory_remove(inner.directory);
    disk_store_destroy(disk);
}

static void a_second_node_is_refused(void **state)
{
    (void)state;
    struct contract c;
    contract_open(&c, &disk_store_factory);
    GROUP(&c, "CreateBatch b1 RED 5");
    struct disk_store second = *(struct disk_store *)c.store;
    second.store = NULL;
    expect_refused(&second, "in use by another node");
    GROUP(&c, "CreateBatch b2 RED 5"); /* the first one goes on */
    EXPECT(&c, "GetStock RED", "ok RED v2 available=10 b1:5/5:- b2:5/5:- exhausted=0");
    lmdb_store_close(&((struct disk_store *)c.store)->store);
    assert_true(disk_store_open(&second)); /* as soon as the first has gone */
    lmdb_store_close(&second.store);
    contract_close(&c);
}

static void expect_elsewhere(struct disk_store *disk, const char *why)
{
    assert_false(lmdb_store_is_in_place(disk->store, disk->error));
    assert_non_null(strstr(disk->error, disk->directory));
    if (strstr(disk->error, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", disk->error, why);
}

static void a_store_knows_whether_it_is_in_its_place(void **state)
{
    (void)state;
    struct disk_store *disk = disk_store_create();
    char elsewhere[96];
    char file[128];
    char other[128];
    snprintf(elsewhere, sizeof elsewhere, "%s.moved", disk->directory);
    snprintf(file, sizeof file, "%s/data.mdb", disk->directory);
    snprintf(other, sizeof other, "%s/other", disk->directory);
    assert_true(lmdb_store_is_in_place(disk->store, disk->error));
    assert_int_equal(rename(disk->directory, elsewhere), 0);
    expect_elsewhere(disk, "cannot be found any more");
    assert_int_equal(mkdir(disk->directory, 0700), 0);
    expect_elsewhere(disk, "was replaced by another one");
    assert_int_equal(rmdir(disk->directory), 0);
    assert_int_equal(rename(elsewhere, disk->directory), 0);
    assert_true(lmdb_store_is_in_place(disk->store, disk->error)); /* it came back */
    assert_int_equal(rename(file, other), 0);
    expect_elsewhere(disk, "data.mdb cannot be found any more");
    assert_int_equal(symlink("node.lock", file), 0);
    expect_elsewhere(disk, "data.mdb was replaced by another file");
    assert_int_equal(rename(other, file), 0);
    assert_true(lmdb_store_is_in_place(disk->store, disk->error));
    disk_store_destroy(disk);
}

/* ---- its end ---- */

/* What was submitted is in the journal, whether anybody heard of it or not. */
static void a_unit_under_way_is_not_lost_by_the_end(void **state)
{
    (void)state;
    struct contract c;
    contract_open(&c, &disk_store_factory);
    GROUP(&c, "CreateBatch b1 RED 5");
    assert_int_equal(unit_begin(c.unit, 1), STORE_OK);
    contract_run(&c, "Allocate o1 RED 2");
    assert_int_equal(unit_submit(c.unit, false), STORE_OK);
    struct disk_store *disk = c.store;
    lmdb_store_close(&disk->store);
    assert_true(disk_store_open(disk));
    c.unit = lmdb_store_unit(disk->store);
    c.reader = lmdb_store_reader(disk->store);
    EXPECT(&c, "GetAllocations o1", "ok RED:2:b1");
    contract_close(&c);
}

/* ---- a full store ---- */

/* Groups of one batch each, until the tables have no room for what the journal has. */
static unsigned fill_tables(struct contract *c)
{
    enum store_result result = STORE_OK;
    unsigned filled = 0;
    for (; filled < 100000; filled++) {
        result = unit_begin(c->unit, 1);
        if (result != STORE_OK)
            break;
        struct product *product;
        struct text body;
        struct event event = build_event(contract_text(c, "BatchCreated x%u 1 -", filled));
        assert_int_equal(unit_product(c->unit, text_of("RED"), &product), STORE_OK);
        assert_int_equal(unit_append(c->unit, product, &event, &body), STORE_OK);
        assert_int_equal(unit_commit(c->unit), STORE_OK);
        arena_reset(c->arena);
    }
    assert_int_equal(result, STORE_FULL);
    return filled;
}

static void full_tables_take_nothing_and_go_on_with_more_room(void **state)
{
    (void)state;
    struct contract c;
    disk_store_options.map_size_bytes = (size_t)1024 * 1024;
    contract_open(&c, &disk_store_factory);
    GROUP(&c, "CreateBatch b1 RED 5", "Allocate o1 RED 1 id=i1");
    unsigned filled = fill_tables(&c);
    assert_true(filled > 1000);
    const char *stock = contract_text(&c, "seq=%u products=1 waiting=0", 2 + filled);
    EXPECT(&c, "figures", stock);
    assert_int_equal(unit_begin(c.unit, 1), STORE_FULL); /* nothing is lost by it */
    EXPECT(&c, "figures", stock);
    struct disk_store *disk = c.store;
    lmdb_store_close(&disk->store);
    /* Nor by a start, which has no room either, if it needs any: the last slices may have fitted.
     */
    if (disk_store_open(disk))
        lmdb_store_close(&disk->store);
    else
        assert_non_null(strstr(disk->error, "no space left"));
    disk->options.map_size_bytes = MAP_BYTES;
    assert_true(disk_store_open(disk));
    c.unit = lmdb_store_unit(disk->store);
    c.reader = lmdb_store_reader(disk->store);
    EXPECT(&c, "figures", stock);
    GROUP(&c, "Allocate o2 RED 1");
    EXPECT(&c, "GetAllocations o2", "ok RED:1:b1");
    contract_close(&c);
    disk_store_options.map_size_bytes = MAP_BYTES;
}

/* ---- damage ---- */

/* Tables follow from the journal. */
static void tables_that_were_cut_are_made_anew(void **state)
{
    (void)state;
    struct contract c;
    contract_open(&c, &disk_store_factory);
    for (unsigned i = 0; i < 20; i++)
        GROUP(&c, contract_text(&c, "CreateBatch b%u RED 5", i));
    struct disk_store *disk = c.store;
    lmdb_store_close(&disk->store);
    char path[128];
    snprintf(path, sizeof path, "%s/data.mdb", disk->directory);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    off_t size = status.st_size;
    const off_t cuts[] = {0, 1, 100, 4095, 4096, 5000, 8191, 8192, size / 2, size - 4096, size - 1};
    unsigned rebuilt = 0;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        assert_int_equal(truncate(path, cuts[i]), 0);
        if (!disk_store_open(disk))
            fail_msg("cut at %lld: %s", (long long)cuts[i], disk->error);
        rebuilt += lmdb_store_why_rebuilt(disk->store) != NULL;
        c.unit = lmdb_store_unit(disk->store);
        c.reader = lmdb_store_reader(disk->store);
        EXPECT(&c, "figures", "seq=20 products=1 waiting=0");
        EXPECT(&c, "GetBatch b19", "ok RED b19:5/5:-");
        lmdb_store_close(&disk->store);
    }
    assert_true(rebuilt >= sizeof cuts / sizeof *cuts - 3); /* an empty one is a new one */
    assert_int_equal(unlink(path), 0);
    assert_true(disk_store_open(disk));
    c.unit = lmdb_store_unit(disk->store);
    c.reader = lmdb_store_reader(disk->store);
    EXPECT(&c, "figures", "seq=20 products=1 waiting=0");
    contract_close(&c);
}

static void a_store_without_its_journal_is_refused(void **state)
{
    (void)state;
    struct contract c;
    contract_open(&c, &disk_store_factory);
    GROUP(&c, "CreateBatch b1 RED 5");
    struct disk_store *disk = c.store;
    lmdb_store_close(&disk->store);
    char journal[128];
    char elsewhere[128];
    snprintf(journal, sizeof journal, "%s/journal", disk->directory);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", disk->directory);
    assert_int_equal(rename(journal, elsewhere), 0);
    expect_refused(disk, "has no journal");
    assert_int_equal(mkdir(journal, 0700), 0); /* nor is an empty one made into a new one */
    expect_refused(disk, "damaged");
    assert_int_equal(rmdir(journal), 0);
    assert_int_equal(rename(elsewhere, journal), 0);
    assert_true(disk_store_open(disk));
    contract_close(&c);
}

/* One record, as it is and as it was made. */
struct damage {
    const char *table;
    char key[512];
    size_t key_len;
    char value[2048];
    size_t value_len;
};

/* Opens the file itself, behind the back of the store, which is closed. */
static MDB_env *open_file(const struct disk_store *disk)
{
    MDB_env *env;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
    assert_int_equal(mdb_env_set_mapsize(env, MAP_BYTES), 0);
    assert_int_equal(mdb_env_open(env, disk->directory, MDB_NOSYNC, 0600), 0);
    return env;
}

/* Puts bytes in the place of the record's value. */
static void write_value(const struct disk_store *disk, const struct damage *record,
                        const char *value, size_t len)
{
    MDB_env *env = open_file(disk);
    MDB_txn *txn;
    MDB_dbi table;
    MDB_val k = {record->key_len, (void *)(uintptr_t)record->key};
    MDB_val v = {len, (void *)(uintptr_t)value};
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, record->table, 0, &table), 0);
    assert_int_equal(mdb_put(txn, table, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* Record `index` of a table; false: it has not so many. */
static bool read_record(const struct disk_store *disk, const char *name, unsigned index,
                        struct damage *out)
{
    MDB_env *env = open_file(disk);
    MDB_txn *txn;
    MDB_dbi table;
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val v;
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, name, 0, &table), 0);
    assert_int_equal(mdb_cursor_open(txn, table, &cursor), 0);
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
    for (unsigned i = 0; i < index && rc == 0; i++)
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    *out = (struct damage){.table = name};
    if (rc == 0) {
        assert_true(k.mv_size <= sizeof out->key && v.mv_size <= sizeof out->value);
        out->key_len = k.mv_size;
        out->value_len = v.mv_size;
        memcpy(out->key, k.mv_data, k.mv_size);
        memcpy(out->value, v.mv_data, v.mv_size);
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return rc == 0;
}

/* Every record of this store is behind one of the questions. */
static const char *const contents[] = {
    "CreateBatch b1 RED 10 id=i1", "CreateBatch b2 RED 5 2030-01-01",
    "CreateBatch b3 BLUE 5",       "Allocate o1 RED 4 id=i2",
    "Allocate o2 RED 6",           "Allocate o2 BLUE 5",
    "ChangeBatchQuantity b3 4",    "ChangeBatchEta b2 2029-01-01",
    "Allocate o3 RED 99 id=i3",    "Allocate o4 RED 1",
    "Deallocate o1 RED",           NULL};

static const char *const questions[] = {"figures",
                                        "bodies",
                                        "ListProducts",
                                        "GetStock RED",
                                        "GetStock BLUE",
                                        "GetStock LATER",
                                        "ListBatches RED",
                                        "ListBatches BLUE",
                                        "ListBatches LATER",
                                        "GetBatch b1",
                                        "GetBatch b2",
                                        "GetBatch b3",
                                        "GetBatch b4",
                                        "GetAllocations o2",
                                        "GetAllocations o4",
                                        "GetAllocations o1",
                                        "product RED",
                                        "product BLUE",
                                        "product LATER",
                                        "batch b1",
                                        "batch b2",
                                        "batch b3",
                                        "batch b4",
                                        "line o2 RED",
                                        "line o2 BLUE",
                                        "line o4 RED",
                                        "line o1 RED",
                                        "newest b1 6",
                                        "newest b2 1",
                                        "recall CreateBatch b1 RED 10 id=i1",
                                        "recall Allocate o1 RED 4 id=i2",
                                        "recall Allocate o3 RED 99 id=i3",
                                        "recall Deallocate o1 RED id=i2"};

#define QUESTIONS (sizeof questions / sizeof *questions)

struct damaged_store {
    struct contract contract;
    struct disk_store *disk;
    char *answers[QUESTIONS]; /* of the whole store */
    unsigned rebuilt;
    unsigned noticed;
};

/* More events than are looked at when a store is opened, so that older ones are found later. */
static void fill_log(struct contract *c)
{
    contract_begin(c, 1);
    contract_run(c, "CreateBatch b4 LATER 5");
    for (unsigned i = 0; i < 150; i++) {
        contract_run(c, "Allocate o9 LATER 5");
        contract_run(c, "Deallocate o9 LATER");
    }
    contract_commit(c);
}

/* Returns how many answers say that there is damage; all others are right. */
static unsigned ask_all(struct damaged_store *damaged, const struct damage *record)
{
    struct contract *c = &damaged->contract;
    unsigned noticed = 0;
    c->unit = lmdb_store_unit(damaged->disk->store);
    c->reader = lmdb_store_reader(damaged->disk->store);
    for (size_t i = 0; i < QUESTIONS; i++) {
        const char *answer = contract_ask(c, questions[i]);
        if (strstr(answer, "damaged") != NULL)
            noticed++;
        else if (strcmp(answer, damaged->answers[i]) != 0)
            fail_msg("%s: %s => %s", record->table, questions[i], answer);
    }
    return noticed;
}

/* With this value in the record the tables are made anew. Where they are too large to be looked at
 * as a whole, every answer is right or says that there is damage, and one of them does, if they
 * were not made anew all the same. */
static void try_value(struct damaged_store *damaged, const struct damage *record, const char *value,
                      size_t len)
{
    struct disk_store *disk = damaged->disk;
    write_value(disk, record, value, len);
    disk->options.check_bytes = 0;
    assert_true(disk_store_open(disk));
    unsigned noticed = ask_all(damaged, record);
    bool is_rebuilt = lmdb_store_why_rebuilt(disk->store) != NULL;
    if ((noticed > 0) == is_rebuilt)
        fail_msg("%u noticed a damaged record of %s", noticed, record->table);
    *(is_rebuilt ? &damaged->rebuilt : &damaged->noticed) += 1;
    lmdb_store_close(&disk->store);
    write_value(disk, record, value, len);
    disk->options.check_bytes = UINT64_MAX;
    assert_true(disk_store_open(disk));
    assert_non_null(lmdb_store_why_rebuilt(disk->store));
    assert_int_equal(ask_all(damaged, record), 0);
    lmdb_store_close(&disk->store);
    arena_reset(damaged->contract.arena);
}

static void try_record(struct damaged_store *damaged, const struct damage *record,
                       const struct damage *neighbour)
{
    char value[sizeof record->value + 1];
    for (size_t at = 0; at < record->value_len; at += at < 12 ? 1 : 7) {
        memcpy(value, record->value, record->value_len);
        value[at] = (char)(value[at] ^ 1 << at % 8);
        try_value(damaged, record, value, record->value_len);
    }
    memcpy(value, record->value, record->value_len);
    value[record->value_len] = 0;
    try_value(damaged, record, value, record->value_len + 1);
    try_value(damaged, record, value, record->value_len - 1);
    try_value(damaged, record, value, 5);
    try_value(damaged, record, value, 0);
    if (neighbour != NULL) /* a whole record, in the wrong place */
        try_value(damaged, record, neighbour->value, neighbour->value_len);
}

static void damaged_records_are_noticed(void **state)
{
    (void)state;
    enum { RECORDS_MAX = 8 }; /* of a table */
    static const char *const tables[] = {
#define TABLE(upper, lower, what) #lower,
        LMDB_TABLES(TABLE)
#undef TABLE
    };
    struct damaged_store damaged = {.rebuilt = 0};
    struct contract *c = &damaged.contract;
    disk_store_options.ids_kept = 100; /* so that it is opened fast */
    contract_open(c, &disk_store_factory);
    damaged.disk = c->store;
    contract_group(c, contents);
    fill_log(c);
    for (size_t i = 0; i < QUESTIONS; i++)
        damaged.answers[i] = strdup(contract_ask(c, questions[i]));
    lmdb_store_close(&damaged.disk->store);
    for (size_t table = 0; table < sizeof tables / sizeof *tables; table++) {
        struct damage record;
        struct damage neighbour = {.table = NULL};
        unsigned index = 0;
        for (; index < RECORDS_MAX; index++) {
            if (!read_record(damaged.disk, tables[table], index, &record))
                break;
            try_record(&damaged, &record, neighbour.table != NULL ? &neighbour : NULL);
            neighbour = record;
        }
        assert_true(index > 0); /* no table is left out */
    }
    print_message("%u rebuilt, %u noticed\n", damaged.rebuilt, damaged.noticed);
    assert_true(damaged.rebuilt > 0 && damaged.noticed > 0);
    assert_true(disk_store_open(damaged.disk)); /* all is as it was */
    c->unit = lmdb_store_unit(damaged.disk->store);
    c->reader = lmdb_store_reader(damaged.disk->store);
    for (size_t i = 0; i < QUESTIONS; i++) {
        EXPECT(c, questions[i], damaged.answers[i]);
        free(damaged.answers[i]);
    }
    contract_close(c);
    disk_store_options.ids_kept = IDS_KEPT;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_ids_are_forgotten),
        cmocka_unit_test(fewer_ids_are_kept_after_a_change_of_the_limit),
        cmocka_unit_test(a_directory_is_made_for_its_owner_alone),
        cmocka_unit_test(a_second_node_is_refused),
        cmocka_unit_test(a_store_knows_whether_it_is_in_its_place),
        cmocka_unit_test(a_unit_under_way_is_not_lost_by_the_end),
        cmocka_unit_test(full_tables_take_nothing_and_go_on_with_more_room),
        cmocka_unit_test(tables_that_were_cut_are_made_anew),
        cmocka_unit_test(a_store_without_its_journal_is_refused),
        cmocka_unit_test(damaged_records_are_noticed),
    };
    int failed = store_contract_run("lmdb_store", &disk_store_factory);
    disk_store_options.cache_bytes = 1; /* nothing stays in memory from one unit to the next */
    failed += store_contract_run("lmdb_store_without_a_cache", &disk_store_factory);
    disk_store_options.cache_bytes = CACHE_BYTES;
    return failed + cmocka_run_group_tests_name("lmdb_files", tests, NULL, NULL);
}
