/* The histogram of a benchmark: percentiles are at most 3 % too large, and never above the maximum.
 */
#include "tools/zmq_send/bench/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void nothing_took_no_time(void **state)
{
    (void)state;
    struct latency latency = {0};
    assert_int_equal(latency_percentile(&latency, 0.5), 0);
}

static void short_times_are_exact(void **state)
{
    (void)state;
    struct latency latency = {0};
    for (uint64_t ns = 0; ns < LATENCY_STEPS; ns++)
        latency_add(&latency, ns, 1);
    assert_int_equal(latency_percentile(&latency, 0.5), LATENCY_STEPS / 2 - 1);
    assert_int_equal(latency_percentile(&latency, 1), LATENCY_STEPS - 1);
}

static void longer_ones_are_at_most_a_step_too_large(void **state)
{
    (void)state;
    for (unsigned power = 0; power < 64; power++) {
        uint64_t times[] = {UINT64_C(1) << power, (UINT64_C(1) << power) / 3 * 5,
                            (UINT64_C(1) << power) - 1 + (UINT64_C(1) << power)};
        for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
            struct latency latency = {0};
            latency_add(&latency, times[i], 99);
            latency_add(&latency, UINT64_MAX, 1);
            uint64_t found = latency_percentile(&latency, 0.99);
            assert_true(found >= times[i] && found - times[i] <= times[i] / LATENCY_STEPS);
            assert_true(latency_percentile(&latency, 1) == UINT64_MAX);
        }
    }
}

static void none_is_above_the_maximum(void **state)
{
    (void)state;
    struct latency latency = {0};
    latency_add(&latency, 1000001, 3);
    assert_int_equal(latency_percentile(&latency, 0), 1000001);
    assert_int_equal(latency_percentile(&latency, 1), 1000001);
    /* A share beyond all of them, as rounding may make one. */
    assert_int_equal(latency_percentile(&latency, 1.5), 1000001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_took_no_time),
        cmocka_unit_test(short_times_are_exact),
        cmocka_unit_test(longer_ones_are_at_most_a_step_too_large),
        cmocka_unit_test(none_is_above_the_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
