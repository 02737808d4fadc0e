/* The effect of each event. That it says what the product does is seen in the random histories. */
#include "domain/effect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct event event_of(enum message_type type)
{
    return (struct event){.type = type, .seq = 9, .sku = text_of("RED")};
}

static void assert_no_line(const struct effect *effect)
{
    assert_int_equal(effect->on_line, LINE_UNTOUCHED);
    assert_int_equal(effect->waited_since, 0);
    assert_false(effect_moves_waiting(effect));
}

static void batches_come_and_change(void **state)
{
    (void)state;
    struct event created = event_of(MESSAGE_BATCH_CREATED);
    struct event shrunk = event_of(MESSAGE_BATCH_QUANTITY_CHANGED);
    struct event delayed = event_of(MESSAGE_BATCH_ETA_CHANGED);
    created.as.batch_created.ref = text_of("b1");
    shrunk.as.batch_quantity_changed.ref = text_of("b1");
    delayed.as.batch_eta_changed.ref = text_of("b1");
    const struct event *events[] = {&created, &shrunk, &delayed};
    for (size_t i = 0; i < COUNT(events); i++) {
        struct effect effect = effect_of(events[i]);
        assert_int_equal(effect.on_batch, i == 0 ? BATCH_NEW : BATCH_CHANGED);
        assert_true(text_equal(effect.batchref, text_of("b1")));
        assert_no_line(&effect);
    }
}

/* Each Allocated, whether its line waited or is new. */
static void a_line_comes_to_a_batch(void **state)
{
    (void)state;
    for (uint64_t waited_since = 0; waited_since < 8; waited_since += 7) {
        struct event event = event_of(MESSAGE_ALLOCATED);
        event.line_seq = waited_since;
        event.as.allocated.orderid = text_of("o1");
        event.as.allocated.qty = 5;
        event.as.allocated.batchref = text_of("b1");
        struct effect effect = effect_of(&event);
        assert_int_equal(effect.on_line, LINE_PUT);
        assert_true(text_equal(effect.line.orderid, text_of("o1")));
        assert_true(text_equal(effect.line.sku, text_of("RED")));
        assert_true(text_equal(effect.line.batchref, text_of("b1")));
        assert_int_equal(effect.line.qty, 5);
        assert_int_equal(effect.line.seq, 9);
        assert_int_equal(effect.on_batch, BATCH_TAKES_LINE);
        assert_true(text_equal(effect.batchref, text_of("b1")));
        assert_int_equal(effect.waited_since, waited_since);
        assert_int_equal(effect_moves_waiting(&effect), waited_since != 0);
    }
}

static void a_line_leaves(void **state)
{
    (void)state;
    for (unsigned waited = 0; waited < 2; waited++) {
        struct event event = event_of(MESSAGE_DEALLOCATED);
        event.line_seq = 7;
        event.as.deallocated.orderid = text_of("o1");
        event.as.deallocated.qty = 5;
        event.as.deallocated.batchref = waited ? text_none() : text_of("b1");
        struct effect effect = effect_of(&event);
        assert_int_equal(effect.on_line, LINE_GONE);
        assert_true(text_equal(effect.line.orderid, text_of("o1")));
        assert_int_equal(effect.line.qty, 5);
        assert_int_equal(effect.on_batch, waited ? BATCH_UNTOUCHED : BATCH_LOSES_LINE);
        assert_int_equal(text_is_none(effect.batchref), waited);
        assert_int_equal(effect.waited_since, waited ? 7 : 0);
        assert_int_equal(effect_moves_waiting(&effect), waited);
    }
}

/* A refused line is not kept; one that lost its stock waits. */
static void a_line_finds_no_stock(void **state)
{
    (void)state;
    for (unsigned waits = 0; waits < 2; waits++) {
        struct event event = event_of(MESSAGE_OUT_OF_STOCK);
        event.as.out_of_stock.orderid = text_of("o1");
        event.as.out_of_stock.qty = 5;
        event.as.out_of_stock.waiting = waits;
        struct effect effect = effect_of(&event);
        assert_int_equal(effect.on_line, waits ? LINE_PUT : LINE_UNTOUCHED);
        assert_int_equal(effect_moves_waiting(&effect), waits);
        assert_int_equal(effect.on_batch, BATCH_UNTOUCHED);
        if (!waits)
            continue;
        assert_true(order_line_waits(&effect.line));
        assert_int_equal(effect.line.qty, 5);
        assert_int_equal(effect.line.seq, 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_come_and_change),
        cmocka_unit_test(a_line_comes_to_a_batch),
        cmocka_unit_test(a_line_leaves),
        cmocka_unit_test(a_line_finds_no_stock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
