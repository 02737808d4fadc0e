/* Rules 8 to 10 of the protocol (docs/PROTOCOL.md), as conversations: what a refused line leaves
 * behind, the order of checks, and requests that are sent again. That a command is one transaction
 * (rule 9) is in test_groups.c. */
#include "tests/support/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- rule 8 ---- */

static void rule_8_a_refused_line_is_not_kept(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 1 -", "ok seq=1", NULL},
        {"Allocate o1 RED 5", "out_of_stock RED seq=2", "2 prev=0 RED v2 OutOfStock o1 5 -"},
        {"GetAllocations o1", "unknown_order o1", ""},
        {"Deallocate o1 RED", "unknown_line o1/RED seq=2", ""},
        {"CreateBatch b2 RED 5 -", "ok seq=3", "3 prev=1 RED v3 BatchCreated b2 5 -"},
        {"GetStock RED", "ok RED v3 available=6 b1:1/1:- b2:5/5:- exhausted=0", ""},
        {"Allocate o1 RED 6", "out_of_stock RED seq=4", "4 prev=2 RED v4 OutOfStock o1 6 -"},
        {"Allocate o1 RED 4", "ok seq=5 batchref=b2", "5 prev=0 RED v5 Allocated o1 4 b2"},
    };
    CONVERSE(state, exchanges);
}

static void rule_8_deallocate_removes_an_allocated_line_for_good(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"Allocate o1 RED 3", "ok seq=2 batchref=b1", NULL},
        {"Deallocate o1 RED id=d", "ok id=d seq=3", "3 prev=0 RED v3 cause=d Deallocated o1 3 b1"},
        {"GetAllocations o1", "unknown_order o1", ""},
        {"GetBatch b1", "ok RED b1:5/5:-", ""},
        {"Deallocate o1 RED", "unknown_line o1/RED seq=3", ""},
        {"Allocate o1 RED 4", "ok seq=4 batchref=b1", "4 prev=2 RED v4 Allocated o1 4 b1"},
    };
    CONVERSE(state, exchanges);
}

