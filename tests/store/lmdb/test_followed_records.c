/* Which records follow an event: each command changes those that it has to, and no others, as each
 * one more is one more to be written. The batch that a product carries has its figures in the
 * product's record and not in its own. */
#include "tests/support/behind_store.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- what changed since the tables were written ---- */

static void add_batch(struct notation *out, const struct batch *batch)
{
    notation_add(out, " age=%" PRIu64 " eta=%d %" PRIu32 "/%" PRIu32, batch->age,
                 batch->eta.yyyymmdd, batch->allocated, batch->qty);
}

static void add_product(struct notation *out, struct text key, struct text value)
{
    struct product_record product;
    assert_true(record_get_product(key, value, &product));
    notation_add(out,
                 "v%" PRIu64 "@%" PRIu64 " %" PRIu64 " of %" PRIu64 " open, %" PRIu64
                 " available, %" PRIu64 " wait",
                 product.totals.version, product.totals.last_seq, product.totals.open,
                 product.totals.batches, product.totals.available, product.totals.waiting);
    if (text_is_none(product.carried.ref))
        return;
    notation_add(out, ", carries %.*s", TEXT_ARG(product.carried.ref));
    add_batch(out, &product.carried);
}

static void add_record(struct notation *out, enum table table, struct text key, struct text value)
{
    struct batch batch;
    struct order_line line;
    struct waiting_line waiting;
    struct text text;
    switch (table) {
    case TABLE_PRODUCTS:
        add_product(out, key, value);
        break;
    case TABLE_BATCHES:
        assert_true(record_get_batch(key, value, &batch));
        add_batch(out, &batch);
        break;
    case TABLE_LINES:
        assert_true(record_get_line(key, value, &line));
        notation_add(out, "%" PRIu32 "@%" PRIu64 " %.*s", line.qty, line.seq,
                     TEXT_ARG(order_line_waits(&line) ? text_of("waits") : line.batchref));
        break;
    case TABLE_WAITING:
        assert_true(record_get_waiting(key, value, &waiting));
        notation_add(out, "%.*s:%" PRIu32, TEXT_ARG(waiting.orderid), waiting.qty);
        break;
    default:
        assert_true(record_get_text(key, value, &text));
        notation_add(out, "%.*s", TEXT_ARG(text));
    }
}

/* Parts of a key are joined by a slash, and the numbers in one are left out. */
static void add_key(struct notation *out, struct text key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.data[i] == '\0' && i + 8 < key.len)
            return;
        else
            notation_add(out, "%c", key.data[i] != '\0' ? key.data[i] : '/');
}

static void add_changes(struct contract *c, struct notation *out)
{
    static const char *const names[TABLES] = {
#define TABLE(upper, lower, what) [TABLE_##upper] = #lower,
        LMDB_TABLES(TABLE)
#undef TABLE
    };
    const struct tables *tables = &behind_store(c)->tables;
    for (enum table i = 0; i < TABLES; i++) {
        struct overlay_place place = overlay_seek(tables->newer[i], text_of(""));
        const struct overlay_item *item;
        for (; (item = overlay_at(&place)) != NULL; overlay_next(&place)) {
            notation_add(out, "%s ", names[i]);
            add_key(out, overlay_key(item));
            notation_add(out, ": ");
            if (item->is_gone)
                notation_add(out, "gone");
            else
                add_record(out, i, overlay_key(item), overlay_value(item));
            notation_add(out, "\n");
        }
    }
    for (size_t i = 0; i < tables->newer_held.count; i++) {
        const struct held_item *item = &tables->newer_held.items[i];
        notation_add(out, "held %.*s: %s%.*s@%" PRIu64 "\n",
                     TEXT_ARG(held_item_ref(&tables->newer_held, item)), item->is_gone ? "-" : "+",
                     TEXT_ARG(held_item_orderid(&tables->newer_held, item)), item->seq);
    }
}

/* The command changes these records, of a store whose tables have everything. */
static void expect_changes(struct contract *c, const char *command, const char *changes)
{
    struct notation got = {0};
    contract_reopen(c);
    GROUP(c, command);
    add_changes(c, &got);
    if (strcmp(notation_text(&got), changes) != 0)
        fail_msg("%s:\n%s", command, notation_text(&got));
    notation_release(&got);
}

/* ---- the rules ---- */

