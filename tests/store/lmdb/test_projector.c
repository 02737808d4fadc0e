/* What writes rounds: how a round begins, ends and is taken; a round for which there is no room, or
 * whose disk fails, leaves what is read as it was, and can be written again where that helps. */
#include "tests/support/sample_store.h"
#include "tests/support/tables_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define SMALL_MAP_BYTES ((size_t)1024 * 1024)
#define LINES 20000u /* more than that has room for, and several slices of them */

static bool take(struct tables_fixture *f, enum store_result *result)
{
    *result = STORE_OTHER;
    return projector_take(f->projector, result);
}

static enum store_result wait_and_take(struct tables_fixture *f)
{
    enum store_result result;
    projector_wait(f->projector);
    assert_false(projector_is_idle(f->projector)); /* its end is to be taken */
    assert_true(take(f, &result));
    assert_true(projector_is_idle(f->projector));
    return result;
}

/* The same round once more. */
static void begin_again(struct tables_fixture *f)
{
    struct meta meta = {.entry = f->rounds};
    projector_begin(f->projector, &meta);
}

static void put_lines(struct tables_fixture *f, unsigned count, const char *text)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "order-%06u", i);
        tables_fixture_put(f, TABLE_LINES, key, text);
    }
}

static void expect_lines(struct tables_fixture *f, unsigned count, const char *text)
{
    const struct key no_prefix = {.len = 0};
    struct table_walk walk;
    struct text got;
    assert_int_equal(table_walk_begin(&walk, &f->tables, TABLE_LINES, &no_prefix, text_none()),
                     STORE_OK);
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "order-%06u", i);
        assert_int_equal(table_walk_next(&walk), STORE_OK);
        assert_true(text_equal(walk.key, text_of(key)));
        assert_true(record_get_text(walk.key, walk.value, &got));
        assert_true(text_equal(got, text_of(text)));
    }
    assert_int_equal(table_walk_next(&walk), STORE_NOT_FOUND);
    table_walk_end(&walk);
}

static uint64_t entry_of_tables(struct tables_fixture *f)
{
    struct meta meta = {.entry = 0};
    assert_int_equal(tables_refresh(&f->tables), STORE_OK);
    enum store_result result = tables_meta(&f->tables, &meta);
    assert_true(result == STORE_OK || result == STORE_NOT_FOUND);
    return meta.entry;
}

/* ---- one round after the other ---- */

static void a_round_begins_and_is_taken(void **state)
{
    struct tables_fixture *f = *state;
    enum store_result result;
    assert_true(projector_is_idle(f->projector));
    assert_false(take(f, &result));
    assert_int_equal(result, STORE_OTHER);
    projector_wait(f->projector); /* which is at once, as there is nothing */
    for (unsigned round = 0; round < 50; round++) {
        put_lines(f, 10 + round, "some");
        tables_fixture_begin(f);
        assert_int_equal(wait_and_take(f), STORE_OK);
        assert_false(take(f, &result));
        assert_int_equal(entry_of_tables(f), round + 1);
        tables_drop_round(&f->tables);
        expect_lines(f, 10 + round, "some");
    }
}

static void an_empty_round_has_its_counters(void **state)
{
    struct tables_fixture *f = *state;
    tables_fixture_begin(f);
    assert_int_equal(wait_and_take(f), STORE_OK);
    assert_int_equal(entry_of_tables(f), 1);
    tables_drop_round(&f->tables);
    expect_lines(f, 0, "");
}

/* The counters come with the last slice, and never before. */
static void the_counters_come_last(void **state)
{
    struct tables_fixture *f = *state;
    put_lines(f, LINES, "some");
    tables_fixture_begin(f);
    struct tables_fixture look = *f; /* of a snapshot of its own */
    enum store_result result;
    while (!take(f, &result)) {
        if (entry_of_tables(f) == 1) {
            look.tables.older[TABLE_LINES] = look.tables.newer[TABLE_LINES]; /* as LMDB has it */
            look.tables.snapshot = f->tables.snapshot;
            expect_lines(&look, LINES, "some");
        }
    }
    assert_int_equal(result, STORE_OK);
    assert_int_equal(entry_of_tables(f), 1);
    tables_drop_round(&f->tables);
    expect_lines(f, LINES, "some");
}

/* Who closes it waits for the round, whose end nobody takes then. */
static void closing_waits_for_the_round(void **state)
{
    struct tables_fixture *f = *state;
    put_lines(f, LINES, "some");
    tables_fixture_begin(f);
    tables_fixture_reopen(f, SAMPLE_MAP_BYTES);
    assert_int_equal(entry_of_tables(f), 1);
    expect_lines(f, LINES, "some");
    put_lines(f, 10, "other");
    tables_fixture_begin(f);
    projector_wait(f->projector);
    tables_fixture_reopen(f, SAMPLE_MAP_BYTES); /* as it does behind an end that was not taken */
    assert_int_equal(entry_of_tables(f), 2);
}

static void what_is_gone_is_taken_away(void **state)
{
    struct tables_fixture *f = *state;
    put_lines(f, 100, "some");
    tables_fixture_begin(f);
    tables_fixture_end(f);
    for (unsigned i = 50; i < 150; i++) { /* the last ones were never there */
        char key[32];
        snprintf(key, sizeof key, "order-%06u", i);
        assert_int_equal(tables_delete(&f->tables, TABLE_LINES, text_of(key)), STORE_OK);
    }
    expect_lines(f, 50, "some");
    tables_fixture_begin(f);
    expect_lines(f, 50, "some");
    tables_fixture_end(f);
    expect_lines(f, 50, "some");
}

