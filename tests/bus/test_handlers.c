/* What "Architecture Patterns with Python" tests of its service in its final state, in its words as
 * far as they fit: each case is a conversation with the bus. */
#include "tests/support/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- batches ---- */

static void allocating_to_a_batch_reduces_what_is_available(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 SMALL-TABLE 20 -", "ok seq=1",
         "1 prev=0 SMALL-TABLE v1 BatchCreated b1 20 -"},
        {"Allocate o1 SMALL-TABLE 2", "ok seq=2 batchref=b1",
         "2 prev=0 SMALL-TABLE v2 Allocated o1 2 b1"},
        {"GetBatch b1", "ok SMALL-TABLE b1:18/20:-", ""},
        {"GetStock SMALL-TABLE", "ok SMALL-TABLE v2 available=18 b1:18/20:- exhausted=0", ""},
    };
    CONVERSE(state, exchanges);
}

static void can_allocate_if_available_is_greater(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 LAMP 20 -", "ok seq=1", NULL},
        {"Allocate o1 LAMP 2", "ok seq=2 batchref=b1", NULL},
    };
    CONVERSE(state, exchanges);
}

static void can_allocate_if_available_is_equal(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 LAMP 20 -", "ok seq=1", NULL},
        {"Allocate o1 LAMP 20", "ok seq=2 batchref=b1", NULL},
        {"GetStock LAMP", "ok LAMP v2 available=0 exhausted=1", ""},
    };
    CONVERSE(state, exchanges);
}

static void cannot_allocate_if_available_is_smaller(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 LAMP 2 -", "ok seq=1", NULL},
        {"Allocate o1 LAMP 20", "out_of_stock LAMP seq=2", "2 prev=0 LAMP v2 OutOfStock o1 20 -"},
        {"GetBatch b1", "ok LAMP b1:2/2:-", ""},
    };
    CONVERSE(state, exchanges);
}

static void cannot_allocate_if_skus_do_not_match(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 CHAIR 100 -", "ok seq=1", NULL},
        {"CreateBatch b2 TOASTER 1 -", "ok seq=2", NULL},
        {"Allocate o1 TOASTER 10", "out_of_stock TOASTER seq=3",
         "3 prev=0 TOASTER v2 OutOfStock o1 10 -"},
        {"GetBatch b1", "ok CHAIR b1:100/100:-", ""},
    };
    CONVERSE(state, exchanges);
}

static void allocation_is_idempotent(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 DESK 20 -", "ok seq=1", NULL},
        {"Allocate o1 DESK 2", "ok seq=2 batchref=b1", NULL},
        {"Allocate o1 DESK 2", "ok seq=2 batchref=b1 duplicate", ""},
        {"GetStock DESK", "ok DESK v2 available=18 b1:18/20:- exhausted=0", ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- products ---- */

static void prefers_warehouse_batches_to_shipments(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch shipment CLOCK 100 2030-01-01", "ok seq=1", NULL},
        {"CreateBatch warehouse CLOCK 100 -", "ok seq=2", NULL},
        {"Allocate o1 CLOCK 10", "ok seq=3 batchref=warehouse",
         "3 prev=0 CLOCK v3 Allocated o1 10 warehouse"},
        {"GetStock CLOCK",
         "ok CLOCK v3 available=190 warehouse:90/100:- shipment:100/100:2030-01-01 exhausted=0",
         ""},
    };
    CONVERSE(state, exchanges);
}

static void prefers_earlier_batches(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch normal SPOON 100 2030-01-02", "ok seq=1", NULL},
        {"CreateBatch slow SPOON 100 2030-02-01", "ok seq=2", NULL},
        {"CreateBatch speedy SPOON 100 2030-01-01", "ok seq=3", NULL},
        {"Allocate o1 SPOON 10", "ok seq=4 batchref=speedy", NULL},
        {"GetStock SPOON",
         "ok SPOON v4 available=290 speedy:90/100:2030-01-01 normal:100/100:2030-01-02 "
         "slow:100/100:2030-02-01 exhausted=0",
         ""},
    };
    CONVERSE(state, exchanges);
}

static void returns_the_reference_of_the_batch(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch in-stock-batch-ref POSTER 100 -", "ok seq=1", NULL},
        {"CreateBatch shipment-batch-ref POSTER 100 2030-01-01", "ok seq=2", NULL},
        {"Allocate oref POSTER 10", "ok seq=3 batchref=in-stock-batch-ref", NULL},
    };
    CONVERSE(state, exchanges);
}

