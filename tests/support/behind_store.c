#include "tests/support/behind_store.h"

#include "tests/support/sample_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define EVENTS_BEHIND 20u

int behind_set_up(void **state)
{
    static struct contract c;
    uint64_t usual = disk_store_options.events_behind;
    disk_store_options.events_behind = EVENTS_BEHIND;
    contract_open(&c, &disk_store_factory);
    disk_store_options.events_behind = usual;
    GROUP(&c, "CreateBatch b1 RED 100", "CreateBatch b2 RED 50 2030-01-01");
    *state = &c;
    return 0;
}

int behind_tear_down(void **state)
{
    contract_close(*state);
    return 0;
}

struct lmdb_store *behind_store(struct contract *c)
{
    return ((struct disk_store *)c->store)->store;
}

void behind_set_events(struct contract *c, uint64_t events)
{
    ((struct disk_store *)c->store)->options.events_behind = events;
}

static void wait_for_round(struct contract *c)
{
    projector_wait(behind_store(c)->projector);
}

void behind_crash(struct contract *c)
{
    struct disk_store *disk = c->store;
    char copy[128];
    wait_for_round(c);
    sample_directory_make(copy);
    sample_directory_copy(disk->directory, copy);
    lmdb_store_close(&disk->store); /* whatever it writes now is gone with the next line */
    sample_directory_copy(copy, disk->directory);
    sample_directory_remove(copy);
    contract_reopen(c);
}

/* ---- the tables alone ---- */

MDB_txn *behind_begin(MDB_env **env, const char *directory, unsigned flags)
{
    MDB_txn *txn;
    assert_int_equal(mdb_env_create(env), 0);
    assert_int_equal(mdb_env_set_maxdbs(*env, TABLES), 0);
    assert_int_equal(mdb_env_set_mapsize(*env, disk_store_options.map_size_bytes), 0);
    assert_int_equal(mdb_env_open(*env, directory, flags | MDB_NOLOCK | MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(*env, NULL, flags & MDB_RDONLY, &txn), 0);
    return txn;
}

void behind_open_tables(struct behind_tables *out, struct contract *c)
{
    const struct disk_store *disk = c->store;
    wait_for_round(c);
    *out = (struct behind_tables){.contract = c};
    sample_directory_make(out->directory);
    sample_directory_copy(disk->directory, out->directory);
    out->txn = behind_begin(&out->env, out->directory, MDB_RDONLY);
}

void behind_close_tables(struct behind_tables *tables)
{
    mdb_txn_abort(tables->txn);
    mdb_env_close(tables->env);
    sample_directory_remove(tables->directory);
}

enum store_result behind_get(struct behind_tables *tables, const char *table, struct text key,
                             struct text *out)
{
    MDB_dbi dbi;
    assert_int_equal(mdb_dbi_open(tables->txn, table, 0, &dbi), 0);
    return lmdb_get(tables->txn, dbi, key, out);
}

struct meta behind_meta(struct behind_tables *tables)
{
    struct text key = text_of(LMDB_META_KEY);
    struct text value;
    struct meta meta = {.entry = 0};
    if (behind_get(tables, "meta", key, &value) == STORE_OK)
        assert_true(record_get_meta(key, value, &meta));
    return meta;
}

struct meta behind_counters(struct contract *c)
{
    struct behind_tables tables;
    behind_open_tables(&tables, c);
    struct meta meta = behind_meta(&tables);
    behind_close_tables(&tables);
    return meta;
}
