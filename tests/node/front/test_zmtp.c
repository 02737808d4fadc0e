/* node/front/zmtp.h: what goes over the wire. tests/fuzz/fuzz_zmtp.c has the rest of its reader. */
#include "node/front/zmtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct text take_greeting(struct zmtp_reader *reader, const void *bytes, size_t len)
{
    unsigned char greeting[ZMTP_GREETING_BYTES];
    struct zmtp_piece piece;
    struct text input = {(const char *)greeting, zmtp_put_greeting(greeting)};
    assert_int_equal(zmtp_read(reader, &input, &piece), ZMTP_GREETED);
    assert_int_equal(input.len, 0);
    return (struct text){bytes, len};
}

static void a_greeting_is_answered_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t at;
        unsigned char byte;
        enum zmtp_part part;
    } rows[] = {
        {"as it is", 0, 0xff, ZMTP_GREETED},
        {"no signature", 0, 0x01, ZMTP_BROKEN},
        {"HTTP", 0, 'G', ZMTP_BROKEN},
        {"ZMTP 1.0", 9, 0x00, ZMTP_BROKEN},
        {"ZMTP 2.0", 10, 1, ZMTP_BROKEN},
        {"ZMTP 3.0", 11, 0, ZMTP_GREETED},
        {"a later ZMTP", 10, 4, ZMTP_GREETED},
        {"mechanism XULL", 12, 'X', ZMTP_BROKEN},
        {"mechanism NULLX", 16, 'X', ZMTP_BROKEN},
        {"as a server", 32, 1, ZMTP_GREETED},
        {"a filler", 63, 1, ZMTP_GREETED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char greeting[ZMTP_GREETING_BYTES];
        struct zmtp_reader reader = {.left = 0};
        struct zmtp_piece piece;
        zmtp_put_greeting(greeting);
        greeting[rows[i].at] = rows[i].byte;
        struct text input = {(const char *)greeting, sizeof greeting};
        if (zmtp_read(&reader, &input, &piece) != rows[i].part)
            fail_msg("%s", rows[i].name);
    }
}

static void frames_come_with_flags_and_size(void **state)
{
    (void)state;
    struct zmtp_reader reader = {.left = 0};
    struct zmtp_piece piece;
    struct text input = take_greeting(&reader, "\x01\x00\x00\x02hi\x04\x01!", 9);
    assert_int_equal(zmtp_read(&reader, &input, &piece), ZMTP_FRAME);
    assert_int_equal(piece.flags, ZMTP_MORE);
    assert_int_equal(piece.size, 0);
    assert_int_equal(zmtp_read(&reader, &input, &piece), ZMTP_CONTENT);
    assert_true(piece.ends && piece.content.len == 0);
    assert_int_equal(zmtp_read(&reader, &input, &piece), ZMTP_FRAME);
    assert_int_equal(piece.flags, 0);
    assert_int_equal(zmtp_read(&reader, &input, &piece), ZMTP_CONTENT);
    assert_true(piece.ends && text_equal(piece.content, text_of("hi")));
    assert_int_equal(zmtp_read(&reader, &input, &piece), ZMTP_FRAME);
    assert_int_equal(piece.flags, ZMTP_COMMAND);
    assert_int_equal(zmtp_read(&reader, &input, &piece), ZMTP_CONTENT);
    assert_int_equal(zmtp_read(&reader, &input, &piece), ZMTP_NEED_MORE);
}

static void what_is_no_frame_is_broken(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *bytes;
        size_t len;
        enum zmtp_part part;
    } rows[] = {
        {"a frame of 1 MiB", "\x02\0\0\0\0\0\x10\0\0", 9, ZMTP_FRAME},
        {"of a byte more", "\x02\0\0\0\0\0\x10\0\x01", 9, ZMTP_BROKEN},
        {"of 2^63 bytes", "\x02\x80\0\0\0\0\0\0\0", 9, ZMTP_BROKEN},
        {"a short one with a long length", "\x02\0\0\0\0\0\0\0\x01", 9, ZMTP_FRAME},
        {"a reserved flag", "\x08\x00", 2, ZMTP_BROKEN},
        {"a command with more to come", "\x05\x00", 2, ZMTP_BROKEN},
        {"half of a header", "\x02\0\0\0", 4, ZMTP_NEED_MORE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct zmtp_reader reader = {.left = 0};
        struct zmtp_piece piece;
        struct text input = take_greeting(&reader, rows[i].bytes, rows[i].len);
        if (zmtp_read(&reader, &input, &piece) != rows[i].part)
            fail_msg("%s", rows[i].name);
    }
}