static void rule_8_deallocate_removes_a_waiting_line(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"Allocate o1 RED 3", "ok seq=2 batchref=b1", NULL},
        {"ChangeBatchQuantity b1 0", "ok seq=5", NULL},
        {"Deallocate o1 RED", "ok seq=6", "6 prev=4 RED v6 Deallocated o1 3 -"},
        {"GetStats", "ok seq=6 products=1 waiting_lines=0", ""},
        {"ChangeBatchQuantity b1 5", "ok seq=7", "7 prev=3 RED v7 BatchQuantityChanged b1 5"},
        {"GetAllocations o1", "unknown_order o1", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_8_other_lines_of_the_order_stay(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"CreateBatch b2 BLUE 5 -", "ok seq=2", NULL},
        {"Allocate o1 RED 3", "ok seq=3 batchref=b1", NULL},
        {"Allocate o1 BLUE 3", "ok seq=4 batchref=b2", NULL},
        {"Deallocate o1 RED", "ok seq=5", NULL},
        {"GetAllocations o1", "ok BLUE:3:b2", ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- rule 9: id, unknown SKU, unknown batch or line, duplicate or conflict, stock ---- */

static void rule_9_the_order_of_checks(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 - id=a", "ok id=a seq=1", NULL},
        {"Allocate o1 NONE 1 id=a", "id_reused a id=a seq=1", ""},
        {"ChangeBatchQuantity none 1 id=a", "id_reused a id=a seq=1", ""},
        {"CreateBatch b1 RED 6 - id=a", "id_reused a id=a seq=1", ""},
        {"Allocate o1 RED 9 id=a", "id_reused a id=a seq=1", ""},
        {"Deallocate o1 NONE", "invalid_sku NONE seq=1", ""},
        {"Deallocate o1 RED", "unknown_line o1/RED seq=1", ""},
        {"Allocate o1 RED 5", "ok seq=2 batchref=b1", NULL},
        {"Allocate o1 NONE 6", "invalid_sku NONE seq=2", ""},
        {"Allocate o1 RED 6", "line_conflict o1/RED seq=2", ""},
        {"Allocate o1 RED 5", "ok seq=2 batchref=b1 duplicate", ""},
        {"CreateBatch b1 NONE 5 -", "batch_conflict b1 seq=2", ""},
    };
    CONVERSE(state, exchanges);
}

/* ---- rule 10: the same id again ---- */

static void rule_10_the_same_request_gets_the_same_reply(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 2030-01-01 id=a", "ok id=a seq=1",
         "1 prev=0 RED v1 cause=a BatchCreated b1 5 2030-01-01"},
        {"Allocate o1 RED 2 id=b", "ok id=b seq=2 batchref=b1",
         "2 prev=0 RED v2 cause=b Allocated o1 2 b1"},
        {"ChangeBatchQuantity b1 4 id=c", "ok id=c seq=3", NULL},
        {"ChangeBatchEta b1 - id=d", "ok id=d seq=4", NULL},
        {"Deallocate o1 RED id=e", "ok id=e seq=5", NULL},
        {"CreateBatch b1 RED 5 2030-01-01 id=a", "ok id=a seq=1", ""},
        {"Allocate o1 RED 2 id=b", "ok id=b seq=2 batchref=b1", ""},
        {"ChangeBatchQuantity b1 4 id=c", "ok id=c seq=3", ""},
        {"ChangeBatchEta b1 - id=d", "ok id=d seq=4", ""},
        {"Deallocate o1 RED id=e", "ok id=e seq=5", ""},
        {"GetBatch b1", "ok RED b1:4/4:-", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_10_with_another_request_the_id_is_reused(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 - id=a", "ok id=a seq=1", NULL},
        {"CreateBatch b1 RED 6 - id=a", "id_reused a id=a seq=1", ""},
        {"CreateBatch b2 RED 5 - id=a", "id_reused a id=a seq=1", ""},
        {"CreateBatch b1 BLUE 5 - id=a", "id_reused a id=a seq=1", ""},
        {"CreateBatch b1 RED 5 2030-01-01 id=a", "id_reused a id=a seq=1", ""},
        {"ChangeBatchQuantity b1 5 id=a", "id_reused a id=a seq=1", ""},
        {"Allocate b1 RED 5 id=a", "id_reused a id=a seq=1", ""},
        {"CreateBatch b1 RED 5 - id=a", "ok id=a seq=1", ""},
        {"CreateBatch b1 RED 5 - id=A", "ok id=A seq=1 duplicate", ""},
        {"Deallocate o1 RED id=x", "unknown_line o1/RED id=x seq=1", ""},
        {"ChangeBatchEta b1 - id=x", "id_reused x id=x seq=1", ""},
        {"ChangeBatchEta b1 2030-01-01 id=y", "ok id=y seq=2", NULL},
        {"ChangeBatchEta b1 - id=y", "id_reused y id=y seq=2", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_10_refusals_by_a_rule_are_remembered(void **state)
{
    static const struct exchange exchanges[] = {
        {"Allocate o1 RED 2 id=1", "invalid_sku RED id=1 seq=0", ""},
        {"ChangeBatchQuantity b1 2 id=2", "unknown_batch b1 id=2 seq=0", ""},
        {"CreateBatch b1 RED 1 -", "ok seq=1", NULL},
        {"Allocate o1 RED 2 id=3", "out_of_stock RED id=3 seq=2", NULL},
        {"Deallocate o1 RED id=4", "unknown_line o1/RED id=4 seq=2", ""},
        {"CreateBatch b1 RED 9 - id=5", "batch_conflict b1 id=5 seq=2", ""},
        {"ChangeBatchQuantity b1 9", "ok seq=3", NULL},
        {"Allocate o1 RED 2", "ok seq=4 batchref=b1", NULL},
        {"Allocate o1 RED 3 id=6", "line_conflict o1/RED id=6 seq=4", ""},
        {"Deallocate o1 RED", "ok seq=5", NULL},
        {"Allocate o1 RED 2 id=1", "invalid_sku RED id=1 seq=0", ""},
        {"ChangeBatchQuantity b1 2 id=2", "unknown_batch b1 id=2 seq=0", ""},
        {"Allocate o1 RED 2 id=3", "out_of_stock RED id=3 seq=2", ""},
        {"Deallocate o1 RED id=4", "unknown_line o1/RED id=4 seq=2", ""},
        {"CreateBatch b1 RED 9 - id=5", "batch_conflict b1 id=5 seq=2", ""},
        {"Allocate o1 RED 3 id=6", "line_conflict o1/RED id=6 seq=4", ""},
        {"Allocate o1 RED 2 id=7", "ok id=7 seq=6 batchref=b1", NULL},
    };
    CONVERSE(state, exchanges);
}

static void rule_10_a_duplicate_is_remembered_as_one(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 - id=a", "ok id=a seq=1", NULL},
        {"CreateBatch b1 RED 5 - id=b", "ok id=b seq=1 duplicate", ""},
        {"Allocate o1 RED 2 id=c", "ok id=c seq=2 batchref=b1", NULL},
        {"Allocate o1 RED 2 id=d", "ok id=d seq=2 batchref=b1 duplicate", ""},
        {"Deallocate o1 RED", "ok seq=3", NULL},
        {"CreateBatch b1 RED 5 - id=b", "ok id=b seq=1 duplicate", ""},
        {"Allocate o1 RED 2 id=d", "ok id=d seq=2 batchref=b1 duplicate", ""},
        {"Allocate o1 RED 2 id=c", "ok id=c seq=2 batchref=b1", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_10_queries_and_reused_ids_are_not_remembered(void **state)
{
    static const struct exchange exchanges[] = {
        {"GetStock RED id=q", "invalid_sku RED id=q", ""},
        {"Ping id=q", "ok id=q", ""},
        {"CreateBatch b1 RED 5 - id=q", "ok id=q seq=1", NULL},
        {"GetStock RED id=q", "ok id=q RED v1 available=5 b1:5/5:- exhausted=0", ""},
        {"ChangeBatchQuantity b1 6 id=q", "id_reused q id=q seq=1", ""},
        {"CreateBatch b1 RED 5 - id=q", "ok id=q seq=1", ""},
    };
    CONVERSE(state, exchanges);
}

static void rule_10_without_an_id_nothing_is_remembered(void **state)
{
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 -", "ok seq=1", NULL},
        {"Allocate o1 RED 9", "out_of_stock RED seq=2", NULL},
        {"Allocate o1 RED 9", "out_of_stock RED seq=3", "3 prev=2 RED v3 OutOfStock o1 9 -"},
        {"ChangeBatchQuantity b1 9", "ok seq=4", NULL},
        {"Allocate o1 RED 9", "ok seq=5 batchref=b1", NULL},
    };
    CONVERSE(state, exchanges);
}

static void rule_10_a_later_bus_remembers(void **state)
{
    struct conversation *c = *state;
    assert_string_equal(conversation_ask(c, "CreateBatch b1 RED 5 - id=a"), "ok id=a seq=1");
    fake_parts_destroy(&c->fakes);
    c->fakes = fake_parts_new(&c->faulty.unit, &c->faulty.reader);
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 5 - id=a", "ok id=a seq=1", ""},
        {"Allocate o1 RED 1 id=b", "ok id=b seq=2 batchref=b1",
         "2 prev=0 RED v2 cause=b Allocated o1 1 b1"},
    };
    CONVERSE(state, exchanges);
}

/* ---- which refusals are worth another try ---- */

static void out_of_stock_and_trouble_with_storage_are_retryable(void **state)
{
    (void)state;
    for (enum outcome outcome = OUTCOME_DONE; outcome < OUTCOMES; outcome++) {
        const struct outcome_info *info = outcome_info(outcome);
        bool is_passing = outcome == OUTCOME_OUT_OF_STOCK || outcome == OUTCOME_STORAGE_FULL ||
                          outcome == OUTCOME_STORAGE_FAILED;
        if (info->retryable != is_passing)
            fail_msg("%s", info->code);
    }
}

#define CASE(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, conversation_set_up, conversation_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(rule_8_a_refused_line_is_not_kept),
        CASE(rule_8_deallocate_removes_an_allocated_line_for_good),
        CASE(rule_8_deallocate_removes_a_waiting_line),
        CASE(rule_8_other_lines_of_the_order_stay),
        CASE(rule_9_the_order_of_checks),
        CASE(rule_10_the_same_request_gets_the_same_reply),
        CASE(rule_10_with_another_request_the_id_is_reused),
        CASE(rule_10_refusals_by_a_rule_are_remembered),
        CASE(rule_10_a_duplicate_is_remembered_as_one),
        CASE(rule_10_queries_and_reused_ids_are_not_remembered),
        CASE(rule_10_without_an_id_nothing_is_remembered),
        CASE(rule_10_a_later_bus_remembers),
        CASE(out_of_stock_and_trouble_with_storage_are_retryable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
