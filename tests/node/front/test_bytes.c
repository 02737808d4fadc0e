/* node/front/bytes.h, held against a long text of which a part waits. */
#include "node/front/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t random_state;

static uint32_t draw(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static void what_goes_in_comes_out_in_order(void **state)
{
    (void)state;
    struct bytes bytes = {.len = 0};
    unsigned char in = 0;
    unsigned char out = 0;
    random_state = 1;
    for (unsigned step = 0; step < 100000; step++) {
        size_t len = draw(200);
        if (draw(2)) {
            unsigned char *room = bytes_room(&bytes, len);
            assert_non_null(room);
            for (size_t i = 0; i < len; i++)
                room[i] = in++;
            bytes_added(&bytes, len);
        } else {
            len = len < bytes.len ? len : bytes.len;
            for (size_t i = 0; i < len; i++)
                assert_int_equal(bytes_front(&bytes)[i], out++);
            bytes_take(&bytes, len);
        }
        assert_true(bytes.start + bytes.len <= bytes.capacity);
    }
    bytes_release(&bytes);
}

static void memory_is_given_back(void **state)
{
    (void)state;
    struct bytes bytes = {.len = 0};
    assert_true(bytes_append(&bytes, "abc", 3));
    bytes_release_if_empty(&bytes, 0);
    assert_int_equal(bytes.len, 3);
    bytes_take(&bytes, 3);
    bytes_release_if_empty(&bytes, 1000);
    assert_true(bytes.capacity > 0);
    bytes_release_if_empty(&bytes, 0);
    assert_null(bytes.memory);
    assert_int_equal(bytes.capacity, 0);
}

/* A queue that never runs empty does not grow for ever. */
static void it_does_not_creep(void **state)
{
    (void)state;
    struct bytes bytes = {.len = 0};
    assert_true(bytes_append(&bytes, "0123456789", 10));
    for (unsigned i = 0; i < 10000; i++) {
        assert_true(bytes_append(&bytes, "0123456789", 10));
        bytes_take(&bytes, 10);
    }
    assert_true(bytes.capacity <= 1024);
    bytes_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out_in_order),
        cmocka_unit_test(memory_is_given_back),
        cmocka_unit_test(it_does_not_creep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