static void a_line_of_the_carried_batch(void **state)
{
    struct contract *c = *state;
    expect_changes(c, "Allocate o1 RED 10",
                   "products RED: v3@3 2 of 2 open, 140 available, 0 wait, carries b1 age=1 eta=0 "
                   "10/100\n"
                   "lines o1/RED: 10@3 b1\n"
                   "held b1: +o1@3\n");
    expect_changes(c, "Deallocate o1 RED",
                   "products RED: v4@4 2 of 2 open, 150 available, 0 wait, carries b1 age=1 eta=0 "
                   "0/100\n"
                   "lines o1/RED: gone\n"
                   "held b1: -o1@3\n");
}

/* b1 is exhausted, so that b2 is carried, and then b1 has stock again. */
static void another_batch_is_carried(void **state)
{
    struct contract *c = *state;
    expect_changes(c, "Allocate o1 RED 100",
                   "products RED: v3@3 1 of 2 open, 50 available, 0 wait, carries b2 age=2 "
                   "eta=20300101 0/50\n"
                   "batches RED/b1:  age=1 eta=0 100/100\n"
                   "batches RED/b2:  age=2 eta=20300101 0/50\n"
                   "use RED: gone\n"
                   "lines o1/RED: 100@3 b1\n"
                   "held b1: +o1@3\n");
    expect_changes(c, "Allocate o2 RED 7",
                   "products RED: v4@4 1 of 2 open, 43 available, 0 wait, carries b2 age=2 "
                   "eta=20300101 7/50\n"
                   "lines o2/RED: 7@4 b2\n"
                   "held b2: +o2@4\n");
    expect_changes(c, "Deallocate o1 RED",
                   "products RED: v5@5 2 of 2 open, 143 available, 0 wait, carries b1 age=1 eta=0 "
                   "0/100\n"
                   "batches RED/b1:  age=1 eta=0 0/100\n"
                   "batches RED/b2:  age=2 eta=20300101 7/50\n"
                   "use RED: b1\n"
                   "lines o1/RED: gone\n"
                   "held b1: -o1@3\n");
    expect_changes(c, "Deallocate o2 RED", /* of one that is not carried */
                   "products RED: v6@6 2 of 2 open, 150 available, 0 wait, carries b1 age=1 eta=0 "
                   "0/100\n"
                   "batches RED/b2:  age=2 eta=20300101 0/50\n"
                   "lines o2/RED: gone\n"
                   "held b2: -o2@4\n");
}

static void none_is_carried(void **state)
{
    struct contract *c = *state;
    GROUP(c, "Allocate o1 RED 100");
    expect_changes(c, "Allocate o2 RED 50",
                   "products RED: v4@4 0 of 2 open, 0 available, 0 wait\n"
                   "batches RED/b2:  age=2 eta=20300101 50/50\n"
                   "use RED: gone\n"
                   "lines o2/RED: 50@4 b2\n"
                   "held b2: +o2@4\n");
    expect_changes(c, "Deallocate o2 RED",
                   "products RED: v5@5 1 of 2 open, 50 available, 0 wait, carries b2 age=2 "
                   "eta=20300101 0/50\n"
                   "batches RED/b2:  age=2 eta=20300101 0/50\n"
                   "use RED: b2\n"
                   "lines o2/RED: gone\n"
                   "held b2: -o2@4\n");
}

static void a_batch_is_created(void **state)
{
    struct contract *c = *state;
    expect_changes(c, "CreateBatch b3 BLUE 5",
                   "products BLUE: v1@3 1 of 1 open, 5 available, 0 wait, carries b3 age=3 eta=0 "
                   "0/5\n"
                   "batches BLUE/b3:  age=3 eta=0 0/5\n"
                   "use BLUE: b3\n"
                   "refs b3: BLUE\n");
    expect_changes(c, "CreateBatch b4 RED 5 2029-01-01", /* behind the one that is carried */
                   "products RED: v3@4 3 of 3 open, 155 available, 0 wait, carries b1 age=1 eta=0 "
                   "0/100\n"
                   "batches RED/b4:  age=4 eta=20290101 0/5\n"
                   "use RED: b4\n"
                   "refs b4: RED\n");
}

