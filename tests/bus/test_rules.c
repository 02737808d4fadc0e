/* Rules 1 to 7 of the protocol (docs/PROTOCOL.md), as conversations. Rules 8 to 10 are in
 * test_rules_of_ids.c. */
#include "tests/support/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- rule 1: available = purchased - allocated; a line goes whole to one batch ---- */

static void rule_1_no_line_is_split(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"CreateBatch b2 RED 5 -", "ok seq=2", NULL},
        {"Allocate o1 RED 8", "out_of_stock RED seq=3", "3 prev=0 RED v3 OutOfStock o1 8 -"},
        {"Allocate o1 RED 5", "ok seq=4 batchref=b1", "4 prev=0 RED v4 Allocated o1 5 b1"},
        {"GetStock RED", "ok RED v4 available=5 b2:5/5:- exhausted=1", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_1_available_never_falls_below_zero(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 1000000000 -", "ok seq=1", NULL},
        {"Allocate o1 RED 1000000000", "ok seq=2 batchref=b1", NULL},
        {"GetBatch b1", "ok RED b1:0/1000000000:-", ""},
        {"ChangeBatchQuantity b1 0", "ok seq=5",
         "3 prev=0 RED v3 BatchQuantityChanged b1 0; "
         "4 prev=0 RED v4 Deallocated o1 1000000000 b1; "
         "5 prev=0 RED v5 OutOfStock o1 1000000000 waiting"},
        {"GetBatch b1", "ok RED b1:0/0:-", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_1_one_more_than_available_does_not_fit(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 10 -", "ok seq=1", NULL},
        {"Allocate o1 RED 11", "out_of_stock RED seq=2", NULL},
        {"Allocate o1 RED 10", "ok seq=3 batchref=b1", NULL},
        {"Allocate o2 RED 1", "out_of_stock RED seq=4", NULL},
        {"GetBatch b1", "ok RED b1:0/10:-", ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- rule 2: the order of use ---- */

static void rule_2_warehouse_then_earliest_eta_then_the_older_batch(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch z-old RED 1 2030-01-01", "ok seq=1", NULL},
        {"CreateBatch a-young RED 1 2030-01-01", "ok seq=2", NULL},
        {"CreateBatch past RED 1 0001-01-01", "ok seq=3", NULL},
        {"CreateBatch z-here RED 1 -", "ok seq=4", NULL},
        {"CreateBatch a-here RED 1 -", "ok seq=5", NULL},
        {"GetStock RED",
         "ok RED v5 available=5 z-here:1/1:- a-here:1/1:- past:1/1:0001-01-01 "
         "z-old:1/1:2030-01-01 a-young:1/1:2030-01-01 exhausted=0",
         ""},
        {"Allocate o1 RED 1", "ok seq=6 batchref=z-here", NULL},
        {"Allocate o2 RED 1", "ok seq=7 batchref=a-here", NULL},
        {"Allocate o3 RED 1", "ok seq=8 batchref=past", NULL},
        {"Allocate o4 RED 1", "ok seq=9 batchref=z-old", NULL},
        {"Allocate o5 RED 1", "ok seq=10 batchref=a-young", NULL},
        {"Allocate o6 RED 1", "out_of_stock RED seq=11", NULL},
    };
    CONVERSE(state, exchanges);
}

static void rule_2_a_batch_that_is_too_small_is_passed_over(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch small RED 3 -", "ok seq=1", NULL},
        {"CreateBatch big RED 9 2030-01-01", "ok seq=2", NULL},
        {"Allocate o1 RED 4", "ok seq=3 batchref=big", NULL},
        {"Allocate o2 RED 3", "ok seq=4 batchref=small", NULL},
    };
    CONVERSE(state, exchanges);
}

static void rule_2_an_eta_that_changes_moves_the_batch(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 9 2030-01-01", "ok seq=1", NULL},
        {"CreateBatch b2 RED 9 2030-02-01", "ok seq=2", NULL},
        {"Allocate o1 RED 1", "ok seq=3 batchref=b1", NULL},
        {"ChangeBatchEta b2 - id=e", "ok id=e seq=4",
         "4 prev=0 RED v4 cause=e BatchEtaChanged b2 -"},
        {"GetAllocations o1", "ok RED:1:b1", ""},
        {"Allocate o2 RED 1", "ok seq=5 batchref=b2", NULL},
        {"ChangeBatchEta b2 2031-01-01", "ok seq=6",
         "6 prev=4 RED v6 BatchEtaChanged b2 2031-01-01"},
        {"Allocate o3 RED 1", "ok seq=7 batchref=b1", NULL},
        {"GetStock RED", "ok RED v7 available=15 b1:7/9:2030-01-01 b2:8/9:2031-01-01 exhausted=0",
         ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- rule 3: a line is known by order and SKU ---- */

static void rule_3_the_same_line_again(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"CreateBatch b2 BLUE 5 -", "ok seq=2", NULL},
        {"Allocate o1 RED 5", "ok seq=3 batchref=b1", NULL},
        {"Allocate o1 RED 5", "ok seq=3 batchref=b1 duplicate", ""},
        {"Allocate o1 BLUE 5", "ok seq=4 batchref=b2", "4 prev=3 BLUE v2 Allocated o1 5 b2"},
        {"Allocate o1 RED 5", "ok seq=4 batchref=b1 duplicate", ""},
        {"GetStock RED", "ok RED v2 available=0 exhausted=1", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_3_line_conflict_comes_before_stock(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"Allocate o1 RED 3", "ok seq=2 batchref=b1", NULL},
        {"Allocate o1 RED 1", "line_conflict o1/RED seq=2", ""},
        {"Allocate o1 RED 1000", "line_conflict o1/RED seq=2", ""},
        {"GetAllocations o1", "ok RED:3:b1", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_3_a_line_that_waits(void **state)
{
    struct conversation *c = *state;
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"Allocate o1 RED 3", "ok seq=2 batchref=b1", NULL},
        {"ChangeBatchQuantity b1 2", "ok seq=5", NULL},
        {"Allocate o1 RED 3", "out_of_stock RED seq=5", ""},
        {"Allocate o1 RED 2", "line_conflict o1/RED seq=5", ""},
        {"GetAllocations o1", "ok RED:3:-", ""},
        {"GetStock RED", "ok RED v5 available=2 b1:2/2:- exhausted=0", ""},
        {"ChangeBatchQuantity b1 3", "ok seq=7",
         "6 prev=3 RED v6 BatchQuantityChanged b1 3; 7 prev=2 RED v7 Allocated o1 3 b1"},
        {"Allocate o1 RED 3", "ok seq=7 batchref=b1 duplicate", ""},
    };
    CONVERSE(state, exchanges);
    assert_int_equal(c->fakes->notifier.count, 1);
}

/* ---- rule 4: a batch reference is unique in the node ---- */

static void rule_4_the_same_batch_again(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 2030-01-01", "ok seq=1", NULL},
        {"CreateBatch b1 RED 5 2030-01-01", "ok seq=1 duplicate", ""},
        {"CreateBatch b1 RED 6 2030-01-01", "batch_conflict b1 seq=1", ""},
        {"CreateBatch b1 RED 5 2030-01-02", "batch_conflict b1 seq=1", ""},
        {"CreateBatch b1 RED 5 -", "batch_conflict b1 seq=1", ""},
        {"CreateBatch b1 BLUE 5 2030-01-01", "batch_conflict b1 seq=1", ""},
        {"ListProducts", "ok RED:v1:5:1", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_4_what_it_has_now_counts(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"Allocate o1 RED 5", "ok seq=2 batchref=b1", NULL},
        {"CreateBatch b1 RED 5 -", "ok seq=2 duplicate", ""},
        {"ChangeBatchQuantity b1 7", "ok seq=3", NULL},
        {"ChangeBatchEta b1 2030-01-01", "ok seq=4", NULL},
        {"CreateBatch b1 RED 5 -", "batch_conflict b1 seq=4", ""},
        {"CreateBatch b1 RED 7 2030-01-01", "ok seq=4 duplicate", ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- rule 5: products and their versions ---- */

static void rule_5_a_product_comes_with_its_first_batch(void **state)
{
    static const struct exchange exchanges[] = {
        {"Allocate o1 RED 1", "invalid_sku RED seq=0", ""},
        {"Deallocate o1 RED", "invalid_sku RED seq=0", ""},
        {"GetStock RED", "invalid_sku RED", ""},
        {"ListBatches RED", "invalid_sku RED", ""},
        {"ListProducts", "ok", ""},
        {"CreateBatch b1 RED 1 -", "ok seq=1", "1 prev=0 RED v1 BatchCreated b1 1 -"},
        {"ListProducts", "ok RED:v1:1:1", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_5_each_event_raises_the_version_of_its_product(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 9 -", "ok seq=1", "1 prev=0 RED v1 BatchCreated b1 9 -"},
        {"CreateBatch b2 BLUE 9 -", "ok seq=2", "2 prev=1 BLUE v1 BatchCreated b2 9 -"},
        {"Allocate o1 BLUE 1", "ok seq=3 batchref=b2", "3 prev=0 BLUE v2 Allocated o1 1 b2"},
        {"Allocate o1 RED 1", "ok seq=4 batchref=b1", "4 prev=3 RED v2 Allocated o1 1 b1"},
        {"Allocate o2 RED 10", "out_of_stock RED seq=5", "5 prev=0 RED v3 OutOfStock o2 10 -"},
        {"Deallocate o1 RED", "ok seq=6", "6 prev=0 RED v4 Deallocated o1 1 b1"},
        {"ListProducts", "ok BLUE:v2:8:1 RED:v4:9:1", ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- rule 6: quantity and ETA of a batch ---- */

static void rule_6_what_is_so_already_is_a_duplicate(void **state)
{
    static const struct exchange exchanges[] = {
        {"ChangeBatchQuantity b1 5", "unknown_batch b1 seq=0", ""},
        {"ChangeBatchEta b1 -", "unknown_batch b1 seq=0", ""},
        {"GetBatch b1", "unknown_batch b1", ""},
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"ChangeBatchQuantity b1 5", "ok seq=1 duplicate", ""},
        {"ChangeBatchEta b1 -", "ok seq=1 duplicate", ""},
        {"ChangeBatchQuantity b1 0", "ok seq=2", "2 prev=0 RED v2 BatchQuantityChanged b1 0"},
        {"ChangeBatchQuantity b1 0", "ok seq=2 duplicate", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_6_the_newest_lines_lose_their_stock_and_the_oldest_find_new_first(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 10 -", "ok seq=1", NULL},
        {"Allocate oldest RED 4", "ok seq=2 batchref=b1", NULL},
        {"Allocate middle RED 3", "ok seq=3 batchref=b1", NULL},
        {"Allocate newest RED 3", "ok seq=4 batchref=b1", NULL},
        {"CreateBatch b2 RED 3 2030-01-01", "ok seq=5", NULL},
        {"ChangeBatchQuantity b1 6 id=q", "ok id=q seq=10",
         "6 prev=0 RED v6 cause=q BatchQuantityChanged b1 6; "
         "7 prev=0 RED v7 cause=q Deallocated newest 3 b1; "
         "8 prev=7 RED v8 cause=q Deallocated middle 3 b1; "
         "9 prev=4 RED v9 cause=q Allocated middle 3 b2; "
         "10 prev=0 RED v10 cause=q OutOfStock newest 3 waiting"},
        {"GetAllocations newest", "ok RED:3:-", ""},
        {"GetStats", "ok seq=10 products=1 waiting_lines=1", ""},
    };
    CONVERSE(state, exchanges);
}

/* An allocation counts from when it was made, not from when its order first came. */
static void rule_6_a_line_that_came_back_is_the_newest(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 10 -", "ok seq=1", NULL},
        {"Allocate o1 RED 5", "ok seq=2 batchref=b1", NULL},
        {"Allocate o2 RED 5", "ok seq=3 batchref=b1", NULL},
        {"Deallocate o1 RED", "ok seq=4", NULL},
        {"Allocate o1 RED 5", "ok seq=5 batchref=b1", NULL},
        {"ChangeBatchQuantity b1 9", "ok seq=8",
         "6 prev=0 RED v6 BatchQuantityChanged b1 9; "
         "7 prev=4 RED v7 Deallocated o1 5 b1; "
         "8 prev=0 RED v8 OutOfStock o1 5 waiting"},
        {"ChangeBatchQuantity b1 4", "ok seq=11",
         "9 prev=6 RED v9 BatchQuantityChanged b1 4; "
         "10 prev=7 RED v10 Deallocated o2 5 b1; "
         "11 prev=8 RED v11 OutOfStock o2 5 waiting"},
    };
    CONVERSE(state, exchanges);
}

/* A line that lost its place may get it back in the same batch, where a bigger one left room. */
static void rule_6_a_displaced_line_may_return_to_its_batch(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 10 -", "ok seq=1", NULL},
        {"Allocate big RED 8", "ok seq=2 batchref=b1", NULL},
        {"Allocate small RED 2", "ok seq=3 batchref=b1", NULL},
        {"ChangeBatchQuantity b1 7", "ok seq=8",
         "4 prev=0 RED v4 BatchQuantityChanged b1 7; "
         "5 prev=0 RED v5 Deallocated small 2 b1; "
         "6 prev=5 RED v6 Deallocated big 8 b1; "
         "7 prev=0 RED v7 OutOfStock big 8 waiting; "
         "8 prev=3 RED v8 Allocated small 2 b1"},
        {"GetAllocations big", "ok RED:8:-", ""},
        {"GetAllocations small", "ok RED:2:b1", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_6_an_exhausted_batch_grows(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"Allocate o1 RED 5", "ok seq=2 batchref=b1", NULL},
        {"Allocate o2 RED 1", "out_of_stock RED seq=3", NULL},
        {"ChangeBatchQuantity b1 6", "ok seq=4", "4 prev=0 RED v4 BatchQuantityChanged b1 6"},
        {"Allocate o2 RED 1", "ok seq=5 batchref=b1", "5 prev=2 RED v5 Allocated o2 1 b1"},
    };
    CONVERSE(state, exchanges);
}

/* ---- rule 7: stock that grows serves the lines that wait ---- */

/* b1 holds nothing; o1 (4), o2 (2), o3 (3) wait in this order. The newest event is 11. */
static const struct exchange three_lines_wait[] = {
    {"CreateBatch b1 RED 9 -", "ok seq=1", NULL},
    {"Allocate o1 RED 4", "ok seq=2 batchref=b1", NULL},
    {"Allocate o2 RED 2", "ok seq=3 batchref=b1", NULL},
    {"Allocate o3 RED 3", "ok seq=4 batchref=b1", NULL},
    {"ChangeBatchQuantity b1 0", "ok seq=11",
     "5 prev=0 RED v5 BatchQuantityChanged b1 0; "
     "6 prev=0 RED v6 Deallocated o3 3 b1; "
     "7 prev=6 RED v7 Deallocated o2 2 b1; "
     "8 prev=7 RED v8 Deallocated o1 4 b1; "
     "9 prev=0 RED v9 OutOfStock o1 4 waiting; "
     "10 prev=9 RED v10 OutOfStock o2 2 waiting; "
     "11 prev=10 RED v11 OutOfStock o3 3 waiting"},
};

static void rule_7_a_new_batch_serves_them_in_the_order_of_waiting(void **state)
{
    CONVERSE(state, three_lines_wait);
    static const struct exchange exchanges[] = {
        {"CreateBatch b2 RED 9 2030-01-01 id=n", "ok id=n seq=15",
         "12 prev=1 RED v12 cause=n BatchCreated b2 9 2030-01-01; "
         "13 prev=4 RED v13 cause=n Allocated o1 4 b2; "
         "14 prev=13 RED v14 cause=n Allocated o2 2 b2; "
         "15 prev=14 RED v15 cause=n Allocated o3 3 b2"},
        {"GetStats", "ok seq=15 products=1 waiting_lines=0", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_7_one_that_does_not_fit_stops_no_later_one(void **state)
{
    CONVERSE(state, three_lines_wait);
    static const struct exchange exchanges[] = {
        {"ChangeBatchQuantity b1 3", "ok seq=13",
         "12 prev=5 RED v12 BatchQuantityChanged b1 3; 13 prev=4 RED v13 Allocated o2 2 b1"},
        {"GetAllocations o1", "ok RED:4:-", ""},
        {"GetAllocations o3", "ok RED:3:-", ""},
        {"ChangeBatchQuantity b1 5", "ok seq=15",
         "14 prev=12 RED v14 BatchQuantityChanged b1 5; 15 prev=13 RED v15 Allocated o3 3 b1"},
        {"GetAllocations o1", "ok RED:4:-", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_7_a_deallocation_serves_them(void **state)
{
    CONVERSE(state, three_lines_wait);
    static const struct exchange exchanges[] = {
        {"CreateBatch b2 RED 4 -", "ok seq=13",
         "12 prev=1 RED v12 BatchCreated b2 4 -; 13 prev=4 RED v13 Allocated o1 4 b2"},
        {"Deallocate o1 RED id=d", "ok id=d seq=15",
         "14 prev=8 RED v14 cause=d Deallocated o1 4 b2; "
         "15 prev=13 RED v15 cause=d Allocated o2 2 b2"},
        {"GetAllocations o3", "ok RED:3:-", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_7_other_products_do_not_serve_them(void **state)
{
    CONVERSE(state, three_lines_wait);
    static const struct exchange exchanges[] = {
        {"CreateBatch b2 BLUE 100 -", "ok seq=12", "12 prev=1 BLUE v1 BatchCreated b2 100 -"},
        {"GetStats", "ok seq=12 products=2 waiting_lines=3", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_7_raises_no_second_out_of_stock(void **state)
{
    struct conversation *c = *state;
    CONVERSE(state, three_lines_wait);
    assert_int_equal(c->fakes->notifier.count, 3);
    static const struct exchange exchanges[] = {
        {"CreateBatch b2 RED 1 -", "ok seq=12", "12 prev=1 RED v12 BatchCreated b2 1 -"},
    };
    CONVERSE(state, exchanges);
    assert_int_equal(c->fakes->notifier.count, 3);
}

/* Shrinking may free stock too: the line that had to go was bigger than what was missing. First
 * come the lines that the command displaced, then those that waited before it. */
static void rule_7_after_the_lines_of_rule_6(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 10 -", "ok seq=1", NULL},
        {"Allocate o1 RED 4", "ok seq=2 batchref=b1", NULL},
        {"Allocate o2 RED 6", "ok seq=3 batchref=b1", NULL},
        {"CreateBatch b2 RED 5 2030-01-01", "ok seq=4", NULL},
        {"Allocate waiter RED 5", "ok seq=5 batchref=b2", NULL},
        {"ChangeBatchQuantity b2 0", "ok seq=8", NULL},
        {"ChangeBatchQuantity b1 9", "ok seq=12",
         "9 prev=6 RED v9 BatchQuantityChanged b1 9; "
         "10 prev=7 RED v10 Deallocated o2 6 b1; "
         "11 prev=8 RED v11 OutOfStock o2 6 waiting; "
         "12 prev=5 RED v12 Allocated waiter 5 b1"},
    };
    CONVERSE(state, exchanges);
}

static void rule_7_a_fresh_order_may_go_before_one_that_waits_and_does_not_fit(void **state)
{
    CONVERSE(state, three_lines_wait);
    static const struct exchange exchanges[] = {
        {"CreateBatch b2 RED 1 -", "ok seq=12", NULL},
        {"Allocate o4 RED 1", "ok seq=13 batchref=b2", "13 prev=4 RED v13 Allocated o4 1 b2"},
    };
    CONVERSE(state, exchanges);
}

#define CASE(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, conversation_set_up, conversation_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(rule_1_no_line_is_split),
        CASE(rule_1_available_never_falls_below_zero),
        CASE(rule_1_one_more_than_available_does_not_fit),
        CASE(rule_2_warehouse_then_earliest_eta_then_the_older_batch),
        CASE(rule_2_a_batch_that_is_too_small_is_passed_over),
        CASE(rule_2_an_eta_that_changes_moves_the_batch),
        CASE(rule_3_the_same_line_again),
        CASE(rule_3_line_conflict_comes_before_stock),
        CASE(rule_3_a_line_that_waits),
        CASE(rule_4_the_same_batch_again),
        CASE(rule_4_what_it_has_now_counts),
        CASE(rule_5_a_product_comes_with_its_first_batch),
        CASE(rule_5_each_event_raises_the_version_of_its_product),
        CASE(rule_6_what_is_so_already_is_a_duplicate),
        CASE(rule_6_the_newest_lines_lose_their_stock_and_the_oldest_find_new_first),
        CASE(rule_6_a_line_that_came_back_is_the_newest),
        CASE(rule_6_a_displaced_line_may_return_to_its_batch),
        CASE(rule_6_an_exhausted_batch_grows),
        CASE(rule_7_a_new_batch_serves_them_in_the_order_of_waiting),
        CASE(rule_7_one_that_does_not_fit_stops_no_later_one),
        CASE(rule_7_a_deallocation_serves_them),
        CASE(rule_7_other_products_do_not_serve_them),
        CASE(rule_7_raises_no_second_out_of_stock),
        CASE(rule_7_after_the_lines_of_rule_6),
        CASE(rule_7_a_fresh_order_may_go_before_one_that_waits_and_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
