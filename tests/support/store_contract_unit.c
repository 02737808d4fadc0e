/* The contract of the unit of work: products, batches, lines, the log, commit and rollback. */
#include "tests/support/store_contract_inside.h"

#include <stdlib.h>

void an_empty_store_knows_nothing(void **state)
{
    struct contract *c = *state;
    contract_begin(c, 1);
    struct product *product = NULL;
    const struct batch *batch = NULL;
    struct order_line line = {.seq = 77};
    assert_int_equal(unit_product(c->unit, text_of("RED"), &product), STORE_NOT_FOUND);
    assert_int_equal(unit_batch(c->unit, text_of("b1"), &product, &batch), STORE_NOT_FOUND);
    assert_int_equal(unit_line(c->unit, text_of("o1"), text_of("RED"), &line), STORE_NOT_FOUND);
    assert_null(product);
    assert_null(batch);
    assert_int_equal(line.seq, 77);
    assert_int_equal(unit_last_seq(c->unit), 0);
    EXPECT(c, "recall Allocate o1 RED 1 id=i1", "not found");
    unit_rollback(c->unit);
    assert_false(c->unit->is_open);
    unit_rollback(c->unit); /* it is closed: nothing to do */
    EXPECT(c, "GetAllocations o1", "not found");
    EXPECT(c, "GetStock RED", "not found");
    EXPECT(c, "ListBatches RED", "not found");
    EXPECT(c, "GetBatch b1", "not found");
    EXPECT(c, "ListProducts", "ok");
    EXPECT(c, "GetEvents", "ok head=0 first=0");
    EXPECT(c, "figures", "seq=0 products=0 waiting=0");
}

/* ---- the log ---- */

/* Appends one event by hand to an open unit. */
static struct event append(struct contract *c, const char *sku, const char *decided,
                           struct text *body)
{
    struct product *product = NULL;
    if (unit_product(c->unit, text_of(sku), &product) != STORE_OK)
        assert_int_equal(unit_add_product(c->unit, text_of(sku), &product), STORE_OK);
    struct event event = build_event(decided);
    assert_int_equal(unit_append(c->unit, product, &event, body), STORE_OK);
    assert_int_equal(product_totals(product)->last_seq, event.seq); /* it was applied */
    return event;
}

void an_event_is_completed_by_the_log(void **state)
{
    struct contract *c = *state;
    struct text body;
    struct text second_body;
    contract_begin(c, 5000);
    append(c, "RED", "BatchCreated b1 10 2030-01-02", &body);
    struct event event = append(c, "RED", "Allocated o1 3 b1 id=i1", &second_body);
    assert_int_equal(event.seq, 2);
    assert_int_equal(event.prev, 0);
    assert_int_equal(event.time_ms, 5000);
    assert_int_equal(event.version, 2);
    assert_true(text_equal(event.sku, text_of("RED")));
    struct text third_body;
    append(c, "RED", "Allocated o2 1 b1", &third_body);

    struct event published;
    assert_true(codec_decode_event(c->codec, second_body, &published));
    assert_int_equal(published.seq, 2);
    assert_int_equal(published.time_ms, 5000);
    assert_int_equal(published.version, 2);
    assert_true(text_equal(published.cause, text_of("i1")));
    contract_commit(c);

    /* What is to be published lives on, and is what the log gives, byte for byte. */
    struct reply page = contract_read(c, "GetEvents");
    assert_int_equal(page.as.events.count, 3);
    assert_true(text_equal(page.as.events.rows[0].body, body));
    assert_true(text_equal(page.as.events.rows[1].body, second_body));
    assert_true(text_equal(page.as.events.rows[2].body, third_body));
    EXPECT(c, "GetEvents after=1 limit=1",
           "ok [2 prev=0 RED v2 cause=i1 Allocated o1 3 b1] next=2 head=3 first=1");
}

