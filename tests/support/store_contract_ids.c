/* The contract of remembered replies (rule 10). */
#include "tests/support/store_contract_inside.h"

#include <stdlib.h>

void a_reply_is_recalled_by_its_id(void **state)
{
    struct contract *c = *state;
    contract_begin(c, 1);
    contract_run(c, "CreateBatch b1 RED 10 id=i1");
    EXPECT(c, "recall CreateBatch b1 RED 10 id=i1", "ok seq=1"); /* before the commit */
    contract_run(c, "CreateBatch b1 RED 10 id=i2");
    contract_run(c, "Allocate o1 RED 4 id=i3");
    contract_run(c, "Deallocate o1 RED id=i4");
    contract_commit(c);
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "recall CreateBatch b1 RED 10 id=i1", "ok seq=1");
        EXPECT(c, "recall CreateBatch b1 RED 10 id=i2", "ok seq=1 duplicate");
        EXPECT(c, "recall Allocate o1 RED 4 id=i3", "ok seq=2 batchref=b1");
        EXPECT(c, "recall Deallocate o1 RED id=i4", "ok seq=3");
        EXPECT(c, "recall Deallocate o1 RED id=i5", "not found");
        contract_reopen(c);
    }
}

void recall_fills_four_fields_alone(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "Allocate o1 RED 4 id=i1");
    contract_begin(c, 1);
    struct request request = build_request("Allocate o1 RED 4 id=i1");
    struct reply reply;
    memset(&reply, 0x5a, sizeof reply);
    struct reply expected = reply;
    expected.outcome = OUTCOME_DONE;
    expected.seq = 2;
    expected.duplicate = false;
    assert_int_equal(unit_recall(c->unit, &request, &reply), STORE_OK);
    assert_true(text_equal(reply.batchref, text_of("b1")));
    expected.batchref = reply.batchref;
    assert_memory_equal(&reply, &expected, sizeof reply);

    memset(&reply, 0x5a, sizeof reply);
    memset(&expected, 0x5a, sizeof expected);
    request = build_request("Allocate o1 RED 5 id=i1");
    assert_int_equal(unit_recall(c->unit, &request, &reply), STORE_OTHER);
    request = build_request("Allocate o1 RED 4 id=i2");
    assert_int_equal(unit_recall(c->unit, &request, &reply), STORE_NOT_FOUND);
    assert_memory_equal(&reply, &expected, sizeof reply);
    unit_rollback(c->unit);
}

void refusals_are_remembered_as_well(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "Allocate o1 RED 40 id=i1", "Allocate o1 BLUE 1 id=i2",
          "ChangeBatchQuantity b9 1 id=i3", "Deallocate o9 RED id=i4",
          "CreateBatch b1 RED 11 id=i5");
    contract_reopen(c);
    EXPECT(c, "recall Allocate o1 RED 40 id=i1", "out_of_stock seq=2");
    EXPECT(c, "recall Allocate o1 BLUE 1 id=i2", "invalid_sku seq=2");
    EXPECT(c, "recall ChangeBatchQuantity b9 1 id=i3", "unknown_batch seq=2");
    EXPECT(c, "recall Deallocate o9 RED id=i4", "unknown_line seq=2");
    EXPECT(c, "recall CreateBatch b1 RED 11 id=i5", "batch_conflict seq=2");
}

void another_request_with_the_id_is_told_apart(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10 2030-01-01 id=i1", "CreateBatch b2 RED 10 id=i2",
          "ChangeBatchEta b1 - id=i3", "Allocate o1 RED 4 id=i4");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "recall CreateBatch b1 RED 10 2030-01-01 id=i1", "ok seq=1");
        EXPECT(c, "recall CreateBatch b1 RED 10 id=i1", "other");
        EXPECT(c, "recall CreateBatch b1 RED 10 2030-01-02 id=i1", "other");
        EXPECT(c, "recall CreateBatch b1 RED 11 2030-01-01 id=i1", "other");
        EXPECT(c, "recall CreateBatch b1 REE 10 2030-01-01 id=i1", "other");
        EXPECT(c, "recall CreateBatch b2 RED 10 id=i2", "ok seq=2");
        EXPECT(c, "recall CreateBatch b2 RED 10 2030-01-01 id=i2", "other");
        EXPECT(c, "recall ChangeBatchEta b1 - id=i3", "ok seq=3");
        EXPECT(c, "recall ChangeBatchEta b1 2030-01-01 id=i3", "other");
        EXPECT(c, "recall Deallocate o1 RED id=i4", "other");
        contract_reopen(c);
    }
}

