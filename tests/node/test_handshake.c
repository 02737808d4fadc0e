#include "node/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define GREETING "\xff\0\0\0\0\0\0\0\0\x7f\3\0NULL"
#define READY "\5READY\x0bSocket-Type\0\0\0\6DEALER"
#define GOOD "\x08Identity\0\0\0\4good"
#define NAME_END (sizeof "\x08Identity" - 2)

struct bytes {
    unsigned char data[256];
    size_t len;
};

static void append(struct bytes *bytes, const char *text, size_t len)
{
    assert_true(bytes->len + len <= sizeof bytes->data);
    memcpy(bytes->data + bytes->len, text, len);
    bytes->len += len;
}

static struct bytes greeting(void)
{
    struct bytes bytes = {.len = 0};
    append(&bytes, GREETING, sizeof GREETING - 1);
    bytes.len = 64;
    return bytes;
}

/* In parts of that size. */
static bool pass(struct bytes *bytes, size_t part)
{
    struct handshake handshake = {0};
    for (size_t at = 0; at < bytes->len; at += part) {
        size_t len = bytes->len - at < part ? bytes->len - at : part;
        if (!handshake_pass(&handshake, bytes->data + at, len))
            return false;
    }
    return true;
}

static void assert_renamed(const struct bytes *sent, size_t name_at)
{
    for (size_t part = 1; part <= sent->len; part++) {
        struct bytes got = *sent;
        assert_true(pass(&got, part));
        assert_int_equal(got.data[name_at + NAME_END], '-');
        got.data[name_at + NAME_END] = 'y';
        assert_memory_equal(got.data, sent->data, sent->len);
    }
}

static void an_identity_is_renamed_in_parts_of_any_size(void **state)
{
    (void)state;
    struct bytes bytes = greeting();
    append(&bytes, "\4\x30" READY, 2 + sizeof READY - 1);
    size_t at = bytes.len;
    append(&bytes, GOOD, sizeof GOOD - 1);
    bytes.data[65] = (unsigned char)(bytes.len - 66);
    append(&bytes, "\0\x11" GOOD, 2 + sizeof GOOD - 1); /* in a message it is left alone */
    assert_renamed(&bytes, at);
}

static void in_a_large_frame_too(void **state)
{
    (void)state;
    struct bytes bytes = greeting();
    append(&bytes, "\6\0\0\0\0\0\0\0\0" READY, 9 + sizeof READY - 1);
    append(&bytes, "\x08", 1); /* as if the name began here */
    size_t at = bytes.len;
    append(&bytes, GOOD, sizeof GOOD - 1);
    bytes.data[72] = (unsigned char)(bytes.len - 73);
    append(&bytes, GOOD, sizeof GOOD - 1);
    assert_renamed(&bytes, at);
}

static void an_empty_frame_ends_it(void **state)
{
    (void)state;
    static const char *const frames[] = {"\4", "\6\0\0\0\0\0\0\0"};
    static const size_t sizes[] = {1, 8};
    for (size_t i = 0; i < 2; i++) {
        struct bytes bytes = greeting();
        append(&bytes, frames[i], sizes[i]);
        append(&bytes, "\0" GOOD, sizeof GOOD);
        struct bytes got = bytes;
        assert_true(pass(&got, 7));
        assert_memory_equal(got.data, bytes.data, bytes.len);
    }
}

static void old_versions_and_garbage_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned char byte;
    } wrong[] = {{0, 0}, {0, 0xfe}, {9, 0x7e}, {10, 0}, {10, 1}, {10, 2}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct bytes bytes = greeting();
        assert_true(pass(&bytes, 3));
        bytes.data[wrong[i].at] = wrong[i].byte;
        assert_false(pass(&bytes, 3));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_identity_is_renamed_in_parts_of_any_size),
        cmocka_unit_test(in_a_large_frame_too),
        cmocka_unit_test(an_empty_frame_ends_it),
        cmocka_unit_test(old_versions_and_garbage_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
