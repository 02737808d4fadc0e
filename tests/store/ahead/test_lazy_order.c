/* A list that is sorted as far as it is taken from. */
#include "store/ahead/lazy_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Takes all of them: each once, and their ranks in order. */
static void expect_sorted(const uint64_t *ranks, size_t count)
{
    static struct lazy_order order;
    uint64_t *sorted = calloc(count + 1, sizeof *sorted);
    assert_non_null(sorted);
    memcpy(sorted, ranks, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    for (size_t i = 0; i < count; i++)
        assert_true(lazy_order_add(&order, ranks[i], (void *)(uintptr_t)&ranks[i]));
    for (size_t i = 0; i < count; i++) {
        const uint64_t *taken = lazy_order_take(&order);
        assert_non_null(taken);
        assert_true(*taken == sorted[i]);
    }
    assert_null(lazy_order_take(&order));
    lazy_order_clear(&order);
    assert_null(lazy_order_take(&order));
    free(sorted);
    lazy_order_release(&order);
}

static void any_numbers(void **state)
{
    (void)state;
    uint64_t ranks[3000];
    const size_t counts[] = {0, 1, 2, 3, 10, 100, sizeof ranks / sizeof *ranks};
    uint64_t random = 1;
    for (unsigned spread = 0; spread < 3; spread++) { /* few, some and all different */
        for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            ranks[i] = random >> (63 - 28 * spread);
        }
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            expect_sorted(ranks, counts[i]);
    }
}

static void numbers_in_order(void **state)
{
    (void)state;
    uint64_t up[2000];
    uint64_t down[2000];
    for (size_t i = 0; i < 2000; i++) {
        up[i] = i;
        down[i] = 2000 - i;
    }
    expect_sorted(up, 2000);
    expect_sorted(down, 2000);
}

static void each_item_is_given_once(void **state)
{
    (void)state;
    static struct lazy_order order;
    static bool seen[5000];
    for (size_t i = 0; i < 5000; i++)
        assert_true(lazy_order_add(&order, i % 7, &seen[i]));
    for (bool *item; (item = lazy_order_take(&order)) != NULL; *item = true)
        assert_false(*item);
    for (size_t i = 0; i < 5000; i++)
        assert_true(seen[i]);
    lazy_order_release(&order);
}

static void ranks_of_texts(void **state)
{
    (void)state;
    assert_true(lazy_rank(text_of("SKU-1"), 4) < lazy_rank(text_of("SKU-2"), 4));
    assert_true(lazy_rank(text_of("SKU-1"), 4) < lazy_rank(text_of("SKU-10"), 4));
    assert_true(lazy_rank(text_of("12345678A"), 0) == lazy_rank(text_of("12345678B"), 0));
    assert_true(lazy_rank(text_of("\x7f"), 0) < lazy_rank(text_of("\xc3\xa9"), 0));
    assert_true(lazy_rank(text_of("SKU"), 3) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_numbers),
        cmocka_unit_test(numbers_in_order),
        cmocka_unit_test(each_item_is_given_once),
        cmocka_unit_test(ranks_of_texts),
    };
    return cmocka_run_group_tests_name("lazy_order", tests, NULL, NULL);
}