void ids_that_begin_alike_are_kept_apart(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10 id=a", "Allocate o1 RED 1 id=aa", "Allocate o2 RED 2 id=aaa");
    contract_reopen(c);
    EXPECT(c, "recall CreateBatch b1 RED 10 id=a", "ok seq=1");
    EXPECT(c, "recall Allocate o1 RED 1 id=aa", "ok seq=2 batchref=b1");
    EXPECT(c, "recall Allocate o2 RED 2 id=aaa", "ok seq=3 batchref=b1");
    EXPECT(c, "recall Allocate o2 RED 2 id=aaaa", "not found");
}

void the_longest_id_and_request_are_kept(void **state)
{
    struct contract *c = *state;
    const char *create =
        contract_text(c, "CreateBatch %0255d %064d 1000000000 9999-12-31 id=%064d", 1, 2, 3);
    const char *allocate = contract_text(c, "Allocate %0255d %064d 1000000000 id=%064d", 4, 2, 5);
    GROUP(c, create, allocate);
    contract_reopen(c);
    EXPECT(c, contract_text(c, "recall %s", create), "ok seq=1");
    EXPECT(c, contract_text(c, "recall %s", allocate),
           contract_text(c, "ok seq=2 batchref=%0255d", 1));
}

void ids_outlive_a_reopen_and_no_rollback(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10 id=i1");
    contract_begin(c, 1);
    contract_run(c, "Allocate o1 RED 1 id=i2");
    contract_run(c, "Allocate o2 RED 99 id=i3");
    unit_rollback(c->unit);
    contract_begin(c, 1);
    contract_run(c, "Allocate o3 RED 3 id=i2"); /* the id is free for any request */
    contract_run(c, "CreateBatch b1 RED 10 id=i1");
    assert_int_equal(unit_last_seq(c->unit), 2);
    contract_commit(c);
    contract_reopen(c);
    EXPECT(c, "recall CreateBatch b1 RED 10 id=i1", "ok seq=1");
    EXPECT(c, "recall Allocate o3 RED 3 id=i2", "ok seq=2 batchref=b1");
    EXPECT(c, "recall Allocate o1 RED 1 id=i2", "other");
    EXPECT(c, "recall Allocate o2 RED 99 id=i3", "not found");
}

void many_ids_are_all_recalled(void **state)
{
    struct contract *c = *state;
    enum { IDS = 3000, GROUPS = 10 };
    GROUP(c, "CreateBatch b1 RED 1000000");
    for (unsigned group = 0; group < GROUPS; group++) {
        contract_begin(c, 1);
        for (unsigned i = group; i < IDS; i += GROUPS)
            contract_run(c, contract_text(c, "Allocate o%u RED 1 id=i%u", i, i));
        contract_commit(c);
    }
    for (int round = 0; round < 2; round++) {
        contract_begin(c, 1);
        for (unsigned i = 0; i < IDS; i++) {
            unsigned seq = 2 + i % GROUPS * (IDS / GROUPS) + i / GROUPS;
            EXPECT(c, contract_text(c, "recall Allocate o%u RED 1 id=i%u", i, i),
                   contract_text(c, "ok seq=%u batchref=b1", seq));
        }
        EXPECT(c, contract_text(c, "recall Allocate o1 RED 1 id=i%u", IDS), "not found");
        unit_rollback(c->unit);
        contract_reopen(c);
    }
}