/* ---- no room ---- */

/* LMDB takes another size only while nobody reads. */
static void set_map_size(struct tables_fixture *f, size_t bytes)
{
    mdb_txn_abort(f->tables.snapshot);
    f->tables.snapshot = NULL;
    assert_int_equal(mdb_env_set_mapsize(f->tables.env.env, bytes), 0);
    assert_int_equal(tables_refresh(&f->tables), STORE_OK);
}

static void a_full_map_and_room_later(void **state)
{
    struct tables_fixture *f = *state;
    tables_fixture_reopen(f, SMALL_MAP_BYTES);
    put_lines(f, 1000, "before");
    tables_fixture_begin(f);
    tables_fixture_end(f);
    put_lines(f, LINES, "as many lines as the file has no room for");
    tables_fixture_begin(f);
    put_lines(f, 10, "as many lines as the file has no room for"); /* newer than the round */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(wait_and_take(f), STORE_FULL);
        assert_int_equal(entry_of_tables(f), 1);
        assert_true(mdb_txn_id(f->tables.snapshot) > 2); /* some slices are there */
        expect_lines(f, LINES, "as many lines as the file has no room for");
        begin_again(f);
    }
    assert_int_equal(wait_and_take(f), STORE_FULL);
    set_map_size(f, SAMPLE_MAP_BYTES);
    begin_again(f);
    assert_int_equal(wait_and_take(f), STORE_OK);
    assert_int_equal(entry_of_tables(f), 2);
    tables_drop_round(&f->tables);
    expect_lines(f, LINES, "as many lines as the file has no room for");
    tables_fixture_reopen(f, SAMPLE_MAP_BYTES);
    expect_lines(f, LINES, "as many lines as the file has no room for");
}

/* ---- a disk that fails ---- */

/* Of those that LMDB writes with: its pages, or its metas, for which it has one of its own. */
static int descriptor_of(const struct tables_fixture *f, bool of_metas)
{
    int pages = -1;
    assert_int_equal(mdb_env_get_fd(f->tables.env.env, &pages), 0);
    for (int fd = 3; of_metas && fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && (flags & O_DSYNC) != 0)
            return fd;
    }
    return pages;
}

/* Another file in its place; returns a copy of it. */
static int replace_descriptor(int fd, const char *path, int flags)
{
    int copy = dup(fd);
    int other = open(path, flags | O_CLOEXEC);
    assert_true(copy >= 0 && other >= 0 && dup2(other, fd) == fd);
    close(other);
    return copy;
}

static void put_back(int fd, int copy)
{
    assert_true(dup2(copy, fd) == fd);
    close(copy);
}

static void a_full_disk_and_room_later(void **state)
{
    struct tables_fixture *f = *state;
    put_lines(f, 100, "before");
    tables_fixture_begin(f);
    tables_fixture_end(f);
    put_lines(f, 100, "later");
    int fd = descriptor_of(f, false);
    int copy = replace_descriptor(fd, "/dev/full", O_RDWR);
    tables_fixture_begin(f);
    assert_int_equal(wait_and_take(f), STORE_FULL);
    assert_int_equal(entry_of_tables(f), 1);
    expect_lines(f, 100, "later");
    begin_again(f);
    assert_int_equal(wait_and_take(f), STORE_FULL);
    put_back(fd, copy);
    begin_again(f);
    assert_int_equal(wait_and_take(f), STORE_OK);
    assert_int_equal(entry_of_tables(f), 2);
    tables_drop_round(&f->tables);
    expect_lines(f, 100, "later");
}

/* LMDB trusts its file no more where a meta page could not be written, and nor does the node. */
static void a_meta_page_that_cannot_be_written(void **state)
{
    struct tables_fixture *f = *state;
    put_lines(f, 100, "before");
    tables_fixture_begin(f);
    tables_fixture_end(f);
    put_lines(f, 100, "later");
    int fd = descriptor_of(f, true);
    int copy = replace_descriptor(fd, "/dev/null", O_RDONLY);
    tables_fixture_begin(f);
    assert_int_not_equal(wait_and_take(f), STORE_OK);
    put_back(fd, copy);
    begin_again(f);
    assert_int_equal(wait_and_take(f), STORE_BROKEN);
    tables_fixture_reopen(f, SAMPLE_MAP_BYTES);
    assert_int_equal(entry_of_tables(f), 1);
    expect_lines(f, 100, "before");
}

/* LMDB says EIO of a full disk as well, and looking for room takes a descriptor: without one nobody
 * can tell, so that the round waits. It is no end, and no want of room. */
static void without_a_descriptor_nobody_knows_the_room(void **state)
{
    struct tables_fixture *f = *state;
    struct rlimit before;
    int cause = 0;
    assert_int_equal(lmdb_write_result(&f->directory, EIO, &cause), STORE_BROKEN);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum store_result result = lmdb_write_result(&f->directory, EIO, &cause);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(result, STORE_FAILED);
    assert_int_equal(cause, EMFILE);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, tables_fixture_set_up, tables_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_round_begins_and_is_taken),
        TEST(an_empty_round_has_its_counters),
        TEST(the_counters_come_last),
        TEST(closing_waits_for_the_round),
        TEST(what_is_gone_is_taken_away),
        TEST(a_full_map_and_room_later),
        TEST(a_full_disk_and_room_later),
        TEST(a_meta_page_that_cannot_be_written),
        TEST(without_a_descriptor_nobody_knows_the_room),
    };
    return cmocka_run_group_tests_name("projector", tests, NULL, NULL);
}
