#include "node/config/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATH_50 "/2345678901234567890123456789012345678901234567890"
#define HOST_64 "a234567890123456789012345678901234567890123456789012345678901234"

enum verdict { REFUSED, REMOTE, LOCAL };

/* What is said of an endpoint to bind, and of the same one to connect to. */
static const struct {
    const char *endpoint;
    enum verdict bind;
    enum verdict connect;
} rows[] = {
    {"tcp://127.0.0.1:5555", LOCAL, LOCAL},
    {"tcp://127.255.0.9:1", LOCAL, LOCAL},
    {"tcp://localhost:5555", LOCAL, LOCAL},
    {"tcp://LocalHost:5555", LOCAL, LOCAL},
    {"tcp://[::1]:5555", LOCAL, LOCAL},
    {"tcp://[0:0:0:0:0:0:0:1]:5555", LOCAL, LOCAL},
    {"tcp://lo:5555", LOCAL, REMOTE},
    {"tcp://127.0.0.1:*", LOCAL, REFUSED},
    {"tcp://127.0.0.1:0", LOCAL, REFUSED},
    {"tcp://127.0.0.1:65535", LOCAL, LOCAL},

    {"tcp://*:5555", REMOTE, REFUSED},
    {"tcp://*:*", REMOTE, REFUSED},
    {"tcp://0.0.0.0:5555", REMOTE, REMOTE},
    {"tcp://10.0.0.7:5555", REMOTE, REMOTE},
    {"tcp://128.0.0.1:5555", REMOTE, REMOTE},
    {"tcp://[::]:5555", REMOTE, REMOTE},
    {"tcp://[2001:db8::1]:5555", REMOTE, REMOTE},
    {"tcp://[::ffff:10.0.0.7]:5555", REMOTE, REMOTE},
    {"tcp://eth0:5555", REMOTE, REMOTE},
    {"tcp://lo0:5555", REMOTE, REMOTE},
    {"tcp://localhost.example.org:5555", REMOTE, REMOTE},
    {"tcp://127.0.0.1.example.org:5555", REMOTE, REMOTE},

    {"tcp://127.0.0.1", REFUSED, REFUSED},
    {"tcp://127.0.0.1:", REFUSED, REFUSED},
    {"tcp://127.0.0.1:65536", REFUSED, REFUSED},
    {"tcp://127.0.0.1:70000", REFUSED, REFUSED},
    {"tcp://127.0.0.1:4294972851", REFUSED, REFUSED},
    {"tcp://127.0.0.1:05555", REFUSED, REFUSED},
    {"tcp://127.0.0.1:-1", REFUSED, REFUSED},
    {"tcp://127.0.0.1:+1", REFUSED, REFUSED},
    {"tcp://127.0.0.1: 1", REFUSED, REFUSED},
    {"tcp://127.0.0.1:5555 ", REFUSED, REFUSED},
    {"tcp://127.0.0.1:http", REFUSED, REFUSED},
    {"tcp://:5555", REFUSED, REFUSED},
    {"tcp://", REFUSED, REFUSED},
    {"tcp://127.1:5555", REFUSED, REFUSED},
    {"tcp://127.0.0.256:5555", REFUSED, REFUSED},
    {"tcp://2130706433:5555", REFUSED, REFUSED},
    {"tcp://::1:5555", REFUSED, REFUSED},
    {"tcp://[::1:5555", REFUSED, REFUSED},
    {"tcp://[]:5555", REFUSED, REFUSED},
    {"tcp://[:5555", REFUSED, REFUSED},
    {"tcp://[localhost]:5555", REFUSED, REFUSED},
    {"tcp://a b:5555", REFUSED, REFUSED},
    {"tcp://10.0.0.1:0;127.0.0.1:5555", REFUSED, REFUSED},
    {"tcp://127.0.0.1/x:5555", REFUSED, REFUSED},
    {"tcp://\n:5555", REFUSED, REFUSED},
    {"tcp://" HOST_64 HOST_64 HOST_64 HOST_64 HOST_64 ":1", REFUSED, REFUSED},

    {"ipc:///run/allocd/commands", LOCAL, LOCAL},
    {"ipc://commands.ipc", LOCAL, LOCAL},
    {"ipc://@allocd", LOCAL, LOCAL},
    {"ipc://*", LOCAL, REFUSED},
    {"ipc://" PATH_50 PATH_50 "1234567", LOCAL, LOCAL},
    {"ipc://" PATH_50 PATH_50 "12345678", REFUSED, REFUSED},
    {"ipc://", REFUSED, REFUSED},
    {"ipc://@", REFUSED, REFUSED},
    {"ipc://a\"b", REFUSED, REFUSED},
    {"ipc://a\x7f", REFUSED, REFUSED},

    {"", REFUSED, REFUSED},
    {"127.0.0.1:5555", REFUSED, REFUSED},
    {"TCP://127.0.0.1:5555", REFUSED, REFUSED},
    {" tcp://127.0.0.1:5555", REFUSED, REFUSED},
    {"inproc://x", REFUSED, REFUSED},
    {"pgm://lo;239.0.0.1:5555", REFUSED, REFUSED},
    {"ws://127.0.0.1:5555", REFUSED, REFUSED},
    {"udp://127.0.0.1:5555", REFUSED, REFUSED},
};

