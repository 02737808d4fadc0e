/* The tables read from three places side by side: what is newer, a round, and LMDB. All that is
 * read is held against a simple model, with puts and deletes at random, and rounds that begin, are
 * half written and end at random moments. */
#include "tests/support/sample_store.h"
#include "tests/support/tables_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS_MAX 4000u
#define REFS 12u
#define HELD_MAX 20000u

/* ---- the model: all keys that may be there, in their order, and which value each has ---- */

enum time { NOW, ROUND, STORED, TIMES };

struct model_key {
    struct key key;
    uint32_t values[TIMES]; /* 0: there is no record */
    struct overlay_mark mark;
};

struct model_table {
    struct model_key *keys;
    size_t count;
};

/* A line that a batch got; its seq is its place in the model. */
struct model_held {
    unsigned ref;
    bool is_held[TIMES];
};

struct model {
    struct tables_fixture *f;
    struct model_table tables[TABLES];
    struct model_held *held;
    size_t held_count;
    uint64_t chance;
    uint32_t value; /* of the next put */
    bool has_round;
};

static uint64_t draw(struct model *m, uint64_t n)
{
    m->chance ^= m->chance << 13;
    m->chance ^= m->chance >> 7;
    m->chance ^= m->chance << 17;
    return m->chance % n;
}

static int by_key(const void *a, const void *b)
{
    return text_compare(key_text(&((const struct model_key *)a)->key),
                        key_text(&((const struct model_key *)b)->key));
}

static void add_key(struct model_table *table, struct key key)
{
    assert_true(table->count < KEYS_MAX);
    table->keys[table->count++] = (struct model_key){.key = key};
}

/* Some are the beginnings of others, and some order next to the NUL that ends them in a key. */
static struct text sku_of(unsigned i)
{
    static char sku[16];
    const char *const ends[] = {"", "\x01", "!", "0", "\xff"};
    snprintf(sku, sizeof sku, "S%u%s", i / 5, ends[i % 5]);
    return text_of(sku);
}

static void fill_keys(struct model_table tables[TABLES])
{
    for (unsigned i = 0; i < 300; i++) {
        struct text sku = sku_of(i);
        add_key(&tables[TABLE_PRODUCTS], key_of(sku));
        for (unsigned j = 0; j < 1 + i % 7; j++) {
            char ref[16];
            snprintf(ref, sizeof ref, "b%u", j);
            add_key(&tables[TABLE_BATCHES], key_of_two(sku, text_of(ref)));
            add_key(&tables[TABLE_USE], key_of_use(sku, date_none(), (uint64_t)j * 1000));
            add_key(&tables[TABLE_WAITING], key_of_waiting(sku, (uint64_t)j * 255));
        }
    }
    for (unsigned i = 0; i < 3000; i++) {
        char name[16];
        snprintf(name, sizeof name, "o%u", i * 7919 % 3000);
        add_key(&tables[TABLE_REFS], key_of(text_of(name)));
        name[1 + i % 3] = '\0';
        add_key(&tables[TABLE_REMEMBERED], key_of_number(i));
        add_key(&tables[TABLE_LINES], key_of_two(text_of(name), sku_of(i / 10)));
    }
}

static size_t sort_and_dedupe(struct model_key *keys, size_t count)
{
    size_t kept = 0;
    qsort(keys, count, sizeof *keys, by_key);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || by_key(&keys[kept - 1], &keys[i]) != 0)
            keys[kept++] = keys[i];
    return kept;
}

static struct model *model_new(struct tables_fixture *f, uint64_t seed)
{
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    *m = (struct model){.f = f, .chance = seed * UINT64_C(0x9e3779b97f4a7c15), .value = 1};
    m->held = calloc(HELD_MAX, sizeof *m->held);
    assert_non_null(m->held);
    m->held_count = 1; /* there is no seq 0 */
    for (enum table i = 0; i < TABLES; i++) {
        m->tables[i].keys = calloc(KEYS_MAX, sizeof *m->tables[i].keys);
        assert_non_null(m->tables[i].keys);
    }
    fill_keys(m->tables);
    for (enum table i = 0; i < TABLES; i++)
        m->tables[i].count = sort_and_dedupe(m->tables[i].keys, m->tables[i].count);
    return m;
}

static void model_free(struct model *m)
{
    for (enum table i = 0; i < TABLES; i++)
        free(m->tables[i].keys);
    free(m->held);
    free(m);
}

