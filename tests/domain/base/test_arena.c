#include "domain/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return arena != NULL;
}

/* Pieces of all sizes, more of them than a block holds: each keeps what was written into it. */
static void pieces_do_not_overlap(void **state)
{
    enum { PIECES = 2000 };
    static unsigned char *pieces[PIECES];
    (void)state;
    for (size_t i = 0; i < PIECES; i++) {
        size_t size = i % 997;
        pieces[i] = arena_alloc(arena, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)(i % 251), size);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k < i % 997; k++)
            assert_int_equal(pieces[i][k], i % 251);
}

static void a_piece_may_be_bigger_than_a_block(void **state)
{
    (void)state;
    const size_t size = (size_t)5 << 20;
    char *small = arena_alloc(arena, 10);
    char *big = arena_alloc(arena, size);
    char *after = arena_alloc(arena, 10);
    if (small == NULL || big == NULL || after == NULL)
        abort(); /* the analyser does not know that cmocka's asserts end a test */
    memset(small, 's', 10);
    memset(big, 'b', size);
    memset(after, 'a', 10);
    assert_int_equal(small[9], 's');
    assert_int_equal(big[0], 'b');
    assert_int_equal(big[size - 1], 'b');
}

static void what_no_memory_can_hold_is_refused(void **state)
{
    (void)state;
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_alloc(arena, SIZE_MAX - 15));
    assert_null(arena_alloc(arena, SIZE_MAX / 2 + 1));
    assert_int_equal(arena_used(arena), 0);
    assert_non_null(arena_alloc(arena, 1));
}

static void used_counts_since_the_last_reset(void **state)
{
    (void)state;
    assert_int_equal(arena_used(arena), 0);
    assert_non_null(arena_alloc(arena, 100));
    assert_in_range(arena_used(arena), 100, 100 + _Alignof(max_align_t));
    assert_non_null(arena_alloc(arena, (size_t)1 << 20));
    assert_in_range(arena_used(arena), 100 + (1 << 20), 200 + (1 << 20));
    arena_reset(arena);
    assert_int_equal(arena_used(arena), 0);
    for (size_t i = 0; i < 1000; i++)
        assert_non_null(arena_alloc(arena, 1000));
    assert_in_range(arena_used(arena), 1000000, 1020000);
    arena_reset(arena);
    arena_reset(arena);
    assert_int_equal(arena_used(arena), 0);
}

static void texts_are_copied(void **state)
{
    (void)state;
    char original[] = "a\0text";
    struct text copy = text_none();
    assert_true(arena_text(arena, (struct text){original, 6}, &copy));
    original[0] = 'x';
    assert_int_equal(copy.len, 6);
    assert_memory_equal(copy.data, "a\0text", 6);
}

static void absent_stays_absent_and_empty_empty(void **state)
{
    (void)state;
    struct text copy = text_of("something");
    assert_true(arena_text(arena, text_none(), &copy));
    assert_true(text_is_none(copy));
    assert_true(arena_text(arena, text_of(""), &copy));
    assert_false(text_is_none(copy));
    assert_int_equal(copy.len, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(pieces_do_not_overlap),
        CASE(a_piece_may_be_bigger_than_a_block),
        CASE(what_no_memory_can_hold_is_refused),
        CASE(used_counts_since_the_last_reset),
        CASE(texts_are_copied),
        CASE(absent_stays_absent_and_empty_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