static void the_type_of_a_socket(void **state)
{
    (void)state;
    static const struct {
        const char *properties;
        size_t len;
        const char *type;
    } rows[] = {
        {"\x0bSocket-Type\0\0\0\x03REQ", 19, "REQ"},
        {"\x0bsocket-TYPE\0\0\0\x03REQ", 19, "REQ"},
        {"\x08Identity\0\0\0\x02me\x0bSocket-Type\0\0\0\x03SUB", 34, "SUB"},
        {"\x0bSocket-Type\0\0\0\x04REQ", 19, NULL},
        {"\x0bSocket-Type\0\0\0\x03REQ\x01", 20, NULL},
        {"\x0bSocket-Type\xff\xff\xff\xff", 16, NULL},
        {"\0\0\0\0\0", 5, NULL},
        {"", 0, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text type = zmtp_socket_type((struct text){rows[i].properties, rows[i].len});
        struct text wanted = rows[i].type == NULL ? text_none() : text_of(rows[i].type);
        if (!text_equal(type, wanted))
            fail_msg("row %zu", i);
    }
}

/* What is written can be read. */
static void ready_ping_and_pong(void **state)
{
    (void)state;
    unsigned char bytes[ZMTP_READY_MAX];
    struct zmtp_reader reader = {.left = 0};
    struct zmtp_piece piece;
    struct text data;
    struct text input = take_greeting(&reader, bytes, zmtp_put_ready(bytes, "ROUTER"));
    assert_int_equal(zmtp_read(&reader, &input, &piece), ZMTP_FRAME);
    assert_int_equal(zmtp_read(&reader, &input, &piece), ZMTP_CONTENT);
    assert_true(piece.ends);
    assert_true(zmtp_command_is(piece.content, "READY", &data));
    assert_true(text_equal(zmtp_socket_type(data), text_of("ROUTER")));

    input = (struct text){(const char *)bytes, zmtp_put_ping(bytes, 0x1234)};
    assert_true(text_equal(input, (struct text){"\x04\x07\x04PING\x12\x34", 9}));
    input = (struct text){(const char *)bytes, zmtp_put_pong(bytes, text_of("context"))};
    assert_true(text_equal(input, (struct text){"\x04\x0c\x04PONGcontext", 14}));
    assert_true(zmtp_put_pong(bytes, text_of("a context of more than sixteen bytes")) ==
                2 + 5 + ZMTP_CONTEXT_MAX);
    assert_false(zmtp_command_is(text_of("\x04PIN"), "PING", &data));
    assert_false(zmtp_command_is(text_of("\x05PINGS"), "PING", &data));
}

static void headers_of_both_lengths(void **state)
{
    (void)state;
    unsigned char bytes[ZMTP_HEADER_MAX];
    assert_int_equal(zmtp_put_header(bytes, ZMTP_MORE, 255), 2);
    assert_memory_equal(bytes, "\x01\xff", 2);
    assert_int_equal(zmtp_put_header(bytes, 0, 256), ZMTP_HEADER_MAX);
    assert_memory_equal(bytes, "\x02\0\0\0\0\0\0\x01\0", ZMTP_HEADER_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_greeting_is_answered_or_not),
        cmocka_unit_test(frames_come_with_flags_and_size),
        cmocka_unit_test(what_is_no_frame_is_broken),
        cmocka_unit_test(the_type_of_a_socket),
        cmocka_unit_test(ready_ping_and_pong),
        cmocka_unit_test(headers_of_both_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