static void outputs_an_allocated_event(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 LAMP 100 -", "ok seq=1", NULL},
        {"Allocate o1 LAMP 10 id=order-1", "ok id=order-1 seq=2 batchref=b1",
         "2 prev=0 LAMP v2 cause=order-1 Allocated o1 10 b1"},
    };
    CONVERSE(state, exchanges);
}

static void records_an_out_of_stock_event(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 FORK 10 -", "ok seq=1", NULL},
        {"Allocate o1 FORK 10", "ok seq=2 batchref=b1", NULL},
        {"Allocate o2 FORK 1 id=x", "out_of_stock FORK id=x seq=3",
         "3 prev=0 FORK v3 cause=x OutOfStock o2 1 -"},
    };
    CONVERSE(state, exchanges);
}

static void increments_the_version(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 PEN 100 -", "ok seq=1", NULL},
        {"CreateBatch b2 OTHER 100 -", "ok seq=2", NULL},
        {"GetStock PEN", "ok PEN v1 available=100 b1:100/100:- exhausted=0", ""},
        {"Allocate o1 PEN 10", "ok seq=3 batchref=b1", "3 prev=0 PEN v2 Allocated o1 10 b1"},
        {"GetStock PEN", "ok PEN v2 available=90 b1:90/100:- exhausted=0", ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- handlers ---- */

static void add_batch_for_a_new_product(void **state)
{
    static const struct exchange exchanges[] = {
        {"GetStock CUSHION", "invalid_sku CUSHION", ""},
        {"CreateBatch b1 CUSHION 100 -", "ok seq=1", "1 prev=0 CUSHION v1 BatchCreated b1 100 -"},
        {"ListProducts", "ok CUSHION:v1:100:1", ""},
    };
    CONVERSE(state, exchanges);
}

static void add_batch_for_an_existing_product(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RUG 100 -", "ok seq=1", NULL},
        {"CreateBatch b2 RUG 99 2030-01-01 id=2", "ok id=2 seq=2",
         "2 prev=1 RUG v2 cause=2 BatchCreated b2 99 2030-01-01"},
        {"ListBatches RUG", "ok b1:100/100:- b2:99/99:2030-01-01", ""},
        {"ListProducts", "ok RUG:v2:199:2", ""},
    };
    CONVERSE(state, exchanges);
}

static void errors_for_an_invalid_sku(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 REALSKU 100 -", "ok seq=1", NULL},
        {"Allocate o1 NONEXISTENT 10", "invalid_sku NONEXISTENT seq=1", ""},
        {"GetAllocations o1", "unknown_order o1", ""},
    };
    CONVERSE(state, exchanges);
}

static void notifies_on_out_of_stock(void **state)
{
    struct conversation *c = *state;
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 CURTAINS 9 -", "ok seq=1", NULL},
        {"Allocate o1 CURTAINS 9", "ok seq=2 batchref=b1", NULL},
    };
    CONVERSE(state, exchanges);
    assert_int_equal(c->fakes->notifier.count, 0);
    conversation_ask(c, "Allocate o2 CURTAINS 10");
    assert_int_equal(c->fakes->notifier.count, 1);
    assert_int_equal(c->fakes->notifier.last_seq, 3);
}

static void changes_the_available_quantity(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 SOFA 100 -", "ok seq=1", NULL},
        {"ChangeBatchQuantity b1 50", "ok seq=2", "2 prev=0 SOFA v2 BatchQuantityChanged b1 50"},
        {"GetStock SOFA", "ok SOFA v2 available=50 b1:50/50:- exhausted=0", ""},
    };
    CONVERSE(state, exchanges);
}