/* Its own record is put where its figures in the product's record are not all that changed. */
static void a_batch_changes(void **state)
{
    struct contract *c = *state;
    GROUP(c, "Allocate o1 RED 10");
    expect_changes(c, "ChangeBatchQuantity b1 90",
                   "products RED: v4@4 2 of 2 open, 130 available, 0 wait, carries b1 age=1 eta=0 "
                   "10/90\n"
                   "batches RED/b1:  age=1 eta=0 0/90\n");
    expect_changes(c, "ChangeBatchQuantity b2 60",
                   "products RED: v5@5 2 of 2 open, 140 available, 0 wait, carries b1 age=1 eta=0 "
                   "10/90\n"
                   "batches RED/b2:  age=2 eta=20300101 0/60\n");
    expect_changes(c, "ChangeBatchQuantity b2 0",
                   "products RED: v6@6 1 of 2 open, 80 available, 0 wait, carries b1 age=1 eta=0 "
                   "10/90\n"
                   "batches RED/b2:  age=2 eta=20300101 0/0\n"
                   "use RED: gone\n");
    expect_changes(c, "ChangeBatchEta b2 2031-01-01", /* it is in no order of use */
                   "products RED: v7@7 1 of 2 open, 80 available, 0 wait, carries b1 age=1 eta=0 "
                   "10/90\n"
                   "batches RED/b2:  age=2 eta=20310101 0/0\n");
    expect_changes(c, "ChangeBatchEta b1 2031-01-01",
                   "products RED: v8@8 1 of 2 open, 80 available, 0 wait, carries b1 age=1 "
                   "eta=20310101 10/90\n"
                   "batches RED/b1:  age=1 eta=20310101 0/90\n"
                   "use RED: gone\n"
                   "use RED: b1\n");
}

/* The ETA puts b1 behind b2, with what is allocated in it. */
static void an_eta_changes_which_is_carried(void **state)
{
    struct contract *c = *state;
    GROUP(c, "Allocate o1 RED 10");
    expect_changes(c, "ChangeBatchEta b1 2031-01-01",
                   "products RED: v4@4 2 of 2 open, 140 available, 0 wait, carries b2 age=2 "
                   "eta=20300101 0/50\n"
                   "batches RED/b1:  age=1 eta=20310101 10/100\n"
                   "batches RED/b2:  age=2 eta=20300101 0/50\n"
                   "use RED: gone\n"
                   "use RED: b1\n");
}

static void lines_wait(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b3 BLUE 5", "Allocate o1 BLUE 5");
    expect_changes(c, "ChangeBatchQuantity b3 3",
                   "products BLUE: v5@7 1 of 1 open, 3 available, 1 wait, carries b3 age=3 eta=0 "
                   "0/3\n"
                   "batches BLUE/b3:  age=3 eta=0 0/3\n"
                   "use BLUE: b3\n"
                   "waiting BLUE: o1:5\n"
                   "lines o1/BLUE: 5@7 waits\n"
                   "held b3: -o1@4\n");
    expect_changes(c, "ChangeBatchQuantity b3 8",
                   "products BLUE: v7@9 1 of 1 open, 3 available, 0 wait, carries b3 age=3 eta=0 "
                   "5/8\n"
                   "batches BLUE/b3:  age=3 eta=0 0/8\n"
                   "waiting BLUE: gone\n"
                   "lines o1/BLUE: 5@9 b3\n"
                   "held b3: +o1@9\n");
    GROUP(c, "ChangeBatchQuantity b3 3");
    expect_changes(c, "Deallocate o1 BLUE",
                   "products BLUE: v11@13 1 of 1 open, 3 available, 0 wait, carries b3 age=3 "
                   "eta=0 0/3\n"
                   "waiting BLUE: gone\n"
                   "lines o1/BLUE: gone\n");
}

/* A line that is refused is not kept. */
static void what_has_no_records(void **state)
{
    struct contract *c = *state;
    expect_changes(c, "Allocate o1 RED 1000",
                   "products RED: v3@3 2 of 2 open, 150 available, 0 wait, carries b1 age=1 eta=0 "
                   "0/100\n");
    expect_changes(c, "Deallocate o1 RED", "");
    expect_changes(c, "CreateBatch b1 RED 100", "");
    expect_changes(c, "ChangeBatchQuantity b1 100", "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, behind_set_up, behind_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_line_of_the_carried_batch),
        TEST(another_batch_is_carried),
        TEST(none_is_carried),
        TEST(a_batch_is_created),
        TEST(a_batch_changes),
        TEST(an_eta_changes_which_is_carried),
        TEST(lines_wait),
        TEST(what_has_no_records),
    };
    return cmocka_run_group_tests_name("followed_records", tests, NULL, NULL);
}
