#include "tests/support/bodies.h"

#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct codec *codec;

#define MADE_MAX ((size_t)256 * 1024)

static char made[MADE_MAX];
static size_t made_len;
static char *kept[4]; /* each just as long as its body, so that ASan sees a byte too many */
static size_t kept_next;

int bodies_set_up(void **state)
{
    (void)state;
    codec = codec_new();
    return codec == NULL;
}

int bodies_tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kept); i++) {
        free(kept[i]);
        kept[i] = NULL;
    }
    codec_destroy(&codec);
    return 0;
}

struct text body_copy(const char *data, size_t len)
{
    char **slot = &kept[kept_next++ % COUNT(kept)];
    free(*slot);
    *slot = malloc(len > 0 ? len : 1);
    assert_non_null(*slot);
    if (len > 0)
        memcpy(*slot, data, len);
    return (struct text){*slot, len};
}

static void put(const void *bytes, size_t len)
{
    assert_true(len <= MADE_MAX - made_len);
    memcpy(made + made_len, bytes, len);
    made_len += len;
}

void body_put(unsigned byte, uint64_t number, unsigned width)
{
    unsigned char head[9] = {(unsigned char)byte};
    for (unsigned i = 0; i < width; i++)
        head[1 + i] = (unsigned char)(number >> (8 * (width - 1 - i)));
    put(head, 1 + width);
}

static const char *put_value(const char *at);

static const char *put_str(const char *at)
{
    const char *end = strchr(at, '\'');
    size_t len = (size_t)(end - at);
    unsigned long times = end[1] == '*' ? strtoul(end + 2, (char **)&end, 10) : (end++, 1ul);
    size_t whole = len * times;
    if (whole < 32)
        body_put((unsigned)(0xa0 + whole), 0, 0);
    else
        body_put(whole < 65536 ? 0xda : 0xdb, whole, whole < 65536 ? 2 : 4);
    while (times-- > 0)
        put(at, len);
    return end;
}

static const char *put_number(const char *at)
{
    char *end;
    char *float_end;
    double real = strtod(at, &float_end);
    int64_t whole = strtoll(at, &end, 10);
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    if (float_end > end)
        body_put(0xcb, bits, 8);
    else if (whole >= 0 && whole < 128)
        body_put((unsigned)whole, 0, 0);
    else
        body_put(whole < 0 ? 0xd3 : 0xcf, (uint64_t)whole, 8);
    return float_end > end ? float_end : end;
}

static const char *put_container(const char *at, unsigned byte, char closing)
{
    size_t place = made_len;
    size_t count = 0;
    body_put(byte, 0, 0);
    while (*at != closing) {
        at = put_value(at);
        count++;
        at += *at == ',' || *at == ':';
    }
    count /= closing == '}' ? 2 : 1;
    assert_true(count < 256);
    if (count >= 16) {
        body_put(0, 0, 1);
        memmove(made + place + 3, made + place + 1, made_len - place - 3);
        made[place + 1] = 0;
        made[place + 2] = (char)count;
        count = closing == '}' ? 0xde - byte : 0xdc - byte;
    }
    made[place] = (char)(byte + count);
    return at + 1;
}

static const char *put_raw(const char *at)
{
    for (; *at != '>'; at += 2) {
        char digits[] = {at[0], at[1], '\0'};
        body_put((unsigned)strtoul(digits, NULL, 16), 0, 0);
    }
    return at + 1;
}

static const char *put_value(const char *at)
{
    switch (*at) {
    case '{':
        return put_container(at + 1, 0x80, '}');
    case '[':
        return put_container(at + 1, 0x90, ']');
    case '\'':
        return put_str(at + 1);
    case '<':
        return put_raw(at + 1);
    case 'n':
        body_put(0xc0, 0, 0);
        return at + 3;
    case 't':
        body_put(0xc3, 0, 0);
        return at + 4;
    case 'f':
        body_put(0xc2, 0, 0);
        return at + 5;
    default:
        return put_number(at);
    }
}

void body_begin(void)
{
    made_len = 0;
}

struct text body_end(void)
{
    return body_copy(made, made_len);
}

struct text body_of(const char *notation)
{
    body_begin();
    while (*notation != '\0')
        notation = put_value(notation);
    return body_end();
}

static char shown[4096];

static void show_value(FILE *to, const msgpack_object *o)
{
    const char *separator = "";
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        fputs("nil", to);
        return;
    case MSGPACK_OBJECT_BOOLEAN:
        fputs(o->via.boolean ? "true" : "false", to);
        return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        fprintf(to, "%llu", (unsigned long long)o->via.u64);
        return;
    case MSGPACK_OBJECT_STR:
        fprintf(to, "'%.*s'", (int)o->via.str.size, o->via.str.ptr);
        return;
    case MSGPACK_OBJECT_ARRAY:
        for (uint32_t i = 0; i < o->via.array.size; i++) {
            fputc(i == 0 ? '[' : ',', to);
            show_value(to, &o->via.array.ptr[i]);
        }
        fputs(o->via.array.size == 0 ? "[]" : "]", to);
        return;
    case MSGPACK_OBJECT_MAP:
        fputc('{', to);
        for (uint32_t i = 0; i < o->via.map.size; i++, separator = ",") {
            fputs(separator, to);
            show_value(to, &o->via.map.ptr[i].key);
            fputc(':', to);
            show_value(to, &o->via.map.ptr[i].val);
        }
        fputc('}', to);
        return;
    default:
        fprintf(to, "(type %d)", (int)o->type);
    }
}

const char *body_shown(struct text body)
{
    msgpack_zone zone;
    msgpack_object object;
    assert_true(msgpack_zone_init(&zone, 1024));
    assert_int_equal(msgpack_unpack(body.data, body.len, NULL, &zone, &object),
                     MSGPACK_UNPACK_SUCCESS);
    FILE *to = fmemopen(shown, sizeof shown, "w");
    assert_non_null(to);
    show_value(to, &object);
    fclose(to);
    msgpack_zone_destroy(&zone);
    return shown;
}

void assert_text(struct text t, const char *expected)
{
    assert_int_equal(text_is_none(t), expected == NULL);
    assert_true(expected == NULL || text_equal(t, text_of(expected)));
}
