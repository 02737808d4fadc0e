#include "domain/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void absent_is_not_empty(void **state)
{
    (void)state;
    assert_true(text_is_none(text_none()));
    assert_false(text_is_none(text_of("")));
    assert_true(text_equal(text_none(), text_none()));
    assert_true(text_equal(text_of(""), text_of("")));
    assert_false(text_equal(text_none(), text_of("")));
    assert_false(text_equal(text_of(""), text_none()));
}

static void equal_texts_have_equal_bytes(void **state)
{
    (void)state;
    char other[] = "abc";
    assert_true(text_equal(text_of("abc"), text_of(other)));
    assert_false(text_equal(text_of("abc"), text_of("abd")));
    assert_false(text_equal(text_of("abc"), text_of("ab")));
    assert_true(text_equal((struct text){"a\0b", 3}, (struct text){"a\0b", 3}));
    assert_false(text_equal((struct text){"a\0b", 3}, (struct text){"a\0c", 3}));
}

static void texts_are_ordered_by_their_bytes(void **state)
{
    (void)state;
    static const char *const in_order[] = {"",   "A",  "B", "a",        "a/",
                                           "a0", "aa", "b", "\xc3\xa4", "\xff"};
    for (size_t i = 0; i < COUNT(in_order); i++)
        for (size_t k = 0; k < COUNT(in_order); k++) {
            int order = text_compare(text_of(in_order[i]), text_of(in_order[k]));
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
}

/* ---- UTF-8 ---- */

static const struct {
    const char *name;
    const char *bytes;
    size_t length; /* of the character at the start, 0: there is none */
} characters[] = {
    {"NUL ends nothing", "", 0},
    {"the last of one byte", "\x7f", 1},
    {"the first of two bytes", "\xc2\x80", 2},
    {"the last of two bytes", "\xdf\xbf", 2},
    {"the first of three bytes", "\xe0\xa0\x80", 3},
    {"before the surrogates", "\xed\x9f\xbf", 3},
    {"after the surrogates", "\xee\x80\x80", 3},
    {"the last of three bytes", "\xef\xbf\xbf", 3},
    {"the first of four bytes", "\xf0\x90\x80\x80", 4},
    {"the last of all", "\xf4\x8f\xbf\xbf", 4},
    {"a continuation byte", "\x80", 0},
    {"another one", "\xbf", 0},
    {"overlong, two bytes", "\xc0\x80", 0},
    {"overlong, two bytes, the last", "\xc1\xbf", 0},
    {"overlong, three bytes", "\xe0\x9f\xbf", 0},
    {"overlong, four bytes", "\xf0\x8f\xbf\xbf", 0},
    {"the first surrogate", "\xed\xa0\x80", 0},
    {"the last surrogate", "\xed\xbf\xbf", 0},
    {"above U+10FFFF", "\xf4\x90\x80\x80", 0},
    {"five bytes once", "\xf8\x88\x80\x80\x80", 0},
    {"a byte that never stands in UTF-8", "\xff", 0},
    {"two bytes cut to one", "\xc3", 0},
    {"three bytes cut to two", "\xe2\x82", 0},
    {"four bytes cut to three", "\xf0\x9f\x98", 0},
    {"no continuation in two", "\xc3(", 0},
    {"no continuation in the middle of three", "\xe2(\xac", 0},
    {"no continuation at the end of three", "\xe2\x82(", 0},
    {"no continuation at the end of four", "\xf0\x9f\x98(", 0},
    {"no continuation in the middle of four", "\xf0\x9f(\x80", 0},
    {"no continuation at the start of four", "\xf0(\x98\x80", 0},
};

static void characters_are_well_formed_utf_8(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(characters); i++) {
        size_t len = strlen(characters[i].bytes);
        char *copy = malloc(len > 0 ? len : 1); /* so that a byte too many is seen */
        assert_non_null(copy);
        memcpy(copy, characters[i].bytes, len);
        size_t length = text_character(copy, len);
        free(copy);
        if (length != characters[i].length)
            fail_msg("%s: %zu", characters[i].name, length);
    }
}

/* Every code point, in the encoding of RFC 3629 written out anew. */
static size_t encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(first[length] | code);
    return length;
}

static void every_code_point_but_surrogates_is_a_character(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        char bytes[4];
        size_t length = encode(code, bytes);
        bool is_valid = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
        struct text character = {bytes, length};
        if (text_character(bytes, length) != (is_valid ? length : 0))
            fail_msg("U+%X", (unsigned)code);
        if (text_printable(bytes, length) != (is_valid && !is_control ? length : 0))
            fail_msg("U+%X on a terminal", (unsigned)code);
        if (text_is_name(character, 4) != (is_valid && !is_control))
            fail_msg("U+%X as a name", (unsigned)code);
    }
}

static void a_name_has_a_length(void **state)
{
    (void)state;
    assert_false(text_is_name(text_none(), 64));
    assert_false(text_is_name(text_of(""), 64));
    assert_true(text_is_name(text_of("a"), 1));
    assert_false(text_is_name(text_of("ab"), 1));
    assert_true(text_is_name(text_of("\xc3\xa4"), 2)); /* bytes count, not characters */
    assert_false(text_is_name(text_of("\xc3\xa4"), 1));
}

static void faults_anywhere_spoil_a_name(void **state)
{
    (void)state;
    static const char *const faults[] = {"\x01", "\n", "\x7f", "\xc2\x85", "\xff", "\xc3"};
    for (size_t i = 0; i < COUNT(faults); i++)
        for (size_t before = 0; before < 3; before++)
            for (size_t after = 0; after < 3; after++) {
                char name[16] = {0};
                memset(name, 'a', before);
                size_t len = strlen(faults[i]);
                memcpy(name + before, faults[i], len);
                memset(name + before + len, 'b', after);
                assert_false(text_is_name((struct text){name, before + len + after}, 64));
            }
    assert_false(text_is_name((struct text){"a\0b", 3}, 64));
    assert_true(text_is_name(text_of("a b/c%\"'\\"), 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_is_not_empty),
        cmocka_unit_test(equal_texts_have_equal_bytes),
        cmocka_unit_test(texts_are_ordered_by_their_bytes),
        cmocka_unit_test(characters_are_well_formed_utf_8),
        cmocka_unit_test(every_code_point_but_surrogates_is_a_character),
        cmocka_unit_test(a_name_has_a_length),
        cmocka_unit_test(faults_anywhere_spoil_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
