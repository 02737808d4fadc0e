/* What a server sends is held against what a message may have, however it is cut into pieces. */
#include "tools/zmq_send/zmtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define GREETING_BYTES 64
#define STREAM_BYTES_MAX (GREETING_BYTES + 1024)

struct stream {
    size_t len;
    unsigned char bytes[STREAM_BYTES_MAX];
};

static struct stream greeted(void)
{
    struct stream stream = {.len = GREETING_BYTES};
    memcpy(stream.bytes, "\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL", 16);
    return stream;
}

static void add(struct stream *stream, const char *bytes, size_t len)
{
    assert_true(stream->len + len <= STREAM_BYTES_MAX);
    memcpy(stream->bytes + stream->len, bytes, len);
    stream->len += len;
}

/* Takes all of it, in pieces of a size, and sees that so many bytes are good. */
static struct zmtp taken(const struct stream *stream, size_t piece, size_t expected)
{
    struct zmtp zmtp = zmtp_begin();
    size_t good = 0;
    for (size_t at = 0; at < stream->len; at += piece) {
        size_t left = stream->len - at;
        good += zmtp_take(&zmtp, stream->bytes + at, left < piece ? left : piece);
    }
    assert_int_equal(good, expected);
    return zmtp;
}

static void check(const struct stream *stream, size_t good, enum zmtp_fault fault, uint64_t frames,
                  uint64_t messages)
{
    for (size_t piece = 1; piece <= stream->len; piece++) {
        struct zmtp zmtp = taken(stream, piece, good);
        assert_int_equal(zmtp.fault, fault);
        assert_int_equal(zmtp.frames, frames);
        assert_int_equal(zmtp.messages, messages);
    }
}

static void messages_and_commands_are_told_apart(void **state)
{
    struct stream stream = greeted();
    (void)state;
    add(&stream, "\x04\x03xyz", 5);                                  /* a command */
    add(&stream, "\x01\x00\x04\x01x\x00\x02yz", 9);                  /* one within a message */
    add(&stream, "\x03\0\0\0\0\0\0\0\x01x\x02\0\0\0\0\0\0\0\0", 19); /* frames of the large kind */
    add(&stream, "\x00\x05half", 6);                                 /* its end is still to come */
    check(&stream, stream.len, ZMTP_GOOD, 7, 2);
}

static void what_no_greeting_is_ends_at_once(void **state)
{
    static const struct {
        size_t at;
        unsigned char byte;
    } rows[] = {{0, 'H'}, {9, 0x7e}, {10, 0}, {10, 1}, {10, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stream stream = greeted();
        stream.bytes[rows[i].at] = rows[i].byte;
        check(&stream, rows[i].at, ZMTP_NOT_SPOKEN, 0, 0);
    }
}

static void add_head(struct stream *stream, unsigned char flags, uint64_t size)
{
    char head[9] = {(char)flags};
    for (int i = 0; i < 8; i++)
        head[1 + i] = (char)(unsigned char)(size >> (56 - 8 * i));
    add(stream, head, sizeof head);
}

static void a_frame_has_a_limit(void **state)
{
    static const unsigned char kinds[] = {0x02, 0x03, 0x06};
    (void)state;
    for (size_t i = 0; i < sizeof kinds; i++) {
        struct stream stream = greeted();
        add_head(&stream, kinds[i], ZMTP_FRAME_BYTES_MAX);
        check(&stream, stream.len, ZMTP_GOOD, 1, 0);
        static const uint64_t sizes[] = {ZMTP_FRAME_BYTES_MAX + 1, UINT64_MAX};
        for (size_t j = 0; j < 2; j++) {
            stream = greeted();
            add_head(&stream, kinds[i], sizes[j]);
            add(&stream, "never", 5);
            check(&stream, GREETING_BYTES + 8, ZMTP_TOO_LARGE, 1, 0);
        }
    }
}

static void a_message_has_a_limit(void **state)
{
    struct stream stream = greeted();
    (void)state;
    for (unsigned i = 0; i + 1 < ZMTP_FRAMES_MAX; i++)
        add(&stream, "\x01\x01x", 3);
    add(&stream, "\x00\x01x", 3);
    check(&stream, stream.len, ZMTP_GOOD, ZMTP_FRAMES_MAX, 1);
    for (unsigned i = 0; i < ZMTP_FRAMES_MAX; i++)
        add(&stream, "\x01\x01x", 3);
    check(&stream, stream.len, ZMTP_GOOD, (uint64_t)2 * ZMTP_FRAMES_MAX, 1);
    add(&stream, "\x00\x01x", 3);
    check(&stream, stream.len - 2, ZMTP_TOO_LARGE, (uint64_t)2 * ZMTP_FRAMES_MAX + 1, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_commands_are_told_apart),
        cmocka_unit_test(what_no_greeting_is_ends_at_once),
        cmocka_unit_test(a_frame_has_a_limit),
        cmocka_unit_test(a_message_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
