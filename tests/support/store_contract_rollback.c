/* The contract of commit and rollback: what stays, and what leaves no trace. */
#include "tests/support/store_contract_inside.h"

#include <stdlib.h>

static const char *const base[] = {
    "CreateBatch b1 RED 10",        "CreateBatch b2 RED 10 2030-01-01",
    "CreateBatch b3 BLUE 5",        "Allocate o1 RED 6 id=i1",
    "Allocate o2 RED 4 id=i2",      "Allocate o3 BLUE 5",
    "ChangeBatchQuantity b3 4",     "Allocate o4 RED 99 id=i3",
    "CreateBatch b4 GREEN 3 id=i4", NULL};

/* Touches everything that the base has, and adds more. */
static const char *const more[] = {"CreateBatch b5 WHITE 10 id=i5",
                                   "CreateBatch b6 RED 10",
                                   "ChangeBatchQuantity b1 3",
                                   "ChangeBatchEta b2 2029-01-01",
                                   "CreateBatch b7 BLUE 9",
                                   "Deallocate o1 RED",
                                   "Allocate o5 WHITE 10",
                                   "ChangeBatchQuantity b5 1",
                                   "Allocate o6 GREEN 3 id=i6",
                                   "Deallocate o3 BLUE",
                                   "Allocate o1 BLUE 2",
                                   NULL};

static void run_all(struct contract *c, const char *const *lines)
{
    for (; *lines != NULL; lines++)
        contract_run(c, *lines);
}

void a_rollback_leaves_nothing(void **state)
{
    struct contract *c = *state;
    contract_begin(c, 1);
    run_all(c, base);
    unit_rollback(c->unit); /* of a store that was empty */
    EXPECT(c, "figures", "seq=0 products=0 waiting=0");
    EXPECT(c, "ListProducts", "ok");
    EXPECT(c, "GetBatch b1", "not found");
    EXPECT(c, "recall Allocate o1 RED 6 id=i1", "not found");

    contract_group(c, base);
    struct notation before = {0};
    struct notation after = {0};
    contract_dump(c, &before);
    for (int round = 0; round < 2; round++) {
        contract_begin(c, 1);
        run_all(c, more);
        unit_rollback(c->unit);
        notation_clear(&after);
        contract_dump(c, &after);
        assert_string_equal(notation_text(&after), notation_text(&before));
        EXPECT(c, "product WHITE", "not found");
        EXPECT(c, "batch b7", "not found");
        EXPECT(c, "line o6 GREEN", "not found");
        EXPECT(c, "GetAllocations o5", "not found");
        EXPECT(c, "recall CreateBatch b5 WHITE 10 id=i5", "not found");
        EXPECT(c, "recall Allocate o6 GREEN 3 id=i6", "not found");
        EXPECT(c, "recall Allocate o1 RED 6 id=i1", "ok seq=4 batchref=b1");
        contract_reopen(c);
    }
    notation_release(&before);
    notation_release(&after);
}

void a_group_that_is_run_again_gives_the_same(void **state)
{
    struct contract *c = *state;
    struct contract once;
    contract_open(&once, &contract_reference);
    contract_group(&once, base);
    contract_group(&once, more);

    for (int round = 0; round < 3; round++) {
        contract_begin(c, 1);
        run_all(c, base);
        if (round < 2)
            unit_rollback(c->unit);
    }
    contract_commit(c);
    contract_begin(c, 1);
    run_all(c, more);
    unit_rollback(c->unit);
    contract_group(c, more);
    contract_compare(c, &once);
    contract_close(&once);
}

void what_was_not_committed_is_gone_after_a_close(void **state)
{
    struct contract *c = *state;
    contract_group(c, base);
    contract_begin(c, 1);
    run_all(c, more);
    contract_reopen(c);
    struct contract reference;
    contract_open(&reference, &contract_reference);
    contract_group(&reference, base);
    contract_compare(c, &reference);
    EXPECT(c, "recall CreateBatch b5 WHITE 10 id=i5", "not found");
    contract_close(&reference);
}

void all_is_there_after_a_reopen(void **state)
{
    struct contract *c = *state;
    struct contract reference;
    contract_open(&reference, &contract_reference);
    contract_group(&reference, base);
    contract_group(c, base);
    contract_reopen(c);
    contract_compare(c, &reference);
    contract_group(&reference, more);
    contract_group(c, more);
    contract_reopen(c);
    contract_compare(c, &reference);
    contract_close(&reference);
}