void prev_leads_to_the_event_before_of_the_same_type(void **state)
{
    struct contract *c = *state;
    struct text body;
    contract_begin(c, 1);
    append(c, "RED", "BatchCreated b1 10 -", &body);
    assert_int_equal(append(c, "RED", "Allocated o1 1 b1", &body).prev, 0);
    assert_int_equal(append(c, "BLUE", "BatchCreated b2 10 -", &body).prev, 1);
    contract_commit(c);
    contract_reopen(c);
    contract_begin(c, 1);
    assert_int_equal(append(c, "BLUE", "Allocated o1 1 b2", &body).prev, 2);
    assert_int_equal(append(c, "BLUE", "OutOfStock o1 99 -", &body).prev, 0);
    unit_rollback(c->unit);
    contract_begin(c, 1);
    assert_int_equal(append(c, "BLUE", "OutOfStock o1 99 -", &body).prev, 0);
    assert_int_equal(append(c, "BLUE", "Allocated o2 1 b2", &body).prev, 2);
    contract_commit(c);
}

void time_never_goes_back(void **state)
{
    struct contract *c = *state;
    struct text body;
    contract_begin(c, 9000);
    assert_int_equal(append(c, "RED", "BatchCreated b1 1 -", &body).time_ms, 9000);
    contract_commit(c);
    contract_begin(c, 12000);
    append(c, "RED", "BatchCreated b2 1 -", &body);
    unit_rollback(c->unit);
    contract_begin(c, 8000);
    assert_int_equal(append(c, "RED", "BatchCreated b2 1 -", &body).time_ms, 9000);
    assert_int_equal(append(c, "BLUE", "BatchCreated b3 1 -", &body).time_ms, 9000);
    contract_commit(c);
    contract_reopen(c);
    contract_begin(c, 8500);
    assert_int_equal(append(c, "BLUE", "BatchCreated b4 1 -", &body).time_ms, 9000);
    contract_commit(c);
    contract_begin(c, 9001);
    assert_int_equal(append(c, "BLUE", "BatchCreated b5 1 -", &body).time_ms, 9001);
    contract_commit(c);
}

void an_empty_unit_leaves_nothing(void **state)
{
    struct contract *c = *state;
    contract_begin(c, 1);
    contract_commit(c);
    assert_false(c->unit->is_open);
    GROUP(c, "CreateBatch b1 RED 10");
    contract_begin(c, 1);
    contract_commit(c);
    contract_reopen(c);
    EXPECT(c, "figures", "seq=1 products=1 waiting=0");
}

/* ---- products, batches, lines ---- */

void a_product_without_events_is_none(void **state)
{
    struct contract *c = *state;
    struct product *product = NULL;
    contract_begin(c, 1);
    assert_int_equal(unit_add_product(c->unit, text_of("RED"), &product), STORE_OK);
    assert_true(text_equal(product_sku(product), text_of("RED")));
    EXPECT(c, "product RED", "not found");
    EXPECT(c, "GetStock RED", "not found");
    EXPECT(c, "ListProducts", "ok");
    EXPECT(c, "figures", "seq=0 products=0 waiting=0");
    contract_run(c, "CreateBatch b1 RED 5"); /* which adds it again */
    contract_commit(c);
    EXPECT(c, "GetStock RED", "ok RED v1 available=5 b1:5/5:- exhausted=0");
}

void batches_are_found_by_their_ref(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10 2030-01-02", "CreateBatch b2 RED 5", "CreateBatch b3 BLUE 7",
          "Allocate o1 RED 5");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "batch b1", "RED b1:10/10:2030-01-02 age=1");
        EXPECT(c, "batch b2", "RED b2:0/5:- age=2");
        EXPECT(c, "batch b3", "BLUE b3:7/7:- age=3");
        EXPECT(c, "batch b", "not found");
        EXPECT(c, "GetBatch b1", "ok RED b1:10/10:2030-01-02");
        EXPECT(c, "GetBatch b2", "ok RED b2:0/5:-");
        EXPECT(c, "product RED",
               "RED v3 last=4 available=10 open=1/2"
               " b1:10/10:2030-01-02 age=1 waiting=0");
        contract_reopen(c);
    }
    contract_begin(c, 1);
    assert_int_equal(contract_run(c, "CreateBatch b2 RED 5"), OUTCOME_DONE);
    assert_int_equal(contract_run(c, "CreateBatch b2 BLUE 5"), OUTCOME_BATCH_CONFLICT);
    assert_int_equal(unit_last_seq(c->unit), 4);
    unit_rollback(c->unit);
}

