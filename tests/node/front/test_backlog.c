/* node/front/backlog.h: the newest events are there as they were put in, the oldest go first. */
#include "node/front/backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct text number_body(char out[400], uint64_t number)
{
    int len = snprintf(out, 400, "%llu ", (unsigned long long)number);
    size_t more = (size_t)(number * 7919 % 300);
    memset(out + len, 'a' + (int)(number % 26), more);
    return (struct text){out, (size_t)len + more};
}

/* Both frames, as they go over the wire. */
static void expect_event(const struct backlog *backlog, uint64_t number)
{
    char body[400];
    unsigned char wire[500];
    struct text content = number_body(body, number);
    struct backlog_event event = backlog_at(backlog, number);
    size_t len = 0;
    wire[len++] = 1;
    int topic = snprintf((char *)wire + 2, 100, "Topic/%llu/", (unsigned long long)number);
    wire[len++] = (unsigned char)topic;
    len += (size_t)topic;
    wire[len++] = content.len > 255 ? 2 : 0;
    if (content.len > 255) {
        memset(wire + len, 0, 6);
        len += 6;
        wire[len++] = (unsigned char)(content.len >> 8);
    }
    wire[len++] = (unsigned char)(content.len & 0xff);
    memcpy(wire + len, content.data, content.len);
    len += content.len;
    assert_int_equal(event.len, len);
    assert_memory_equal(event.wire, wire, len);
    assert_true(text_equal(event.topic, (struct text){(char *)wire + 2, (size_t)topic}));
}

static void the_newest_are_there(void **state)
{
    (void)state;
    struct backlog *backlog = backlog_new(20000);
    assert_non_null(backlog);
    for (uint64_t number = 0; number < 20000; number++) {
        char body[400];
        char topic[40];
        snprintf(topic, sizeof topic, "Topic/%llu/", (unsigned long long)number);
        assert_int_equal(backlog_end(backlog), number);
        assert_true(backlog_add(backlog, text_of(topic), number_body(body, number)));
        uint64_t first = backlog_first(backlog);
        assert_true(first <= number);
        assert_true(number < 60 || number - first >= 40); /* about 17,000 bytes of some 180 each */
        for (uint64_t there = first; there <= number; there += 1 + (number - first) / 3)
            expect_event(backlog, there);
        expect_event(backlog, number);
    }
    backlog_destroy(&backlog);
    assert_null(backlog);
}

static void one_that_is_too_large_is_passed_over(void **state)
{
    (void)state;
    struct backlog *backlog = backlog_new(20000);
    char *body = calloc(1, 20000);
    assert_true(backlog != NULL && body != NULL);
    assert_false(backlog_add(backlog, text_of("T/"), (struct text){body, 20000}));
    assert_int_equal(backlog_end(backlog), 0);
    assert_true(backlog_add(backlog, text_of("T/"), (struct text){body, 3000}));
    free(body);
    backlog_destroy(&backlog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_are_there),
        cmocka_unit_test(one_that_is_too_large_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
