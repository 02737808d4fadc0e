#include "node/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

/* A log into a pipe or the like, and what came out of it. */
struct fixture {
    struct node_log log;
    int read_end;
    char text[256 * 1024];
};

static struct fixture fixture;

static void start_into(const int ends[2], enum log_level level)
{
    fixture.read_end = ends[0];
    fixture.text[0] = '\0';
    node_log_init(&fixture.log, ends[1], level);
}

static void start(enum log_level level)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    start_into(ends, level);
}

/* Adds what there is, or comes until nobody writes any more. */
static void read_more(void)
{
    size_t len = strlen(fixture.text);
    ssize_t count;
    while ((count = read(fixture.read_end, fixture.text + len, sizeof(fixture.text) - 1 - len)) > 0)
        len += (size_t)count;
    fixture.text[len] = '\0';
}

static const char *finish(void)
{
    node_log_release(&fixture.log);
    close(fixture.log.fd);
    read_more();
    close(fixture.read_end);
    return fixture.text;
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
    start(LOG_DEBUG);
    log_printf(&fixture.log.port, LOG_WARN, "%d of %s", 3, "four");
    log_printf(&fixture.log.port, LOG_DEBUG, "x");
    assert_matches(finish(), "^" TIME " WARN 3 of four\n" TIME " DEBUG x\n$");
}

static void test_filters_by_level_but_for_the_ready_line(void **state)
{
    (void)state;
    start(LOG_ERROR);
    log_printf(&fixture.log.port, LOG_WARN, "not this");
    log_printf(&fixture.log.port, LOG_ERROR, "this");
    node_log_always(&fixture.log, "ready commands=%s events=%s", "a", "b");
    assert_matches(finish(), "^" TIME " ERROR this\n" TIME " INFO ready commands=a events=b\n$");
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
    start(LOG_INFO);
    log_printf(&fixture.log.port, LOG_INFO, "a\nb");
    assert_matches(finish(), "^" TIME " INFO a\\?b\n$");
}

static void test_cuts_a_long_message(void **state)
{
    (void)state;
    start(LOG_INFO);
    log_printf(&fixture.log.port, LOG_INFO, "%03000d", 7);
    const char *text = finish();
    assert_matches(text, "^" TIME " INFO 0+\n$");
    assert_in_range(strlen(text), 1000, 1100);
}

static void test_limits_a_flood_to_a_line_a_second(void **state)
{
    (void)state;
    start(LOG_INFO);
    struct log_limit limit = {0};
    struct log_limit other = {0};
    for (uint64_t now_ms = 500; now_ms <= 2500; now_ms += 10)
        log_limited(&fixture.log.port, &limit, now_ms, LOG_WARN, "flood %d", 1);
    log_limited(&fixture.log.port, &other, 2500, LOG_WARN, "other");
    log_limited(&fixture.log.port, &limit, 3500, LOG_WARN, "flood %d", 2);
    log_limited(&fixture.log.port, &limit, 4500, LOG_WARN, "flood %d", 3);
    assert_matches(finish(), "^" TIME " WARN flood 1\n" TIME
                             " WARN flood 1 \\(and 99 more like it, not logged\\)\n" TIME
                             " WARN flood 1 \\(and 99 more like it, not logged\\)\n" TIME
                             " WARN other\n" TIME " WARN flood 2\n" TIME " WARN flood 3\n$");
}

/* What stands behind the last line of a flood is told when its second is over, or at the end. */
static void test_the_rest_of_a_flood_is_told(void **state)
{
    (void)state;
    start(LOG_INFO);
    struct log_limit limit = {0};
    for (int i = 0; i < 5; i++)
        log_limited(&fixture.log.port, &limit, 1000, LOG_WARN, "flood %d", i);
    log_rest(&fixture.log.port, &limit, 1999, false);
    log_rest(&fixture.log.port, &limit, 2000, false);
    log_rest(&fixture.log.port, &limit, 9000, false); /* nothing more */
    log_limited(&fixture.log.port, &limit, 9000, LOG_WARN, "again");
    log_limited(&fixture.log.port, &limit, 9001, LOG_WARN, "last");
    log_rest(&fixture.log.port, &limit, 9002, true);
    assert_matches(finish(), "^" TIME " WARN flood 0\n" TIME
                             " WARN flood 1 \\(and 3 more like it, not logged\\)\n" TIME
                             " WARN again\n" TIME " WARN last\n$");
}

/* ---- where nobody reads ---- */

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static void fill(int fd)
{
    static const char zeros[4096];
    int flags = fcntl(fd, F_GETFL);
    assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    for (size_t size = sizeof zeros; size > 0; size /= 2)
        while (write(fd, zeros, size) > 0)
            ;
    assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
}