void lines_are_found_by_order_and_sku(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "CreateBatch b2 BLUE 10", "Allocate o1 RED 4",
          "Allocate o1 BLUE 5", "Allocate o2 RED 6", "Allocate o3 RED 1");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "line o1 RED", "4 b1 seq=3");
        EXPECT(c, "line o1 BLUE", "5 b2 seq=4");
        EXPECT(c, "line o2 RED", "6 b1 seq=5");
        EXPECT(c, "line o2 BLUE", "not found");
        EXPECT(c, "line o3 RED", "not found"); /* refused, so not kept */
        EXPECT(c, "GetAllocations o1", "ok BLUE:5:b2 RED:4:b1");
        EXPECT(c, "GetAllocations o3", "not found");
        contract_reopen(c);
    }
    GROUP(c, "Deallocate o1 RED");
    EXPECT(c, "line o1 RED", "not found");
    EXPECT(c, "GetAllocations o1", "ok BLUE:5:b2");
    GROUP(c, "Deallocate o1 BLUE");
    EXPECT(c, "GetAllocations o1", "not found");
}

void names_that_begin_alike_are_kept_apart(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch 1 RED 10", "CreateBatch D1 RE 20", "CreateBatch 11 RED 30 2030-01-01",
          "Allocate o RED 1", "Allocate oR ED 2", "Allocate o RE 3", "CreateBatch x ED 40",
          "Allocate oR ED 4", "Allocate o1 RED 5");
    EXPECT(c, "ListBatches RE", "ok D1:17/20:-");
    EXPECT(c, "ListBatches RED", "ok 1:4/10:- 11:30/30:2030-01-01");
    EXPECT(c, "GetStock RE", "ok RE v2 available=17 D1:17/20:- exhausted=0");
    EXPECT(c, "GetAllocations o", "ok RE:3:D1 RED:1:1");
    EXPECT(c, "GetAllocations oR", "ok ED:4:x");
    EXPECT(c, "GetAllocations o1", "ok RED:5:1");
    EXPECT(c, "ListProducts", "ok ED:v2:36:1 RE:v2:17:1 RED:v4:34:2");
    contract_reopen(c);
    EXPECT(c, "product RE", "RE v2 last=5 available=17 open=1/1 D1:17/20:- age=2 waiting=0");
    GROUP(c, "ChangeBatchQuantity D1 0"); /* the line of order o waits now */
    contract_reopen(c);
    EXPECT(c, "product RE", "RE v5 last=11 available=0 open=0/1 waiting=1 o:3@11");
    EXPECT(c, "product RED",
           "RED v4 last=8 available=34 open=2/2 1:4/10:- age=1"
           " 11:30/30:2030-01-01 age=3 waiting=0");
}

void the_longest_names_are_kept(void **state)
{
    struct contract *c = *state;
    /* As long as they may be, and different in the last byte alone. */
    const char *sku1 = contract_text(c, "%0*d", SKU_MAX_BYTES, 1);
    const char *sku2 = contract_text(c, "%0*d", SKU_MAX_BYTES, 2);
    const char *ref1 = contract_text(c, "%0*d", REF_MAX_BYTES, 1);
    const char *ref2 = contract_text(c, "%0*d", REF_MAX_BYTES, 2);
    GROUP(c, contract_text(c, "CreateBatch %s %s 10", ref1, sku1),
          contract_text(c, "CreateBatch %s %s 20", ref2, sku2),
          contract_text(c, "Allocate %s %s 3", ref1, sku1),
          contract_text(c, "Allocate %s %s 4", ref1, sku2),
          contract_text(c, "Allocate %s %s 5", ref2, sku1),
          contract_text(c, "ChangeBatchQuantity %s 3", ref1));
    contract_reopen(c);
    EXPECT(c, contract_text(c, "GetAllocations %s", ref1),
           contract_text(c, "ok %s:3:%s %s:4:%s", sku1, ref1, sku2, ref2));
    EXPECT(c, contract_text(c, "line %s %s", ref2, sku1), "5 waits seq=8");
    EXPECT(c, contract_text(c, "ListBatches %s after=%s", sku1, ref1), "ok");
    EXPECT(c, contract_text(c, "ListBatches %s", sku2), contract_text(c, "ok %s:16/20:-", ref2));
    EXPECT(c, contract_text(c, "GetBatch %s", ref1),
           contract_text(c, "ok %s %s:0/3:-", sku1, ref1));
}

