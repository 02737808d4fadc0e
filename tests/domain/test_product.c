/* The aggregate: its decisions as a table, and what events make of it. */
#include "tests/support/product_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- decisions as a table ---- */

#define ONE_BATCH "BatchCreated b1 10 -"

static const struct {
    const char *name;
    const char *start[8]; /* events that made the product */
    const char *command;
    const char *expected; /* the outcome, the batch of a done Allocate, and the events */
} decisions[] = {
    {"a new batch", {NULL}, "CreateBatch b1 RED 10 -", "ok: BatchCreated b1 10 -"},
    {"a shipment",
     {ONE_BATCH},
     "CreateBatch b2 RED 5 2030-01-01",
     "ok: BatchCreated b2 5 2030-01-01"},
    {"the same batch again (rule 4)", {ONE_BATCH}, "CreateBatch b1 RED 10 -", "ok:"},
    {"with another quantity", {ONE_BATCH}, "CreateBatch b1 RED 11 -", "batch_conflict:"},
    {"with another ETA", {ONE_BATCH}, "CreateBatch b1 RED 10 2030-01-01", "batch_conflict:"},
    {"with another SKU", {ONE_BATCH}, "CreateBatch b1 BLUE 10 -", "batch_conflict:"},
    {"what the batch has now counts",
     {ONE_BATCH, "BatchQuantityChanged b1 7"},
     "CreateBatch b1 RED 7 -",
     "ok:"},
    {"what it had does not",
     {ONE_BATCH, "BatchQuantityChanged b1 7"},
     "CreateBatch b1 RED 10 -",
     "batch_conflict:"},

    {"a line that fits (rule 1)", {ONE_BATCH}, "Allocate o1 RED 10", "ok b1: Allocated o1 10 b1"},
    {"one that is too big by one",
     {ONE_BATCH},
     "Allocate o1 RED 11",
     "out_of_stock: OutOfStock o1 11 -"},
    {"no batch at all", {NULL}, "Allocate o1 RED 1", "out_of_stock: OutOfStock o1 1 -"},
    {"what is allocated is not available",
     {ONE_BATCH, "Allocated o1 4 b1"},
     "Allocate o2 RED 7",
     "out_of_stock: OutOfStock o2 7 -"},
    {"what is left is",
     {ONE_BATCH, "Allocated o1 4 b1"},
     "Allocate o2 RED 6",
     "ok b1: Allocated o2 6 b1"},
    {"what came back is",
     {ONE_BATCH, "Allocated o1 4 b1", "Deallocated o1 4 b1"},
     "Allocate o2 RED 10",
     "ok b1: Allocated o2 10 b1"},
    {"a line is not split",
     {ONE_BATCH, "BatchCreated b2 10 -"},
     "Allocate o1 RED 11",
     "out_of_stock: OutOfStock o1 11 -"},

    {"warehouse before shipment (rule 2)",
     {"BatchCreated b1 10 2020-01-01", "BatchCreated b2 10 -"},
     "Allocate o1 RED 1",
     "ok b2: Allocated o1 1 b2"},
    {"the earlier shipment",
     {"BatchCreated b1 10 2030-01-02", "BatchCreated b2 10 2030-01-01",
      "BatchCreated b3 10 2030-01-03"},
     "Allocate o1 RED 1",
     "ok b2: Allocated o1 1 b2"},
    {"the older one of two",
     {"BatchCreated z 10 2030-01-01", "BatchCreated a 10 2030-01-01"},
     "Allocate o1 RED 1",
     "ok z: Allocated o1 1 z"},
    {"the first that is big enough",
     {"BatchCreated b1 3 -", "BatchCreated b2 9 2030-01-01"},
     "Allocate o1 RED 4",
     "ok b2: Allocated o1 4 b2"},
    {"an ETA that changed",
     {"BatchCreated b1 10 2030-01-01", "BatchCreated b2 10 2030-02-01", "BatchEtaChanged b2 -"},
     "Allocate o1 RED 1",
     "ok b2: Allocated o1 1 b2"},
    {"age is that of the batch, not of its ETA",
     {"BatchCreated b1 10 2030-01-01", "BatchCreated b2 10 -", "BatchEtaChanged b1 -"},
     "Allocate o1 RED 1",
     "ok b1: Allocated o1 1 b1"},

    {"the same line again (rule 3)",
     {ONE_BATCH, "Allocated o1 4 b1"},
     "Allocate o1 RED 4",
     "ok b1:"},
    {"with another quantity",
     {ONE_BATCH, "Allocated o1 4 b1"},
     "Allocate o1 RED 5",
     "line_conflict:"},
    {"with one that never fits",
     {ONE_BATCH, "Allocated o1 4 b1"},
     "Allocate o1 RED 5000",
     "line_conflict:"},
    {"one that waits",
     {ONE_BATCH, "OutOfStock o1 40 waiting"},
     "Allocate o1 RED 40",
     "out_of_stock:"},
    {"one that waits, with another quantity",
     {ONE_BATCH, "OutOfStock o1 40 waiting"},
     "Allocate o1 RED 4",
     "line_conflict:"},
    {"one that was refused is forgotten (rule 8)",
     {ONE_BATCH, "OutOfStock o1 40 -"},
     "Allocate o1 RED 4",
     "ok b1: Allocated o1 4 b1"},

    {"more stock (rule 6)",
     {ONE_BATCH},
     "ChangeBatchQuantity b1 11",
     "ok: BatchQuantityChanged b1 11"},
    {"as much as before", {ONE_BATCH}, "ChangeBatchQuantity b1 10", "ok:"},
    {"none", {ONE_BATCH}, "ChangeBatchQuantity b1 0", "ok: BatchQuantityChanged b1 0"},
    {"just what is allocated",
     {ONE_BATCH, "Allocated o1 4 b1"},
     "ChangeBatchQuantity b1 4",
     "ok: BatchQuantityChanged b1 4"},
    {"one less than is allocated",
     {ONE_BATCH, "Allocated o1 4 b1"},
     "ChangeBatchQuantity b1 3",
     "ok: BatchQuantityChanged b1 3, Deallocated o1 4 b1"},
    {"the newest goes",
     {ONE_BATCH, "Allocated o1 4 b1", "Allocated o2 1 b1"},
     "ChangeBatchQuantity b1 4",
     "ok: BatchQuantityChanged b1 4, Deallocated o2 1 b1"},
    {"and the next, until it is enough",
     {ONE_BATCH, "Allocated o1 4 b1", "Allocated o2 3 b1", "Allocated o3 1 b1"},
     "ChangeBatchQuantity b1 6",
     "ok: BatchQuantityChanged b1 6, Deallocated o3 1 b1, Deallocated o2 3 b1"},
    {"all of them",
     {ONE_BATCH, "Allocated o1 4 b1", "Allocated o2 3 b1"},
     "ChangeBatchQuantity b1 0",
     "ok: BatchQuantityChanged b1 0, Deallocated o2 3 b1, Deallocated o1 4 b1"},
    {"lines of other batches stay",
     {ONE_BATCH, "BatchCreated b2 9 -", "Allocated o1 9 b1", "Allocated o2 9 b2"},
     "ChangeBatchQuantity b1 8",
     "ok: BatchQuantityChanged b1 8, Deallocated o1 9 b1"},

    {"another ETA",
     {ONE_BATCH},
     "ChangeBatchEta b1 2030-01-01",
     "ok: BatchEtaChanged b1 2030-01-01"},
    {"it arrived",
     {"BatchCreated b1 10 2030-01-01"},
     "ChangeBatchEta b1 -",
     "ok: BatchEtaChanged b1 -"},
    {"the same ETA", {"BatchCreated b1 10 2030-01-01"}, "ChangeBatchEta b1 2030-01-01", "ok:"},
    {"no line moves",
     {ONE_BATCH, "Allocated o1 10 b1"},
     "ChangeBatchEta b1 2030-01-01",
     "ok: BatchEtaChanged b1 2030-01-01"},

    {"an allocated line leaves (rule 8)",
     {ONE_BATCH, "Allocated o1 4 b1"},
     "Deallocate o1 RED",
     "ok: Deallocated o1 4 b1"},
    {"a waiting one",
     {ONE_BATCH, "OutOfStock o1 40 waiting"},
     "Deallocate o1 RED",
     "ok: Deallocated o1 40 -"},
    {"one that is not there", {ONE_BATCH}, "Deallocate o1 RED", "unknown_line:"},
};