static enum verdict judge(const char *endpoint, enum endpoint_use use)
{
    if (endpoint_fault(endpoint, use))
        return REFUSED;
    return endpoint_is_local(endpoint, use) ? LOCAL : REMOTE;
}

static void test_judges_endpoints(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (judge(rows[i].endpoint, ENDPOINT_BIND) != rows[i].bind)
            fail_msg("to bind: %s", rows[i].endpoint);
        if (judge(rows[i].endpoint, ENDPOINT_CONNECT) != rows[i].connect)
            fail_msg("to connect: %s", rows[i].endpoint);
    }
}

/* libzmq cannot bind to localhost. */
static void test_copies_localhost_as_an_address_to_bind(void **state)
{
    (void)state;
    char out[ENDPOINT_SIZE];
    endpoint_copy(out, "tcp://LOCALHOST:*", ENDPOINT_BIND);
    assert_string_equal(out, "tcp://127.0.0.1:*");
    endpoint_copy(out, "tcp://localhost:5555", ENDPOINT_CONNECT);
    assert_string_equal(out, "tcp://localhost:5555");
    endpoint_copy(out, "tcp://localhosts:5555", ENDPOINT_BIND);
    assert_string_equal(out, "tcp://localhosts:5555");
    endpoint_copy(out, "ipc://localhost:5555", ENDPOINT_BIND);
    assert_string_equal(out, "ipc://localhost:5555");
}

static void test_knows_ipv6(void **state)
{
    (void)state;
    assert_true(endpoint_is_ipv6("tcp://[::1]:5555"));
    assert_false(endpoint_is_ipv6("tcp://127.0.0.1:5555"));
    assert_false(endpoint_is_ipv6("ipc://[::1]:5555"));
}

static void test_knows_what_collides(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool collides;
    } pairs[] = {
        {"tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555", true},
        {"tcp://127.0.0.1:50", "tcp://127.0.0.1:50", true},
        {"tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556", false},
        {"tcp://127.0.0.1:*", "tcp://127.0.0.1:*", false},
        {"tcp://127.0.0.1:0", "tcp://127.0.0.1:0", false},
        {"ipc://a", "ipc://a", true},
        {"ipc://a:0", "ipc://a:0", true},
        {"ipc://a", "ipc://b", false},
        {"ipc://*", "ipc://*", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++)
        if (endpoint_collides(pairs[i].a, pairs[i].b) != pairs[i].collides)
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judges_endpoints),
        cmocka_unit_test(test_copies_localhost_as_an_address_to_bind),
        cmocka_unit_test(test_knows_ipv6),
        cmocka_unit_test(test_knows_what_collides),
    };
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