/* What was so at one time becomes so at another. */
static void model_copy(struct model *m, enum time to, enum time from)
{
    for (enum table i = 0; i < TABLES; i++)
        for (size_t j = 0; j < m->tables[i].count; j++)
            m->tables[i].keys[j].values[to] = m->tables[i].keys[j].values[from];
    for (size_t i = 0; i < m->held_count; i++)
        m->held[i].is_held[to] = m->held[i].is_held[from];
}

/* ---- changes ---- */

/* Of many lengths, so that some replace a shorter one in its place and some do not. */
static struct record record_of(struct text key, uint32_t value)
{
    char text[80];
    snprintf(text, sizeof text, "%u%.*s", value, (int)(value * 31 % 60),
             "------------------------------------------------------------");
    return tables_fixture_record(key, text);
}

/* Products are put by their mark, as these are put most of all. */
static void put(struct model *m, enum table table, struct model_key *at)
{
    struct text key = key_text(&at->key);
    struct record record = record_of(key, m->value);
    assert_int_equal(table == TABLE_PRODUCTS
                         ? tables_put_at(&m->f->tables, table, key, &record, &at->mark)
                         : tables_put(&m->f->tables, table, key, &record),
                     STORE_OK);
    at->values[NOW] = m->value++;
}

static void drop(struct model *m, enum table table, struct model_key *at)
{
    assert_int_equal(tables_delete(&m->f->tables, table, key_text(&at->key)), STORE_OK);
    at->values[NOW] = 0;
}

/* As store/lmdb/products.c has it: with a part of a product changes the product. */
static void put_product_of(struct model *m, const struct key *part)
{
    struct model_key wanted = {.key = key_of((struct text){part->bytes, strlen(part->bytes)})};
    struct model_table *products = &m->tables[TABLE_PRODUCTS];
    struct model_key *product =
        bsearch(&wanted, products->keys, products->count, sizeof wanted, by_key);
    assert_non_null(product);
    put(m, TABLE_PRODUCTS, product);
}

static void change_line_of_a_batch(struct model *m)
{
    char orderid[32];
    char ref[16];
    size_t seq = m->held_count;
    bool is_gone = seq > 1 && draw(m, 3) == 0;
    if (is_gone)
        seq = 1 + (size_t)draw(m, seq - 1);
    else if (seq == HELD_MAX)
        return;
    else
        m->held[m->held_count++].ref = (unsigned)draw(m, REFS);
    if (is_gone && !m->held[seq].is_held[NOW])
        return;
    snprintf(orderid, sizeof orderid, "o%zu", seq);
    snprintf(ref, sizeof ref, "b%u", m->held[seq].ref);
    struct order_line line = {.orderid = text_of(orderid), .batchref = text_of(ref), .seq = seq};
    assert_int_equal(tables_hold(&m->f->tables, &line, is_gone), STORE_OK);
    m->held[seq].is_held[NOW] = !is_gone;
}

static void change(struct model *m)
{
    static const enum table changed[] = {TABLE_PRODUCTS, TABLE_BATCHES, TABLE_USE,
                                         TABLE_WAITING,  TABLE_REFS,    TABLE_REMEMBERED,
                                         TABLE_LINES};
    size_t choice = (size_t)draw(m, 1 + sizeof changed / sizeof *changed);
    if (choice == sizeof changed / sizeof *changed) {
        change_line_of_a_batch(m);
        return;
    }
    enum table table = changed[choice];
    struct model_key *at = &m->tables[table].keys[draw(m, m->tables[table].count)];
    bool is_part = table == TABLE_BATCHES || table == TABLE_USE || table == TABLE_WAITING;
    if (draw(m, 3) == 0 && table != TABLE_PRODUCTS)
        drop(m, table, at);
    else
        put(m, table, at);
    if (is_part)
        put_product_of(m, &at->key);
}

/* ---- what is read ---- */

static void expect_the_value(struct text key, struct text value, uint32_t expected)
{
    struct record record = record_of(key, expected);
    assert_int_equal(value.len, record.len);
    assert_memory_equal(value.data, record.bytes, record.len);
}