static void reallocates_if_necessary(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 STOOL 50 -", "ok seq=1", NULL},
        {"CreateBatch b2 STOOL 50 2030-01-01", "ok seq=2", NULL},
        {"Allocate o1 STOOL 20", "ok seq=3 batchref=b1", NULL},
        {"Allocate o2 STOOL 20", "ok seq=4 batchref=b1", NULL},
        {"GetStock STOOL", "ok STOOL v4 available=60 b1:10/50:- b2:50/50:2030-01-01 exhausted=0",
         ""},
        {"ChangeBatchQuantity b1 25", "ok seq=7",
         "5 prev=0 STOOL v5 BatchQuantityChanged b1 25; "
         "6 prev=0 STOOL v6 Deallocated o2 20 b1; "
         "7 prev=4 STOOL v7 Allocated o2 20 b2"},
        {"GetStock STOOL", "ok STOOL v7 available=35 b1:5/25:- b2:30/50:2030-01-01 exhausted=0",
         ""},
        {"GetAllocations o2", "ok STOOL:20:b2", ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- the view of allocations ---- */

static void view_of_allocations(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch sku1batch SKU1 50 -", "ok seq=1", NULL},
        {"CreateBatch sku2batch SKU2 50 2030-01-01", "ok seq=2", NULL},
        {"Allocate order1 SKU1 20", "ok seq=3 batchref=sku1batch", NULL},
        {"Allocate order1 SKU2 20", "ok seq=4 batchref=sku2batch", NULL},
        {"CreateBatch sku1later SKU1 50 2030-01-01", "ok seq=5", NULL},
        {"Allocate otherorder SKU1 30", "ok seq=6 batchref=sku1batch", NULL},
        {"Allocate otherorder SKU2 10", "ok seq=7 batchref=sku2batch", NULL},
        {"GetAllocations order1", "ok SKU1:20:sku1batch SKU2:20:sku2batch", ""},
        {"GetAllocations otherorder", "ok SKU1:30:sku1batch SKU2:10:sku2batch", ""},
        {"GetAllocations nobody", "unknown_order nobody", ""},
    };
    CONVERSE(state, exchanges);
}

static void view_follows_a_deallocation(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 SKU1 50 -", "ok seq=1", NULL},
        {"CreateBatch b2 SKU1 50 2030-01-01", "ok seq=2", NULL},
        {"Allocate o1 SKU1 40", "ok seq=3 batchref=b1", NULL},
        {"ChangeBatchQuantity b1 10", "ok seq=6", NULL},
        {"GetAllocations o1", "ok SKU1:40:b2", ""},
        {"ChangeBatchQuantity b2 10", "ok seq=9", NULL},
        {"GetAllocations o1", "ok SKU1:40:-", ""},
        {"Deallocate o1 SKU1", "ok seq=10", "10 prev=8 SKU1 v10 Deallocated o1 40 -"},
        {"GetAllocations o1", "unknown_order o1", ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- the external event: a change of quantity that another service reports ---- */

static void change_from_outside_reaches_reallocation(void **state)
{
    struct conversation *c = *state;
    conversation_ask(c, "CreateBatch old CLOCK 10 2030-01-01");
    conversation_ask(c, "CreateBatch newer CLOCK 10 2030-01-02");
    conversation_ask(c, "Allocate o1 CLOCK 10");
    conversation_events(c);

    /* {"type": "BatchQuantityChanged", "batchref": "old", "qty": 5}: what upstream sends is
     * decoded into a command without an id. */
    static const char body[] = "\x83\xa4type\xb4"
                               "BatchQuantityChanged"
                               "\xa8"
                               "batchref"
                               "\xa3"
                               "old"
                               "\xa3qty\x05";
    struct request request = {.type = MESSAGE_CHANGE_BATCH_QUANTITY};
    assert_true(codec_decode_upstream(c->codec, (struct text){body, sizeof body - 1},
                                      &request.as.change_batch_quantity));
    bus_handle(c->fakes->bus, &request, NULL);
    assert_int_equal(conversation_commit(c), STORE_OK);
    bus_publish(c->fakes->bus);
    assert_string_equal(conversation_reply(c, 0), "ok seq=6");
    assert_string_equal(conversation_events(c), "4 prev=0 CLOCK v4 BatchQuantityChanged old 5; "
                                                "5 prev=0 CLOCK v5 Deallocated o1 10 old; "
                                                "6 prev=3 CLOCK v6 Allocated o1 10 newer");
    conversation_end_group(c);
}

#define CASE(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, conversation_set_up, conversation_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(allocating_to_a_batch_reduces_what_is_available),
        CASE(can_allocate_if_available_is_greater),
        CASE(can_allocate_if_available_is_equal),
        CASE(cannot_allocate_if_available_is_smaller),
        CASE(cannot_allocate_if_skus_do_not_match),
        CASE(allocation_is_idempotent),
        CASE(prefers_warehouse_batches_to_shipments),
        CASE(prefers_earlier_batches),
        CASE(returns_the_reference_of_the_batch),
        CASE(outputs_an_allocated_event),
        CASE(records_an_out_of_stock_event),
        CASE(increments_the_version),
        CASE(add_batch_for_a_new_product),
        CASE(add_batch_for_an_existing_product),
        CASE(errors_for_an_invalid_sku),
        CASE(notifies_on_out_of_stock),
        CASE(changes_the_available_quantity),
        CASE(reallocates_if_necessary),
        CASE(view_of_allocations),
        CASE(view_follows_a_deallocation),
        CASE(change_from_outside_reaches_reallocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
