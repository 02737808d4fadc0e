#include "store/ahead/remembered_index.h"

#include "store/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Few hashes, so that entries collide and runs are long. */
static uint64_t hash_of(uint64_t number)
{
    uint64_t key = number % 37;
    return hash_bytes(&key, sizeof key, 1);
}

static bool holds(const struct remembered_index *index, uint64_t number, uint64_t near)
{
    size_t cursor = 0;
    uint64_t found;
    while (remembered_index_next(index, hash_of(number), near, &cursor, &found))
        if (found == number)
            return true;
    return false;
}

/* A window of numbers that moves on: what is in it is found, what has left it is not. */
static void moving_window(uint64_t start)
{
    enum { WINDOW = 200, STEPS = 2000 };
    struct remembered_index *index = remembered_index_new(WINDOW);
    for (uint64_t number = start; number < start + STEPS; number++) {
        if (number >= start + WINDOW)
            remembered_index_remove(index, hash_of(number - WINDOW), number - WINDOW);
        remembered_index_add(index, hash_of(number), number);
        uint64_t first = number >= start + WINDOW ? number - WINDOW + 1 : start;
        assert_true(holds(index, number, number + 1));
        assert_true(holds(index, first, number + 1));
        if (first > start)
            assert_false(holds(index, first - 1, number + 1));
    }
    remembered_index_destroy(&index);
    assert_null(index);
}

static void test_moving_window(void **state)
{
    (void)state;
    moving_window(0);
}

static void test_window_over_the_end_of_25_bits(void **state)
{
    (void)state;
    moving_window(((uint64_t)1 << 25) - 1000);
    moving_window(((uint64_t)5 << 25) - 1000);
}

static void test_newest_taken_back(void **state)
{
    (void)state;
    struct remembered_index *index = remembered_index_new(100);
    for (uint64_t number = 0; number < 50; number++)
        remembered_index_add(index, hash_of(number), number);
    for (uint64_t number = 30; number < 50; number++)
        remembered_index_remove(index, hash_of(number), number);
    for (uint64_t number = 0; number < 50; number++)
        assert_int_equal(holds(index, number, 30), number < 30);
    remembered_index_destroy(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moving_window),
        cmocka_unit_test(test_window_over_the_end_of_25_bits),
        cmocka_unit_test(test_newest_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