static void expect_record(struct model *m, enum table table, const struct model_key *at)
{
    struct text key = key_text(&at->key);
    struct text value;
    enum store_result result = table == TABLE_LINES && draw(m, 2) == 0
                                   ? tables_get_line(&m->f->tables, key, &value)
                                   : tables_get(&m->f->tables, table, key, &value);
    assert_int_equal(result, at->values[NOW] != 0 ? STORE_OK : STORE_NOT_FOUND);
    if (result == STORE_OK)
        expect_the_value(key, value, at->values[NOW]);
}

static bool begins_with(const struct key *key, const struct key *prefix)
{
    return key->len >= prefix->len && memcmp(key->bytes, prefix->bytes, prefix->len) == 0;
}

/* A walk through a table from prefix + from on, for so many records at most. */
static void expect_walk(struct model *m, enum table table, const struct key *prefix,
                        struct text from, size_t limit)
{
    const struct model_table *all = &m->tables[table];
    struct key first = *prefix;
    struct table_walk walk;
    size_t i = 0;
    if (from.len > 0)
        memcpy(first.bytes + first.len, from.data, from.len);
    first.len += from.len;
    while (i < all->count && text_compare(key_text(&all->keys[i].key), key_text(&first)) < 0)
        i++;
    assert_int_equal(table_walk_begin(&walk, &m->f->tables, table, prefix, from), STORE_OK);
    for (size_t taken = 0; taken < limit; i++) {
        bool is_over = i == all->count || !begins_with(&all->keys[i].key, prefix);
        if (is_over) {
            assert_int_equal(table_walk_next(&walk), STORE_NOT_FOUND);
            break;
        }
        if (all->keys[i].values[NOW] == 0)
            continue;
        assert_int_equal(table_walk_next(&walk), STORE_OK);
        struct text key = key_text(&all->keys[i].key);
        assert_true(text_equal(walk.key, key));
        assert_int_equal(table_walk_rest(&walk).len, key.len - prefix->len);
        expect_the_value(key, walk.value, all->keys[i].values[NOW]);
        taken++;
    }
    table_walk_end(&walk);
}

static void expect_some_walk(struct model *m)
{
    enum table table = (enum table)draw(m, TABLES);
    const struct model_table *all = &m->tables[table];
    if (all->count == 0) /* of counters, and of lines that batches hold */
        return;
    const struct key *key = &all->keys[draw(m, all->count)].key;
    size_t len = (size_t)draw(m, key->len + 1);
    struct key prefix = key_of((struct text){key->bytes, len});
    struct text rest = {key->bytes + len, (size_t)draw(m, key->len - len + 1)};
    expect_walk(m, table, &prefix, rest, 1 + (size_t)draw(m, 200));
}

static void expect_all(struct model *m)
{
    const struct key no_prefix = {.len = 0};
    for (enum table i = 0; i < TABLES; i++) {
        if (m->tables[i].count == 0)
            continue;
        expect_walk(m, i, &no_prefix, text_none(), SIZE_MAX);
        for (size_t j = 0; j < m->tables[i].count; j++)
            expect_record(m, i, &m->tables[i].keys[j]);
    }
}

/* The table of the lines that batches hold: as of the last round, each batch's newest first. */
static void expect_held(struct model *m)
{
    for (unsigned i = 0; i < REFS; i++) {
        char ref[16];
        char orderid[32];
        struct table_walk walk;
        struct text got;
        snprintf(ref, sizeof ref, "b%u", i);
        struct key prefix = key_prefix(text_of(ref));
        assert_int_equal(table_walk_begin(&walk, &m->f->tables, TABLE_HELD, &prefix, text_none()),
                         STORE_OK);
        for (size_t seq = m->held_count - 1; seq > 0; seq--) {
            if (m->held[seq].ref != i || !m->held[seq].is_held[STORED])
                continue;
            struct key key = key_of_held(text_of(ref), seq);
            snprintf(orderid, sizeof orderid, "o%zu", seq);
            assert_int_equal(table_walk_next(&walk), STORE_OK);
            assert_true(text_equal(walk.key, key_text(&key)));
            assert_true(record_get_text(walk.key, walk.value, &got));
            assert_true(text_equal(got, text_of(orderid)));
        }
        assert_int_equal(table_walk_next(&walk), STORE_NOT_FOUND);
        table_walk_end(&walk);
    }
}

/* ---- rounds ---- */

static void begin_round(struct model *m)
{
    tables_fixture_begin(m->f);
    model_copy(m, ROUND, NOW);
    m->has_round = true;
}

