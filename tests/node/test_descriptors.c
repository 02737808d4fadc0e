#include "node/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define HIGH ((size_t)200) /* a descriptor that nothing else has */

static void set_limit(size_t limit)
{
    struct rlimit rlimit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &rlimit), 0);
    rlimit.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &rlimit), 0);
}

/* The lowest limit that suffices. */
static size_t needed(size_t to_come)
{
    char error[ERROR_BYTES];
    size_t limit = DESCRIPTORS_FOR_FILES + DESCRIPTORS_CONNECTIONS_MIN;
    for (set_limit(limit); !descriptors_suffice(to_come, error); set_limit(++limit))
        assert_true(limit < 2 * HIGH);
    return limit;
}

static void test_all_that_are_open_count(void **state)
{
    (void)state;
    size_t before = needed(0);
    set_limit(2 * HIGH);
    int low = dup(STDERR_FILENO);
    assert_true(low >= 0);
    assert_int_equal(needed(0), before + 1);
    set_limit(2 * HIGH);
    assert_int_equal(dup2(STDERR_FILENO, (int)HIGH), HIGH);
    set_limit(HIGH); /* it stays open beyond the limit, and takes no place below it */
    assert_int_equal(needed(0), before + 1);
    close((int)HIGH);
    close(low);
    assert_int_equal(needed(0), before);
}

static void test_what_is_to_come_counts(void **state)
{
    (void)state;
    assert_int_equal(needed(7), needed(0) + 7);
}

static void test_it_says_how_many_are_needed(void **state)
{
    (void)state;
    char error[ERROR_BYTES];
    char expected[64];
    size_t enough = needed(0);
    set_limit(enough - 1);
    assert_false(descriptors_suffice(0, error));
    snprintf(expected, sizeof expected, "the limit is %zu, and %zu are needed (", enough - 1,
             enough);
    assert_non_null(strstr(error, expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_are_open_count),
        cmocka_unit_test(test_what_is_to_come_counts),
        cmocka_unit_test(test_it_says_how_many_are_needed),
    };
    return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