static void write_decision(struct notation *out, const struct bench *bench, enum outcome outcome,
                           struct text batchref)
{
    notation_clear(out);
    notation_add(out, "%s", outcome_info(outcome)->code);
    if (outcome == OUTCOME_DONE && !text_is_none(batchref))
        notation_add(out, " %.*s", TEXT_ARG(batchref));
    notation_add(out, ":");
    for (size_t i = 0; i < bench->decided.count; i++) {
        notation_add(out, i > 0 ? ", " : " ");
        notation_add_event(out, &bench->decided.items[i]);
    }
}

static void decisions_are_as_in_the_table(void **state)
{
    (void)state;
    struct notation decided = {NULL, 0, 0};
    for (size_t i = 0; i < COUNT(decisions); i++) {
        struct bench bench;
        bench_init(&bench);
        for (size_t k = 0; decisions[i].start[k] != NULL; k++)
            bench_happen_as_told(&bench, decisions[i].start[k]);
        struct product_totals before = *product_totals(bench.product);
        struct request request = build_request(decisions[i].command);
        struct text batchref = text_none();
        enum outcome outcome = bench_decide(&bench, &request, &batchref);
        write_decision(&decided, &bench, outcome, batchref);
        if (strcmp(notation_text(&decided), decisions[i].expected) != 0)
            fail_msg("%s: %s\n  expected: %s\n  actual:   %s", decisions[i].name,
                     decisions[i].command, decisions[i].expected, notation_text(&decided));
        /* A decision changes nothing; what it decided can be applied. */
        assert_memory_equal(&before, product_totals(bench.product), sizeof before);
        size_t events = bench.decided.count;
        bench_apply_decided(&bench);
        assert_int_equal(product_totals(bench.product)->version, before.version + events);
        bench_release(&bench);
    }
    notation_release(&decided);
}