static void end_round(struct model *m)
{
    tables_fixture_end(m->f);
    model_copy(m, STORED, ROUND);
    m->has_round = false;
    expect_held(m);
}

static void reopen(struct model *m)
{
    struct model_table *products = &m->tables[TABLE_PRODUCTS];
    tables_fixture_reopen(m->f, SAMPLE_MAP_BYTES);
    for (size_t i = 0; i < products->count; i++)
        products->keys[i].mark = (struct overlay_mark){.item = NULL};
}

/* What LMDB lacks is lost, as after a group that failed. The round is in LMDB then. */
static void forget(struct model *m)
{
    enum store_result result = STORE_FAILED;
    if (m->has_round) {
        projector_wait(m->f->projector);
        assert_true(projector_take(m->f->projector, &result));
        assert_int_equal(result, STORE_OK);
        model_copy(m, STORED, ROUND);
    }
    if (draw(m, 3) == 0)
        reopen(m);
    tables_forget(&m->f->tables);
    assert_int_equal(tables_refresh(&m->f->tables), STORE_OK);
    model_copy(m, NOW, STORED);
    m->has_round = false;
    expect_held(m);
}

/* Reading goes on while a round is written, from a snapshot that has a part of it too. */
static void do_something(struct model *m)
{
    switch (draw(m, 40)) {
    case 0:
        expect_some_walk(m);
        break;
    case 1:
        if (m->has_round)
            assert_int_equal(tables_refresh(&m->f->tables), STORE_OK);
        break;
    case 2: {
        enum table table = (enum table)draw(m, TABLES);
        size_t count = m->tables[table].count;
        if (count > 0)
            expect_record(m, table, &m->tables[table].keys[draw(m, count)]);
        break;
    }
    default:
        change(m);
    }
}

static void read_from_all_places(void **state)
{
    static const unsigned lengths[] = {0, 1, 30, 400, 3000, 12000};
    struct model *m = model_new(*state, 1);
    for (unsigned phase = 0; phase < 60; phase++) {
        for (uint64_t i = lengths[draw(m, sizeof lengths / sizeof *lengths)]; i > 0; i--)
            do_something(m);
        if (phase % 5 == 0)
            expect_all(m);
        if (draw(m, 8) == 0)
            forget(m);
        else if (!m->has_round)
            begin_round(m);
        else
            end_round(m);
    }
    if (m->has_round)
        end_round(m);
    expect_all(m);
    model_free(m);
}

/* Each step of a round, seen while it is written and behind it. */
static void a_snapshot_in_the_middle_of_a_round(void **state)
{
    struct model *m = model_new(*state, 7);
    unsigned in_the_middle = 0;
    /* It is by chance that the thread is met between two slices, but not that it never is. */
    for (unsigned round = 0; round < 8 || (round < 300 && in_the_middle == 0); round++) {
        for (unsigned i = 0; i < 15000; i++)
            change(m);
        begin_round(m);
        uint64_t seen = 0;
        while (!projector_is_idle(m->f->projector)) {
            assert_int_equal(tables_refresh(&m->f->tables), STORE_OK);
            uint64_t slice = mdb_txn_id(m->f->tables.snapshot);
            in_the_middle += slice != seen && seen != 0;
            seen = slice;
            expect_some_walk(m);
            expect_some_walk(m);
            enum store_result result;
            if (projector_take(m->f->projector, &result))
                assert_int_equal(result, STORE_OK);
        }
        assert_int_equal(tables_refresh(&m->f->tables), STORE_OK);
        tables_drop_round(&m->f->tables);
        model_copy(m, STORED, ROUND);
        expect_held(m);
        expect_all(m);
    }
    assert_true(in_the_middle > 0);
    model_free(m);
}

/* ---- what is particular ---- */