void several_products_change_in_one_unit(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "CreateBatch b2 BLUE 10", "CreateBatch b3 RED 10 2030-01-01",
          "Allocate o1 RED 9", "Allocate o1 BLUE 9", "Allocate o2 RED 9", "Allocate o3 RED 1",
          "ChangeBatchEta b2 2031-01-01", "ChangeBatchQuantity b3 20", "Deallocate o1 RED");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "product RED",
               "RED v7 last=10 available=20 open=2/2 b1:9/10:- age=1"
               " b3:11/20:2030-01-01 age=3 waiting=0");
        EXPECT(c, "product BLUE",
               "BLUE v3 last=8 available=1 open=1/1"
               " b2:1/10:2031-01-01 age=2 waiting=0");
        EXPECT(c, "ListProducts", "ok BLUE:v3:1:1 RED:v7:20:2");
        EXPECT(c, "figures", "seq=10 products=2 waiting=0");
        contract_reopen(c);
    }
}

void an_exhausted_batch_comes_back(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 5", "CreateBatch b2 RED 7", "Allocate o1 RED 5");
    contract_reopen(c);
    EXPECT(c, "GetStock RED", "ok RED v3 available=7 b2:7/7:- exhausted=1");
    GROUP(c, "Deallocate o1 RED");
    contract_reopen(c);
    EXPECT(c, "product RED",
           "RED v4 last=4 available=12 open=2/2 b1:5/5:- age=1"
           " b2:7/7:- age=2 waiting=0");
    GROUP(c, "Allocate o1 RED 5");
    contract_reopen(c);
    GROUP(c, "ChangeBatchQuantity b1 8"); /* it grows */
    EXPECT(c, "GetStock RED", "ok RED v6 available=10 b1:3/8:- b2:7/7:- exhausted=0");
    GROUP(c, "Allocate o2 RED 3");
    contract_reopen(c);
    GROUP(c, "ChangeBatchEta b1 2031-05-05"); /* which it keeps while it is exhausted */
    EXPECT(c, "GetStock RED", "ok RED v8 available=7 b2:7/7:- exhausted=1");
    contract_reopen(c);
    GROUP(c, "Deallocate o2 RED");
    EXPECT(c, "GetStock RED", "ok RED v9 available=10 b2:7/7:- b1:3/8:2031-05-05 exhausted=0");
}

void waiting_lines_keep_their_order(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "Allocate o1 RED 5", "Allocate o2 RED 3", "Allocate o3 RED 2",
          "ChangeBatchQuantity b1 0");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "product RED",
               "RED v11 last=11 available=0 open=0/1"
               " waiting=3 o1:5@9 o2:3@10 o3:2@11");
        EXPECT(c, "GetAllocations o2", "ok RED:3:-");
        EXPECT(c, "line o2 RED", "3 waits seq=10");
        EXPECT(c, "figures", "seq=11 products=1 waiting=3");
        contract_reopen(c);
    }
    GROUP(c, "Deallocate o2 RED");
    contract_reopen(c);
    EXPECT(c, "GetAllocations o2", "not found");
    GROUP(c, "ChangeBatchQuantity b1 2"); /* o1 does not fit, the later o3 does */
    contract_reopen(c);
    EXPECT(c, "product RED", "RED v14 last=14 available=0 open=0/1 waiting=1 o1:5@9");
    EXPECT(c, "line o3 RED", "2 b1 seq=14");
    GROUP(c, "CreateBatch b2 RED 20");
    contract_reopen(c);
    EXPECT(c, "line o1 RED", "5 b2 seq=16");
    EXPECT(c, "figures", "seq=16 products=1 waiting=0");
}

/* ---- the chain of a batch's allocations ---- */