/* ---- lines that lost their stock, and lines that wait (rules 6 and 7) ---- */

static void expect_reallocation(struct bench *bench, struct waiting_line line, enum outcome outcome,
                                const char *event)
{
    struct notation decided = {NULL, 0, 0};
    bench->decided.count = 0;
    assert_int_equal(product_reallocate(bench->product, &line, &bench->decided), outcome);
    for (size_t i = 0; i < bench->decided.count; i++)
        notation_add_event(&decided, &bench->decided.items[i]);
    assert_string_equal(notation_text(&decided), event);
    if (bench->decided.count > 0)
        assert_int_equal(bench->decided.items[0].line_seq, line.seq);
    notation_release(&decided);
}

static void a_line_without_stock_is_allocated_anew_or_waits(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    bench_happen_as_told(&bench, ONE_BATCH);
    struct waiting_line lost = {text_of("o1"), 10, 0};
    expect_reallocation(&bench, lost, OUTCOME_DONE, "Allocated o1 10 b1");
    lost.qty = 11;
    expect_reallocation(&bench, lost, OUTCOME_OUT_OF_STOCK, "OutOfStock o1 11 waiting");
    bench_apply_decided(&bench);
    struct waiting_line waits = {text_of("o1"), 11, 2};
    expect_reallocation(&bench, waits, OUTCOME_OUT_OF_STOCK, ""); /* one OutOfStock is enough */
    bench_happen_as_told(&bench, "BatchQuantityChanged b1 11");
    expect_reallocation(&bench, waits, OUTCOME_DONE, "Allocated o1 11 b1");
    bench_apply_decided(&bench);
    assert_int_equal(product_totals(bench.product)->waiting, 0);
    bench_release(&bench);
}