static void the_counters(void **state)
{
    struct tables_fixture *f = *state;
    struct meta meta;
    assert_int_equal(tables_meta(&f->tables, &meta), STORE_NOT_FOUND);
    tables_fixture_put(f, TABLE_REFS, "b1", "RED");
    tables_fixture_begin(f);
    tables_fixture_end(f);
    assert_int_equal(tables_meta(&f->tables, &meta), STORE_OK);
    assert_int_equal(meta.entry, 1);
    MDB_txn *txn;
    MDB_val key = lmdb_val(text_of(LMDB_META_KEY));
    MDB_val value = lmdb_val(text_of("no record"));
    assert_int_equal(mdb_txn_begin(f->tables.env.env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_put(txn, f->tables.env.tables[TABLE_META], &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    assert_int_equal(tables_meta(&f->tables, &meta), STORE_OK); /* the snapshot is older */
    assert_int_equal(tables_refresh(&f->tables), STORE_OK);
    assert_int_equal(tables_meta(&f->tables, &meta), STORE_DAMAGED);
}

static bool has_line(struct tables_fixture *f, const char *key)
{
    struct text value;
    enum store_result result = tables_get_line(&f->tables, text_of(key), &value);
    assert_true(result == STORE_OK || result == STORE_NOT_FOUND);
    return result == STORE_OK;
}

static void expect_largest(struct tables_fixture *f, const char *key)
{
    assert_true(text_equal(key_text(&f->tables.largest_line), text_of(key)));
}

/* The largest key may be in each of the places, and be found there first. */
static void the_largest_line(void **state)
{
    struct tables_fixture *f = *state;
    assert_false(has_line(f, "m"));
    expect_largest(f, "");
    tables_fixture_put(f, TABLE_LINES, "m", "1");
    assert_true(has_line(f, "m"));
    assert_false(has_line(f, "z"));
    expect_largest(f, "m");
    tables_fixture_put(f, TABLE_LINES, "p", "2"); /* newer, and known already */
    assert_true(has_line(f, "p"));
    expect_largest(f, "p");
    tables_fixture_begin(f);
    f->tables.largest_line.len = 0; /* it is in the round alone */
    assert_true(has_line(f, "p"));
    expect_largest(f, "p");
    tables_fixture_end(f);
    tables_fixture_reopen(f, SAMPLE_MAP_BYTES); /* in the snapshot alone */
    assert_true(has_line(f, "p"));
    assert_false(has_line(f, "q"));
    expect_largest(f, "p");
    assert_int_equal(tables_delete(&f->tables, TABLE_LINES, text_of("p")), STORE_OK);
    assert_false(has_line(f, "p"));
    assert_true(has_line(f, "m"));
    tables_fixture_begin(f);
    tables_fixture_end(f);
    assert_false(has_line(f, "p"));
    tables_fixture_put(f, TABLE_LINES, "o", "3"); /* below one that is gone */
    assert_true(has_line(f, "o"));
    tables_forget(&f->tables);
    assert_false(has_line(f, "o"));
    expect_largest(f, "m");
    tables_fixture_put(f, TABLE_LINES, "zz", "4");
    tables_forget(&f->tables);
    assert_false(has_line(f, "zz"));
    expect_largest(f, "m");
}

static void memory_of_what_is_newer(void **state)
{
    struct tables_fixture *f = *state;
    struct order_line line = {
        .orderid = text_of("o1"), .sku = text_of("RED"), .batchref = text_of("b1"), .seq = 5};
    assert_int_equal(tables_bytes(&f->tables), 0);
    tables_fixture_put(f, TABLE_REFS, "b1", "RED");
    size_t bytes = tables_bytes(&f->tables);
    assert_true(bytes > 0);
    assert_int_equal(tables_hold(&f->tables, &line, false), STORE_OK);
    assert_true(tables_bytes(&f->tables) > bytes);
    bytes = tables_bytes(&f->tables);
    tables_fixture_begin(f); /* which is no part of it */
    assert_int_equal(tables_bytes(&f->tables), 0);
    assert_string_equal(tables_fixture_get(f, TABLE_REFS, text_of("b1")), "RED");
    tables_fixture_end(f);
    assert_string_equal(tables_fixture_get(f, TABLE_REFS, text_of("b1")), "RED");
    tables_fixture_put(f, TABLE_REFS, "b1", "BLUE");
    assert_int_equal(tables_hold(&f->tables, &line, true), STORE_OK);
    assert_true(tables_bytes(&f->tables) >= bytes);
    tables_forget(&f->tables);
    assert_int_equal(tables_bytes(&f->tables), 0);
    assert_string_equal(tables_fixture_get(f, TABLE_REFS, text_of("b1")), "RED");
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, tables_fixture_set_up, tables_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(read_from_all_places),
        TEST(a_snapshot_in_the_middle_of_a_round),
        TEST(the_counters),
        TEST(the_largest_line),
        TEST(memory_of_what_is_newer),
    };
    return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