/* Takes all that is there. */
static void drain(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    while (read(fd, fixture.text, sizeof(fixture.text)) > 0)
        ;
    fixture.text[0] = '\0';
    assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
}

/* The full one is drained, and what was lost is counted. */
static void expect_no_wait(const int ends[2])
{
    start_into(ends, LOG_INFO);
    fill(ends[1]);
    for (int i = 0; i < 3; i++)
        log_printf(&fixture.log.port, LOG_INFO, "lost");
    drain(ends[0]);
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* others have it too */
    log_printf(&fixture.log.port, LOG_INFO, "again");
    log_printf(&fixture.log.port, LOG_INFO, "and again");
    assert_matches(finish(), "^" TIME " WARN lines lost here, as nobody took them: 3\n" TIME
                             " INFO again\n" TIME " INFO and again\n$");
}

static void test_a_full_pipe_is_not_waited_for(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    expect_no_wait(ends);
}

static void test_a_full_socket_is_not_waited_for(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    expect_no_wait(ends);
}

/* A terminal takes a part of a line where there is no room for all of it. */
static void test_a_line_that_was_begun_is_ended_first(void **state)
{
    (void)state;
    int lines = 0;
    int ends[2] = {posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), -1};
    assert_true(ends[0] >= 0 && grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0);
    ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
    struct termios raw;
    assert_int_equal(tcgetattr(ends[1], &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(ends[1], TCSANOW, &raw), 0);
    start_into(ends, LOG_INFO);
    for (; lines < 1000 && fixture.log.rest_len == 0; lines++)
        log_printf(&fixture.log.port, LOG_INFO, "%0900d", 7);
    assert_in_range(lines, 1, 999);
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    for (int i = 0; i < 2; i++)
        log_printf(&fixture.log.port, LOG_INFO, "lost");
    read_more();
    log_printf(&fixture.log.port, LOG_INFO, "again");
    read_more();
    assert_matches(finish(),
                   "^(" TIME " INFO 0+7\n)+" TIME
                   " WARN lines lost here, as nobody took them: 2\n" TIME " INFO again\n$");
}

/* What the kernel does not open again, such as a pipe of another user, is asked for room. */
static void test_a_pipe_that_cannot_be_opened_again(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    start_into(ends, LOG_INFO);
    close(fixture.log.own_fd);
    fixture.log.own_fd = -1;
    fixture.log.way = LOG_WAY_POLL;
    fill(ends[1]);
    log_printf(&fixture.log.port, LOG_INFO, "lost");
    drain(ends[0]);
    log_printf(&fixture.log.port, LOG_INFO, "again");
    assert_matches(finish(), "^" TIME " WARN lines lost here, as nobody took them: 1\n" TIME
                             " INFO again\n$");
}

static void test_a_file_is_written_at_its_shared_end(void **state)
{
    (void)state;
    char name[] = "/tmp/test_log.XXXXXX";
    int file = mkstemp(name);
    assert_true(file >= 0 && unlink(name) == 0);
    int ends[2] = {file, dup(file)}; /* one description */
    assert_int_equal(write(file, "before\n", 7), 7);
    start_into(ends, LOG_INFO);
    log_printf(&fixture.log.port, LOG_INFO, "one");
    assert_int_equal(write(file, "between\n", 8), 8);
    log_printf(&fixture.log.port, LOG_INFO, "two");
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    assert_matches(finish(), "^before\n" TIME " INFO one\nbetween\n" TIME " INFO two\n$");
}

/* ---- threads ---- */

enum { THREADS = 4, LINES = 300 };

static void *log_many(void *number)
{
    for (int i = 0; i < LINES; i++)
        log_printf(&fixture.log.port, LOG_INFO, "thread %d", *(const int *)number);
    return NULL;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int numbers[THREADS];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 1024 * 1024) > 0);
    start_into(ends, LOG_INFO);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(fixture.log.lost, 0);
    assert_matches(finish(), "^(" TIME " INFO thread [0-3]\n)+$");
    assert_int_equal(count_of(fixture.text, "\n"), THREADS * LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_a_line_with_time_and_level),
        cmocka_unit_test(test_filters_by_level_but_for_the_ready_line),
        cmocka_unit_test(test_keeps_a_message_on_one_line),
        cmocka_unit_test(test_cuts_a_long_message),
        cmocka_unit_test(test_limits_a_flood_to_a_line_a_second),
        cmocka_unit_test(test_the_rest_of_a_flood_is_told),
        cmocka_unit_test(test_a_full_pipe_is_not_waited_for),
        cmocka_unit_test(test_a_full_socket_is_not_waited_for),
        cmocka_unit_test(test_a_line_that_was_begun_is_ended_first),
        cmocka_unit_test(test_a_pipe_that_cannot_be_opened_again),
        cmocka_unit_test(test_a_file_is_written_at_its_shared_end),
        cmocka_unit_test(test_lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