static void waiting_lines_come_in_the_order_of_waiting(void **state)
{
    (void)state;
    static const char *const start[] = {"BatchCreated b1 2 -", "OutOfStock z 7 waiting",
                                        "OutOfStock a 3 waiting", "OutOfStock m 5 waiting",
                                        "OutOfStock refused 9 -"};
    struct bench bench;
    bench_init(&bench);
    for (size_t i = 0; i < COUNT(start); i++)
        bench_happen_as_told(&bench, start[i]);
    struct waiting_line line;
    assert_true(product_next_waiting(bench.product, 0, &line));
    assert_true(text_equal(line.orderid, text_of("z")));
    assert_int_equal(line.qty, 7);
    assert_int_equal(line.seq, 2);
    assert_true(product_next_waiting(bench.product, line.seq, &line));
    assert_true(text_equal(line.orderid, text_of("a")));
    assert_true(product_next_waiting(bench.product, line.seq, &line));
    assert_true(text_equal(line.orderid, text_of("m")));
    assert_false(product_next_waiting(bench.product, line.seq, &line));
    assert_false(product_next_servable(bench.product, 0, &line)); /* 2 are available */

    bench_happen_as_told(&bench, "BatchQuantityChanged b1 5");
    assert_true(product_next_servable(bench.product, 0, &line));
    assert_true(text_equal(line.orderid, text_of("a")));
    assert_true(product_next_servable(bench.product, line.seq, &line));
    assert_true(text_equal(line.orderid, text_of("m")));
    assert_false(product_next_servable(bench.product, line.seq, &line));
    bench_release(&bench);
}

static void units_to_displace(void **state)
{
    (void)state;
    struct batch batch = {.qty = 10, .allocated = 7};
    assert_int_equal(product_units_to_displace(&batch, 10), 0);
    assert_int_equal(product_units_to_displace(&batch, 7), 0);
    assert_int_equal(product_units_to_displace(&batch, 6), 1);
    assert_int_equal(product_units_to_displace(&batch, 0), 7);
    assert_int_equal(batch_available(&batch), 3);
    batch.qty = 3;
    assert_int_equal(batch_available(&batch), 0);
    assert_true(batch_is_over_allocated(&batch));
}

/* ---- what events make of a product ---- */

static void totals_follow_the_events(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        uint64_t batches, open, available, waiting;
    } steps[] = {
        {"BatchCreated b1 10 -", 1, 1, 10, 0},     {"BatchCreated b2 5 2030-01-01", 2, 2, 15, 0},
        {"Allocated o1 10 b1", 2, 1, 5, 0},        {"OutOfStock o2 6 -", 2, 1, 5, 0},
        {"BatchQuantityChanged b1 8", 2, 1, 5, 0}, {"Deallocated o1 10 b1", 2, 2, 13, 0},
        {"OutOfStock o1 10 waiting", 2, 2, 13, 1}, {"BatchEtaChanged b2 -", 2, 2, 13, 1},
        {"BatchQuantityChanged b2 0", 2, 1, 8, 1}, {"BatchQuantityChanged b1 12", 2, 1, 12, 1},
        {"Allocated o1 10 b1", 2, 1, 2, 0},        {"OutOfStock o3 9 waiting", 2, 1, 2, 1},
        {"Deallocated o3 9 -", 2, 1, 2, 0},
    };
    struct bench bench;
    bench_init(&bench);
    for (size_t i = 0; i < COUNT(steps); i++) {
        bench_happen_as_told(&bench, steps[i].event);
        struct product_totals expected = {
            i + 1, i + 1, steps[i].batches, steps[i].open, steps[i].available, steps[i].waiting};
        const struct product_totals *totals = product_totals(bench.product);
        if (memcmp(totals, &expected, sizeof expected) != 0)
            fail_msg("%s", steps[i].event);
    }
    bench_release(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions_are_as_in_the_table),
        cmocka_unit_test(a_line_without_stock_is_allocated_anew_or_waits),
        cmocka_unit_test(waiting_lines_come_in_the_order_of_waiting),
        cmocka_unit_test(units_to_displace),
        cmocka_unit_test(totals_follow_the_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
