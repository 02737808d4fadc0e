#include "node/log.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

/* A log into a pipe, and what came out of it. */
struct fixture {
    struct node_log log;
    int read_end;
    char text[4096];
};

static struct fixture start(enum log_level level)
{
    struct fixture fixture = {.text = ""};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fixture.read_end = ends[0];
    node_log_init(&fixture.log, ends[1], level);
    return fixture;
}

static const char *finish(struct fixture *fixture)
{
    size_t len = 0;
    ssize_t count;
    close(fixture->log.fd);
    while ((count = read(fixture->read_end, fixture->text + len, sizeof(fixture->text) - 1 - len)) >
           0)
        len += (size_t)count;
    fixture->text[len] = '\0';
    close(fixture->read_end);
    return fixture->text;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int result = regexec(&regex, text, 0, NULL, 0);
    regfree(&regex);
    if (result != 0)
        fail_msg("\"%s\" is not like %s", text, pattern);
}

static void test_writes_a_line_with_time_and_level(void **state)
{
    (void)state;
    struct fixture fixture = start(LOG_DEBUG);
    log_printf(&fixture.log.port, LOG_WARN, "%d of %s", 3, "four");
    log_printf(&fixture.log.port, LOG_DEBUG, "x");
    assert_matches(finish(&fixture), "^" TIME " WARN 3 of four\n" TIME " DEBUG x\n$");
}

static void test_filters_by_level_but_for_the_ready_line(void **state)
{
    (void)state;
    struct fixture fixture = start(LOG_ERROR);
    log_printf(&fixture.log.port, LOG_WARN, "not this");
    log_printf(&fixture.log.port, LOG_ERROR, "this");
    node_log_always(&fixture.log, "ready commands=%s events=%s", "a", "b");
    assert_matches(finish(&fixture),
                   "^" TIME " ERROR this\n" TIME " INFO ready commands=a events=b\n$");
}

static void test_keeps_a_message_on_one_line(void **state)
{
    static const struct {
        const char *message;
        const char *clean;
    } rows[] = {
        {"plain", "plain"},
        {"", ""},
        {"a\nb\r\tc\x1b[31m\x7f", "a?b??c?[31m?"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc2\x9b"
         "31m",
         "??31m"},
        {"\xff"
         "a\xc3",
         "?a?"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s", rows[i].message);
        log_clean(text);
        assert_string_equal(text, rows[i].clean);
    }
    struct fixture fixture = start(LOG_INFO);
    log_printf(&fixture.log.port, LOG_INFO, "a\nb");
    assert_matches(finish(&fixture), "^" TIME " INFO a\\?b\n$");
}

static void test_cuts_a_long_message(void **state)
{
    (void)state;
    struct fixture fixture = start(LOG_INFO);
    log_printf(&fixture.log.port, LOG_INFO, "%03000d", 7);
    const char *text = finish(&fixture);
    assert_matches(text, "^" TIME " INFO 0+\n$");
    assert_in_range(strlen(text), 1000, 1100);
}

static void test_limits_a_flood_to_a_line_a_second(void **state)
{
    (void)state;
    struct fixture fixture = start(LOG_INFO);
    struct log_limit limit = {0};
    struct log_limit other = {0};
    for (uint64_t now_ms = 500; now_ms <= 2500; now_ms += 10)
        log_limited(&fixture.log.port, &limit, now_ms, LOG_WARN, "flood %d", 1);
    log_limited(&fixture.log.port, &other, 2500, LOG_WARN, "other");
    log_limited(&fixture.log.port, &limit, 3500, LOG_WARN, "flood %d", 2);
    log_limited(&fixture.log.port, &limit, 4500, LOG_WARN, "flood %d", 3);
    assert_matches(finish(&fixture),
                   "^" TIME " WARN flood 1\n" TIME
                   " WARN flood 1 \\(and 99 more like it, not logged\\)\n" TIME
                   " WARN flood 1 \\(and 99 more like it, not logged\\)\n" TIME " WARN other\n" TIME
                   " WARN flood 2\n" TIME " WARN flood 3\n$");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_a_line_with_time_and_level),
        cmocka_unit_test(test_filters_by_level_but_for_the_ready_line),
        cmocka_unit_test(test_keeps_a_message_on_one_line),
        cmocka_unit_test(test_cuts_a_long_message),
        cmocka_unit_test(test_limits_a_flood_to_a_line_a_second),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
