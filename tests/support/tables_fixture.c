#include "tests/support/tables_fixture.h"

#include "tests/support/sample_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void open_all(struct tables_fixture *f, size_t map_size_bytes)
{
    assert_true(directory_open(&f->directory, f->path, f->error));
    assert_true(tables_init(&f->tables));
    if (lmdb_env_open(&f->tables.env, &f->directory, map_size_bytes, UINT64_MAX, f->error) !=
        STORE_OK)
        fail_msg("%s", f->error);
    assert_int_equal(tables_refresh(&f->tables), STORE_OK);
    f->projector = projector_new(&f->tables, &f->directory);
    assert_non_null(f->projector);
}

static void close_all(struct tables_fixture *f)
{
    projector_destroy(&f->projector);
    tables_close(&f->tables);
    f->tables = (struct tables){.snapshot = NULL};
    directory_close(&f->directory);
}

int tables_fixture_set_up(void **state)
{
    struct tables_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    sample_directory_make(f->path);
    open_all(f, SAMPLE_MAP_BYTES);
    *state = f;
    return 0;
}

int tables_fixture_tear_down(void **state)
{
    struct tables_fixture *f = *state;
    close_all(f);
    sample_directory_remove(f->path);
    free(f);
    return 0;
}

void tables_fixture_reopen(struct tables_fixture *f, size_t map_size_bytes)
{
    close_all(f);
    open_all(f, map_size_bytes);
}

void tables_fixture_begin(struct tables_fixture *f)
{
    struct meta meta = {.entry = ++f->rounds};
    tables_begin_round(&f->tables);
    projector_begin(f->projector, &meta);
}

void tables_fixture_end(struct tables_fixture *f)
{
    enum store_result result = STORE_FAILED;
    struct meta meta;
    projector_wait(f->projector);
    assert_true(projector_take(f->projector, &result));
    assert_int_equal(result, STORE_OK);
    assert_int_equal(tables_refresh(&f->tables), STORE_OK);
    assert_int_equal(tables_meta(&f->tables, &meta), STORE_OK);
    assert_int_equal(meta.entry, f->rounds);
    tables_drop_round(&f->tables);
}

struct record tables_fixture_record(struct text key, const char *text)
{
    struct record record;
    record_put_text(&record, key, text_of(text));
    return record;
}

void tables_fixture_put(struct tables_fixture *f, enum table table, const char *key,
                        const char *text)
{
    struct record record = tables_fixture_record(text_of(key), text);
    assert_int_equal(tables_put(&f->tables, table, text_of(key), &record), STORE_OK);
}

const char *tables_fixture_get(struct tables_fixture *f, enum table table, struct text key)
{
    static char text[RECORD_MAX_BYTES];
    struct text value;
    struct text of_record;
    enum store_result result = tables_get(&f->tables, table, key, &value);
    if (result == STORE_NOT_FOUND)
        return NULL;
    assert_int_equal(result, STORE_OK);
    assert_true(record_get_text(key, value, &of_record));
    snprintf(text, sizeof text, "%.*s", TEXT_ARG(of_record));
    return text;
}
