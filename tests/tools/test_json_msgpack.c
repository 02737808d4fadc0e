/* JSON to msgpack and back, and bodies that are no msgpack. */
#include "tools/zmq_send/answer.h"
#include "tools/zmq_send/json_msgpack.h"
#include "tools/zmq_send/json_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* The line of JSON for a body, to be freed; NULL where it is no msgpack value. */
static char *shown(struct text body)
{
    msgpack_unpacked unpacked;
    const char *why = NULL;
    if (!body_unpack(&unpacked, body.data, body.len, &why)) {
        assert_non_null(why);
        return NULL;
    }
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    assert_non_null(memory);
    json_write(memory, &unpacked.data);
    fclose(memory);
    msgpack_unpacked_destroy(&unpacked);
    return text;
}

static void pack(const char *text, msgpack_sbuffer *out)
{
    json_error_t error;
    msgpack_packer packer;
    json_t *json = json_loads(text, JSON_READ_FLAGS, &error);
    assert_non_null(json);
    msgpack_sbuffer_init(out);
    msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
    json_to_msgpack(json, &packer);
    json_decref(json);
}

static void json_comes_back_as_it_went(void **state)
{
    static const struct {
        const char *json;
        struct text body;
    } rows[] = {
        {"{\"z\":1,\"a\":{\"y\":[],\"b\":null}}", BYTES("\x82\xa1z\x01\xa1"
                                                        "a\x82\xa1y\x90\xa1"
                                                        "b\xc0")},
        {"[127,128,-1,-33,9223372036854775807,-9223372036854775808]",
         BYTES("\x96\x7f\xcc\x80\xff\xd0\xdf\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"
               "\xd3\x80\0\0\0\0\0\0\0")},
        {"[true,false,null]", BYTES("\x93\xc3\xc2\xc0")},
        {"[1.0,-0.5]", BYTES("\x92\xcb\x3f\xf0\0\0\0\0\0\0\xcb\xbf\xe0\0\0\0\0\0\0")},
        {"\"a\\\"\\\\\\n\\t\\u0000\\u001b\\u007f\\u0085/\xc3\xa9\xf0\x9f\x98\x80\"",
         BYTES("\xb1"
               "a\"\\\n\t\0\x1b\x7f\xc2\x85/\xc3\xa9\xf0\x9f\x98\x80")},
        {"{}", BYTES("\x80")},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        msgpack_sbuffer body;
        pack(rows[i].json, &body);
        assert_int_equal(body.size, rows[i].body.len);
        assert_memory_equal(body.data, rows[i].body.data, body.size);
        char *text = shown(rows[i].body);
        assert_string_equal(text, rows[i].json);
        free(text);
        msgpack_sbuffer_destroy(&body);
    }
}