void what_a_unit_hands_out_lives_until_the_next_begin(void **state)
{
    struct contract *c = *state;
    contract_group(c, base);
    contract_begin(c, 1);
    for (unsigned i = 0; i < 50; i++)
        contract_run(c, contract_text(c, "CreateBatch x%u SKU%u 9", i, i));
    contract_commit(c);
    contract_reopen(c);

    contract_begin(c, 1);
    struct product *product = NULL;
    struct product *owner = NULL;
    const struct batch *batch = NULL;
    struct order_line line;
    struct order_line *newest = NULL;
    size_t count = 0;
    struct request request = build_request("Allocate o1 RED 6 id=i1");
    struct reply reply = {.outcome = OUTCOME_DONE};
    assert_int_equal(unit_product(c->unit, text_of("RED"), &product), STORE_OK);
    assert_int_equal(unit_line(c->unit, text_of("o2"), text_of("RED"), &line), STORE_OK);
    assert_int_equal(unit_batch(c->unit, text_of("b1"), &owner, &batch), STORE_OK);
    assert_ptr_equal(owner, product);
    assert_int_equal(unit_newest_lines(c->unit, product, batch, 10, &newest, &count), STORE_OK);
    assert_int_equal(unit_recall(c->unit, &request, &reply), STORE_OK);
    for (unsigned i = 0; i < 50; i++) /* and much else comes into the unit */
        contract_run(c, contract_text(c, "Allocate o1 SKU%u 1 id=j%u", i, i));
    contract_run(c, "Deallocate o2 RED");
    EXPECT(c, "GetStock RED", "ok RED v6 available=14 b1:4/10:- b2:10/10:2030-01-01 exhausted=0");
    assert_int_equal(unit_product(c->unit, text_of("RED"), &owner), STORE_OK);
    assert_ptr_equal(owner, product);
    contract_commit(c);

    assert_true(text_equal(product_sku(product), text_of("RED")));
    assert_int_equal(product_totals(product)->available, 14);
    assert_true(text_equal(line.orderid, text_of("o2")));
    assert_true(text_equal(line.sku, text_of("RED")));
    assert_true(text_equal(line.batchref, text_of("b1")));
    assert_int_equal(count, 2);
    assert_true(text_equal(newest[0].orderid, text_of("o2")));
    assert_true(text_equal(newest[1].orderid, text_of("o1")));
    assert_true(text_equal(reply.batchref, text_of("b1")));
}

/* ---- chance ---- */

static uint32_t dice;

/* 0 to sides - 1, the same ones each time. */
static unsigned roll(unsigned sides)
{
    dice = dice * 1664525u + 1013904223u;
    return (dice >> 8) % sides;
}

static const char *random_command(struct contract *c)
{
    static const char *const skus[] = {"RED", "BLUE", "REDDER"};
    const char *sku = skus[roll(3)];
    const char *id = roll(3) == 0 ? contract_text(c, " id=i%u", roll(40)) : "";
    unsigned ref = roll(12);
    switch (roll(10)) {
    case 0:
        return contract_text(c, "CreateBatch b%u %s %u%s", ref, sku, 1 + roll(40), id);
    case 1:
        return contract_text(c, "CreateBatch b%u %s %u 2030-01-0%u%s", ref, sku, 1 + roll(40),
                             1 + roll(3), id);
    case 2:
    case 3:
        return contract_text(c, "ChangeBatchQuantity b%u %u%s", ref, roll(40), id);
    case 4:
        return contract_text(c, "ChangeBatchEta b%u 2030-01-0%u%s", ref, 1 + roll(3), id);
    case 5:
    case 6:
        return contract_text(c, "Deallocate o%u %s%s", roll(30), sku, id);
    default:
        return contract_text(c, "Allocate o%u %s %u%s", roll(30), sku, 1 + roll(9), id);
    }
}

/* The store rolls groups back and is opened again; the reference only sees what was committed. */
void random_groups_leave_what_the_committed_ones_did(void **state)
{
    struct contract *c = *state;
    struct contract reference;
    contract_open(&reference, &contract_reference);
    dice = 20240229;
    for (unsigned group = 0; group < 150; group++) {
        const char *commands[9] = {NULL};
        for (unsigned i = 0; i < 1 + roll(8); i++)
            commands[i] = random_command(c);
        if (roll(3) == 0) {
            contract_begin(c, 1);
            run_all(c, commands);
            unit_rollback(c->unit);
        }
        if (roll(4) != 0) {
            contract_group(c, commands);
            contract_group(&reference, commands);
        }
        if (roll(10) == 0)
            contract_reopen(c);
        if (group % 10 == 9)
            contract_compare(c, &reference);
    }
    contract_reopen(c);
    contract_compare(c, &reference);
    contract_close(&reference);
}
