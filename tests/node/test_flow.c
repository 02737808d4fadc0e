/* What is known of a connection from bytes taken and bytes delivered, and what that costs. */
#include "node/flow.h"
#include "node/memory.h"
#include "node/subscriptions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define KIB ((uint64_t)1024)

static struct flow opened(uint64_t delivered)
{
    struct flow flow;
    flow_open(&flow, delivered, 0, (struct intake_mark){0, 0});
    return flow;
}

static void what_is_not_delivered_waits(void **state)
{
    (void)state;
    struct flow flow = opened(1000);
    flow_look(&flow, 64 * KIB + FLOW_ALLOWANCE, 1000, 0, (struct intake_mark){0, 0}, 1);
    assert_int_equal(flow.waiting, 64 * KIB);
    assert_int_equal(flow.unfinished, 0);
    flow_look(&flow, 64 * KIB + FLOW_ALLOWANCE, 1000 + 64 * KIB, 0, (struct intake_mark){0, 0}, 1);
    assert_int_equal(flow.waiting, 0);
}

static void what_stays_after_two_drains_has_not_ended(void **state)
{
    (void)state;
    struct flow flow = opened(0);
    uint64_t taken = 100 * KIB + FLOW_ALLOWANCE;
    flow_look(&flow, taken, 0, 0, (struct intake_mark){0, 2}, 1);
    flow_look(&flow, taken, 0, 0, (struct intake_mark){0, 3}, 1);
    assert_int_equal(flow.unfinished, 0);
    flow_look(&flow, taken + KIB, 0, 0, (struct intake_mark){0, 4}, 1);
    assert_int_equal(flow.unfinished, 100 * KIB);
    assert_int_equal(flow_ahead_max(&flow, KIB), FLOW_ALLOWANCE + 101 * KIB);
}

static void without_drains_each_connection_has_its_turn(void **state)
{
    (void)state;
    struct flow flow = opened(0);
    uint64_t taken = 100 * KIB + FLOW_ALLOWANCE;
    flow_look(&flow, taken, 0, 0, (struct intake_mark){23, 0}, 10);
    flow_look(&flow, taken, 0, 0, (struct intake_mark){45, 0}, 10);
    assert_int_equal(flow.unfinished, 0);
    flow_look(&flow, taken, 0, 0, (struct intake_mark){46, 0}, 10);
    assert_int_equal(flow.unfinished, 100 * KIB);
}

static void who_is_served_is_never_unfinished(void **state)
{
    (void)state;
    struct flow flow = opened(0);
    for (uint64_t i = 1; i <= 100; i++) {
        flow_look(&flow, 100 * KIB + i * KIB, i * KIB, 0, (struct intake_mark){9 * i, 9 * i}, 1);
        assert_int_equal(flow.unfinished, 0);
    }
}

static void unused_slack_does_not_pile_up(void **state)
{
    (void)state;
    struct flow flow = opened(0);
    flow_look(&flow, 0, 0, 1000000, (struct intake_mark){0, 0}, 1);
    flow_look(&flow, 10 * KIB, 0, 1000000, (struct intake_mark){0, 0}, 1);
    assert_int_equal(flow.waiting, 10 * KIB - FLOW_ALLOWANCE);
    /* Heartbeats of ten seconds are no message. */
    flow_look(&flow, 10 * KIB, 0, 1010000, (struct intake_mark){0, 0}, 1);
    assert_int_equal(flow.waiting, 10 * KIB - FLOW_ALLOWANCE - (uint64_t)10 * FLOW_HEARTBEAT_BYTES);
}

static void another_connection_at_the_same_place_begins_anew(void **state)
{
    (void)state;
    struct flow flow = opened(0);
    flow_look(&flow, 500 * KIB, 0, 0, (struct intake_mark){0, 0}, 1);
    flow_look(&flow, FLOW_ALLOWANCE + KIB, 0, 0, (struct intake_mark){0, 0}, 1);
    assert_int_equal(flow.waiting, KIB);
}

static void growth_is_put_down_to_what_waits(void **state)
{
    (void)state;
    struct growth growth = {.is_settled = true};
    assert_int_equal(growth_cost(&growth, 1000 * KIB, 0), 0);
    assert_int_equal(growth_cost(&growth, 1000 * KIB, 10 * KIB), 10 * KIB);
    assert_int_equal(growth_cost(&growth, 1200 * KIB, 10 * KIB), 200 * KIB);
    /* No byte costs more than FLOW_COST_MAX: the rest is the node's own. */
    assert_int_equal(growth_cost(&growth, 9000 * KIB, 10 * KIB), FLOW_COST_MAX * (10 * KIB));
    assert_int_equal(growth_cost(&growth, 9000 * KIB, 0), 0);
    assert_int_equal(growth_cost(&growth, 9001 * KIB, 10 * KIB), 10 * KIB);
    growth.is_settled = false;
    growth_cost(&growth, 20000 * KIB, 0);
    assert_int_equal(growth.base, 9000 * KIB);
}

static void without_a_gauge_each_byte_costs_most(void **state)
{
    (void)state;
    struct growth growth = {.is_settled = true};
    const struct memory_gauge none = {.fd = -1};
    assert_int_equal(memory_gauge_read(&none), 0);
    assert_int_equal(growth_cost(&growth, 0, 10 * KIB), FLOW_COST_MAX * (10 * KIB));
}

static void subscriptions_are_counted_once_each(void **state)
{
    (void)state;
    struct subscriptions *subscriptions =
        subscriptions_new((size_t)10000 * (SUBSCRIPTION_BYTES + 6));
    char name[16];
    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < 10000; i++) {
            snprintf(name, sizeof name, "%06d", i);
            assert_true(subscriptions_add(subscriptions, 7, text_of(name)));
        }
    for (int i = 0; i < 100000; i++) { /* come and go */
        snprintf(name, sizeof name, "%06d", i % 10000);
        subscriptions_remove(subscriptions, 7, text_of(name));
        subscriptions_remove(subscriptions, 7, text_of("never had"));
        assert_true(subscriptions_add(subscriptions, 7, text_of(name)));
    }
    assert_false(subscriptions_add(subscriptions, 7, text_of("one more")));
    assert_true(subscriptions_add(subscriptions, 7, text_of("said once")));
    assert_true(subscriptions_add(subscriptions, 8, text_of("of another")));
    subscriptions_forget(subscriptions, 7);
    assert_true(subscriptions_add(subscriptions, 7, text_of("one more")));
    subscriptions_destroy(&subscriptions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_delivered_waits),
        cmocka_unit_test(what_stays_after_two_drains_has_not_ended),
        cmocka_unit_test(without_drains_each_connection_has_its_turn),
        cmocka_unit_test(who_is_served_is_never_unfinished),
        cmocka_unit_test(unused_slack_does_not_pile_up),
        cmocka_unit_test(another_connection_at_the_same_place_begins_anew),
        cmocka_unit_test(growth_is_put_down_to_what_waits),
        cmocka_unit_test(without_a_gauge_each_byte_costs_most),
        cmocka_unit_test(subscriptions_are_counted_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
