#include "tests/support/verified_store.h"

#include "store/verify/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* b1 is exhausted, b2 has stock, b3 shrank: o3 was displaced and waits. */
static const char *const commands[] = {"CreateBatch b1 RED 10 - id=i1",
                                       "CreateBatch b2 RED 20 2030-01-01 id=i2",
                                       "CreateBatch b3 BLUE 8 - id=i3",
                                       "Allocate o1 RED 10 id=i4",
                                       "Allocate o2 RED 5 id=i5",
                                       "Allocate o3 BLUE 6 id=i6",
                                       "Allocate o4 BLUE 2",
                                       "ChangeBatchQuantity b3 4 id=i7",
                                       "ChangeBatchEta b2 2031-01-01",
                                       "Allocate o5 RED 99 id=i8",
                                       "Deallocate o2 RED id=i9",
                                       "Allocate o2 RED 3 id=i10",
                                       "Allocate o2 RED 3 id=i11",
                                       "Deallocate o9 RED id=i12",
                                       "CreateBatch b4 GREEN 1 - id=i13"};

/* ---- a store, and the report on it ---- */

int verified_set_up(void **state)
{
    struct verified *f = calloc(1, sizeof *f);
    struct sample_lines lines = {NULL, 0, 0};
    assert_non_null(f);
    sample_directory_make(f->directory);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        sample_lines_add(&lines, "%s", commands[i]);
    sample_events_behind = 1; /* each damage has to be found in the table itself */
    sample_make(f->directory, &lines);
    sample_events_behind = SAMPLE_EVENTS_BEHIND;
    sample_lines_release(&lines);
    f->codec = codec_new();
    assert_non_null(f->codec);
    *state = f;
    return 0;
}

int verified_tear_down(void **state)
{
    struct verified *f = *state;
    sample_directory_remove(f->directory);
    codec_destroy(&f->codec);
    free(f->report);
    free(f);
    return 0;
}

bool verified_report(struct verified *f, const char *directory)
{
    size_t len;
    free(f->report);
    FILE *out = open_memstream(&f->report, &len);
    assert_non_null(out);
    bool is_whole = lmdb_verify(directory, SAMPLE_MAP_BYTES, out);
    assert_int_equal(fclose(out), 0);
    return is_whole;
}

void verified_expect_whole(struct verified *f)
{
    if (!verified_report(f, f->directory))
        fail_msg("%s", f->report);
    assert_non_null(strstr(f->report, "is whole\n"));
}

void verified_expect(struct verified *f, const char *finding)
{
    if (verified_report(f, f->directory))
        fail_msg("not found: %s\n%s", finding, f->report);
    if (strstr(f->report, finding) == NULL)
        fail_msg("it does not say \"%s\":\n%s", finding, f->report);
    assert_non_null(strstr(f->report, "is damaged: "));
}

/* ---- writing behind its back ---- */

void verified_begin(struct verified *f)
{
    assert_int_equal(mdb_env_create(&f->env), 0);
    assert_int_equal(mdb_env_set_maxdbs(f->env, LMDB_ENV_TABLES_MAX), 0);
    assert_int_equal(mdb_env_set_mapsize(f->env, SAMPLE_MAP_BYTES), 0);
    assert_int_equal(mdb_env_open(f->env, f->directory, MDB_NOLOCK | MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(f->env, NULL, 0, &f->txn), 0);
}

MDB_dbi verified_table(struct verified *f, const char *name)
{
    MDB_dbi dbi;
    assert_int_equal(mdb_dbi_open(f->txn, name, 0, &dbi), 0);
    return dbi;
}

void verified_put(struct verified *f, const char *name, struct text key,
                  const struct record *record)
{
    assert_int_equal(lmdb_put(f->txn, verified_table(f, name), key, record), 0);
}

struct text verified_get(struct verified *f, const char *name, struct text key)
{
    struct text value = text_none();
    assert_int_equal(lmdb_get(f->txn, verified_table(f, name), key, &value), STORE_OK);
    return value;
}

void verified_drop(struct verified *f, const char *name, struct text key)
{
    MDB_val k = lmdb_val(key);
    assert_int_equal(mdb_del(f->txn, verified_table(f, name), &k, NULL), 0);
}

struct meta verified_get_meta(struct verified *f)
{
    struct meta meta;
    struct text key = text_of(LMDB_META_KEY);
    assert_true(record_get_meta(key, verified_get(f, "meta", key), &meta));
    return meta;
}

void verified_put_meta(struct verified *f, struct meta meta)
{
    struct record record;
    meta.txn = mdb_txn_id(f->txn);
    record_put_meta(&record, text_of(LMDB_META_KEY), &meta);
    verified_put(f, "meta", text_of(LMDB_META_KEY), &record);
}

void verified_commit_unstamped(struct verified *f)
{
    assert_int_equal(mdb_txn_commit(f->txn), 0);
    mdb_env_close(f->env);
}

void verified_commit(struct verified *f)
{
    verified_put_meta(f, verified_get_meta(f));
    verified_commit_unstamped(f);
}

struct text verified_number(const uint64_t *number)
{
    return (struct text){(const char *)number, sizeof *number};
}