void newest_lines_are_just_so_many(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 100", "CreateBatch b2 BLUE 100", "Allocate o1 RED 10",
          "Allocate o2 RED 20", "Allocate o1 BLUE 3", "Allocate o3 RED 30");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "newest b1 1", "o3:30@6");
        EXPECT(c, "newest b1 30", "o3:30@6");
        EXPECT(c, "newest b1 31", "o3:30@6 o2:20@4");
        EXPECT(c, "newest b1 60", "o3:30@6 o2:20@4 o1:10@3");
        EXPECT(c, "newest b2 3", "o1:3@5");
        contract_reopen(c);
    }
}

void newest_lines_pass_over_dead_ones(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 100", "Allocate o0 RED 1", "Allocate o1 RED 10",
          "Allocate o2 RED 20", "Allocate o3 RED 30", "Allocate o4 RED 5");
    GROUP(c, "Deallocate o4 RED"); /* the newest */
    contract_reopen(c);
    EXPECT(c, "batch b1", "RED b1:39/100:- age=1");
    GROUP(c, "Deallocate o2 RED"); /* one within the chain */
    contract_reopen(c);
    EXPECT(c, "newest b1 30", "o3:30@5");
    EXPECT(c, "newest b1 31", "o3:30@5 o1:10@3");
    EXPECT(c, "newest b1 41", "o3:30@5 o1:10@3 o0:1@2");
    GROUP(c, "Deallocate o1 RED", "Allocate o1 RED 10"); /* again, in the same batch */
    EXPECT(c, "newest b1 41", "o1:10@10 o3:30@5 o0:1@2");
    GROUP(c, "Deallocate o1 RED", "Deallocate o3 RED"); /* the head is a dead one now */
    contract_reopen(c);
    EXPECT(c, "batch b1", "RED b1:99/100:- age=1");
    EXPECT(c, "newest b1 1", "o0:1@2");
    GROUP(c, "Allocate o5 RED 2");
    EXPECT(c, "newest b1 3", "o5:2@13 o0:1@2");
}

void displaced_lines_leave_the_chain(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "CreateBatch b2 RED 10 2030-01-01", "Allocate o1 RED 4",
          "Allocate o2 RED 3", "Allocate o3 RED 3");
    contract_reopen(c);
    GROUP(c, "ChangeBatchQuantity b1 5");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "batch b1", "RED b1:1/5:- age=1");
        EXPECT(c, "batch b2", "RED b2:4/10:2030-01-01 age=2");
        EXPECT(c, "newest b1 4", "o1:4@3");
        EXPECT(c, "newest b2 6", "o3:3@10 o2:3@9");
        EXPECT(c, "line o2 RED", "3 b2 seq=9");
        EXPECT(c, "GetAllocations o2", "ok RED:3:b2");
        contract_reopen(c);
    }
    /* And back, so that both chains have events of the same lines. */
    GROUP(c, "ChangeBatchQuantity b1 10", "ChangeBatchQuantity b2 3");
    contract_reopen(c);
    EXPECT(c, "newest b1 7", "o3:3@14 o1:4@3");
    EXPECT(c, "newest b2 3", "o2:3@9");
    GROUP(c, "ChangeBatchQuantity b2 0", "Deallocate o3 RED");
    EXPECT(c, "newest b1 7", "o2:3@17 o1:4@3");
    EXPECT(c, "batch b2", "RED b2:0/0:2030-01-01 age=2");
}

void a_line_that_waited_stands_in_the_chain_of_its_batch(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "Allocate o1 RED 6", "Allocate o2 RED 4",
          "ChangeBatchQuantity b1 2");
    contract_reopen(c);
    GROUP(c, "CreateBatch b2 RED 5");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "line o1 RED", "6 waits seq=7");
        EXPECT(c, "line o2 RED", "4 b2 seq=10");
        EXPECT(c, "newest b2 4", "o2:4@10");
        EXPECT(c, "product RED",
               "RED v10 last=10 available=3 open=2/2 b1:2/2:- age=1"
               " b2:1/5:- age=9 waiting=1 o1:6@7");
        contract_reopen(c);
    }
    GROUP(c, "Deallocate o1 RED");
    EXPECT(c, "line o1 RED", "not found");
    EXPECT(c, "figures", "seq=11 products=1 waiting=0");
}