static void what_json_lacks_is_shown_all_the_same(void **state)
{
    static const struct {
        struct text body;
        const char *json;
    } rows[] = {
        {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615"},
        {BYTES("\xc4\x02\x00\xfe"), "{\"bin\":\"00fe\"}"},
        {BYTES("\xc7\x00\xff"), "{\"ext\":-1,\"bin\":\"\"}"},
        {BYTES("\xa3\xff"
               "a\xc3"),
         "\"\xef\xbf\xbd"
         "a\xef\xbf\xbd\""},
        {BYTES("\xca\x7f\xc0\0\0"), "null"},
        {BYTES("\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c"), "1.0000000000000001e+300"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = shown(rows[i].body);
        assert_string_equal(text, rows[i].json);
        free(text);
    }
}

static void no_msgpack_is_refused(void **state)
{
    static const struct text rows[] = {
        BYTES(""),
        BYTES("\xc1"),
        BYTES("\x91\xc1"),
        BYTES("\x01\x01"),
        BYTES("\xdd\xff\xff\xff\xff"),
        BYTES("\xdf\x80\0\0\0"),
        BYTES("\xdb\xff\xff\xff\xff"),
        BYTES("\xc9\xff\xff\xff\xff"),
        BYTES("\x92\xdd\0\0\0\x02\x01\x01"),
        BYTES("\xd8\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        /* Keys that are no str, and keys twice. */
        BYTES("\x81\x01\x02"),
        BYTES("\x81\xc0\x02"),
        BYTES("\x81\xc4\x01x\x02"),
        BYTES("\x81\x91\xa1x\x03"),
        BYTES("\x81\x81\x81\x01\x02\x03\x04"),
        BYTES("\x82\xa0\x01\xa0\x02"),
        BYTES("\x83\xa1x\x01\xa1y\x02\xd9\x01x\x03"),
        BYTES("\x91\x81\xa1x\x92\x01\x82\xa1y\x01\xa1y\x01"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_null(shown(rows[i]));
}

/* One body with every head byte that there is, whole alone. */
static void a_body_is_read_whole_or_not_at_all(void **state)
{
    static const char whole[] =
        "\xdc\x00\x15\x81\xa1k\x91\x7f\xe0\xc0\xc2\xc3\xc4\x01x\xc5\x00\x01x\xc6\x00\x00\x00\x01x"
        "\xc7\x01\x05x\xc8\x00\x01\x05x\xca\0\0\0\0\xcb\0\0\0\0\0\0\0\0\xd1\0\0\xd2\0\0\0\0"
        "\xd4\x01x\xd5\x01xx\xd6\x01xxxx\xd7\x01xxxxxxxx\xd9\x01x\xda\x00\x01x\xde\x00\x01\xa1k"
        "\x02";
    (void)state;
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        char *exact = malloc(len + 1); /* so that a sanitizer sees a read beyond its end */
        assert_non_null(exact);
        memcpy(exact + 1, whole, len);
        assert_null(shown((struct text){exact + 1, len}));
        free(exact);
    }
    char *text = shown((struct text){whole, sizeof whole - 1});
    assert_non_null(text);
    free(text);
}

/* Which id the reply must have, and whether a repeat is harmless. */
static void an_answer_is_judged_by_its_request(void **state)
{
    static const struct {
        const char *json;
        const char *id;
        bool is_repeatable;
    } rows[] = {
        {"{\"type\":\"Allocate\",\"id\":\"x\"}", "x", true},
        {"{\"type\":\"Allocate\"}", "", false},
        {"{\"type\":\"Allocate\",\"id\":null}", "", false},
        {"{\"type\":\"Allocate\",\"id\":\"\\u0001\"}", "", false},
        {"{\"type\":\"Ping\",\"id\":\"\"}", "", true},
        {"{\"type\":\"Ping\"}", "", true},
        {"{\"type\":\"Allocated\"}", "", false},
        {"{\"type\":7}", "", false},
        {"[1]", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        msgpack_sbuffer body;
        struct answer answer;
        pack(rows[i].json, &body);
        answer_expect(&answer, (struct text){body.data, body.size});
        assert_int_equal(answer.repeatable, rows[i].is_repeatable);
        assert_int_equal(answer.id_len, strlen(rows[i].id));
        assert_memory_equal(answer.id, rows[i].id, answer.id_len);
        msgpack_sbuffer_destroy(&body);
    }
}

/* Whatever the places where a text is cut, the same values come out. */
static void values_are_cut_out_of_any_pieces(void **state)
{
    static const char text[] =
        " {\"a\":\"}\\\"{\"}[1,{}]\n12 \"x y\"null{\"b\":1,\"b\":2}{\"c\":3}";
    static const enum json_stream_result expected[] = {
        JSON_STREAM_VALUE, JSON_STREAM_VALUE, JSON_STREAM_VALUE, JSON_STREAM_VALUE,
        JSON_STREAM_VALUE, JSON_STREAM_WRONG, JSON_STREAM_VALUE, JSON_STREAM_END,
    };
    (void)state;
    for (size_t piece = 1; piece < sizeof text; piece++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        struct json_stream *stream = json_stream_new(ends[0]);
        size_t sent = 0;
        for (size_t i = 0; i < sizeof expected / sizeof expected[0];) {
            json_t *value = NULL;
            const char *why;
            enum json_stream_result result = json_stream_next(stream, &value, &why);
            if (result != JSON_STREAM_MORE) {
                assert_int_equal(result, expected[i++]);
                json_decref(value);
                continue;
            }
            size_t left = sizeof text - 1 - sent;
            size_t len = left < piece ? left : piece;
            if (len > 0)
                assert_int_equal(write(ends[1], text + sent, len), len);
            else
                close(ends[1]);
            sent += len;
            assert_true(json_stream_read(stream));
        }
        json_stream_destroy(&stream);
        close(ends[0]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_comes_back_as_it_went),
        cmocka_unit_test(what_json_lacks_is_shown_all_the_same),
        cmocka_unit_test(no_msgpack_is_refused),
        cmocka_unit_test(a_body_is_read_whole_or_not_at_all),
        cmocka_unit_test(an_answer_is_judged_by_its_request),
        cmocka_unit_test(values_are_cut_out_of_any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
