#include "bus/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void push(struct queue *queue, uint64_t number)
{
    struct queued item = {.event.seq = number};
    assert_true(queue_push(queue, &item));
}

static void pop(struct queue *queue, uint64_t expected)
{
    struct queued item;
    assert_true(queue_pop(queue, &item));
    assert_int_equal(item.event.seq, expected);
}

static void an_empty_queue_has_nothing(void **state)
{
    (void)state;
    struct queue queue = {NULL, 0, 0, 0};
    struct queued item;
    assert_false(queue_pop(&queue, &item));
    push(&queue, 1);
    pop(&queue, 1);
    assert_false(queue_pop(&queue, &item));
    push(&queue, 2);
    queue_clear(&queue);
    assert_false(queue_pop(&queue, &item));
    queue_release(&queue);
}

/* Two in, one out, so that the ring grows each time while its start is in the middle. */
static void first_in_first_out_while_it_grows(void **state)
{
    (void)state;
    struct queue queue = {NULL, 0, 0, 0};
    uint64_t in = 0;
    uint64_t out = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        push(&queue, in++);
        push(&queue, in++);
        pop(&queue, out++);
    }
    while (out < in)
        pop(&queue, out++);
    struct queued item;
    assert_false(queue_pop(&queue, &item));
    queue_release(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_has_nothing),
        cmocka_unit_test(first_in_first_out_while_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
