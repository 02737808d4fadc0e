#include "tools/zmq_send/json_msgpack.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static void pack_text(msgpack_packer *out, const char *data, size_t len)
{
    msgpack_pack_str(out, len);
    msgpack_pack_str_body(out, data, len);
}

static void pack_object(const json_t *object, msgpack_packer *out)
{
    msgpack_pack_map(out, json_object_size(object));
    /* jansson's iterator follows the order of insertion; it only lacks a const. */
    json_t *map = (json_t *)(uintptr_t)object;
    for (void *at = json_object_iter(map); at != NULL; at = json_object_iter_next(map, at)) {
        const char *key = json_object_iter_key(at);
        pack_text(out, key, strlen(key));
        json_to_msgpack(json_object_iter_value(at), out);
    }
}

void json_to_msgpack(const json_t *value, msgpack_packer *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        pack_object(value, out);
        break;
    case JSON_ARRAY:
        msgpack_pack_array(out, json_array_size(value));
        for (size_t i = 0; i < json_array_size(value); i++)
            json_to_msgpack(json_array_get(value, i), out);
        break;
    case JSON_STRING:
        pack_text(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        msgpack_pack_int64(out, json_integer_value(value));
        break;
    case JSON_REAL:
        msgpack_pack_double(out, json_real_value(value));
        break;
    case JSON_TRUE:
        msgpack_pack_true(out);
        break;
    case JSON_FALSE:
        msgpack_pack_false(out);
        break;
    case JSON_NULL:
        msgpack_pack_nil(out);
        break;
    }
}

/* Writes the well-formed character of `bytes` bytes at `at`. */
static void write_character(FILE *out, const char *at, size_t bytes)
{
    const unsigned char *s = (const unsigned char *)at;
    if (bytes == 1 && (s[0] == '"' || s[0] == '\\'))
        fprintf(out, "\\%c", s[0]);
    else if (bytes == 1 && s[0] == '\n')
        fputs("\\n", out);
    else if (bytes == 1 && s[0] == '\t')
        fputs("\\t", out);
    else if (bytes == 1 && (s[0] < 0x20 || s[0] == 0x7f))
        fprintf(out, "\\u%04x", s[0]);
    else if (bytes == 2 && s[0] == 0xc2 && s[1] < 0xa0) /* U+0080 to 009F */
        fprintf(out, "\\u%04x", s[1]);
    else
        fwrite(at, 1, bytes, out);
}

void json_write_text(FILE *out, struct text text)
{
    putc('"', out);
    for (size_t at = 0; at < text.len;) {
        size_t bytes = text_character(text.data + at, text.len - at);
        if (bytes == 0)
            fputs("\xef\xbf\xbd", out); /* U+FFFD */
        else
            write_character(out, text.data + at, bytes);
        at += bytes > 0 ? bytes : 1;
    }
    putc('"', out);
}

static void write_hex(FILE *out, const char *data, size_t len)
{
    fputs("\"bin\":\"", out);
    for (size_t i = 0; i < len; i++)
        fprintf(out, "%02x", (unsigned char)data[i]);
    putc('"', out);
}

static void write_float(FILE *out, double value)
{
    char digits[40];
    if (!isfinite(value)) {
        fputs("null", out);
        return;
    }
    snprintf(digits, sizeof digits, "%.17g", value);
    fputs(digits, out);
    if (strpbrk(digits, ".e") == NULL)
        fputs(".0", out); /* so that it does not look like an integer */
}

static void write_map(FILE *out, const msgpack_object_map *map)
{
    putc('{', out);
    for (uint32_t i = 0; i < map->size; i++) {
        if (i > 0)
            putc(',', out);
        json_write(out, &map->ptr[i].key);
        putc(':', out);
        json_write(out, &map->ptr[i].val);
    }
    putc('}', out);
}

static void write_array(FILE *out, const msgpack_object_array *array)
{
    putc('[', out);
    for (uint32_t i = 0; i < array->size; i++) {
        if (i > 0)
            putc(',', out);
        json_write(out, &array->ptr[i]);
    }
    putc(']', out);
}

void json_write(FILE *out, const msgpack_object *value)
{
    switch (value->type) {
    case MSGPACK_OBJECT_NIL:
        fputs("null", out);
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        fputs(value->via.boolean ? "true" : "false", out);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        fprintf(out, "%" PRIu64, value->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        fprintf(out, "%" PRId64, value->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        write_float(out, value->via.f64);
        break;
    case MSGPACK_OBJECT_STR:
        json_write_text(out, (struct text){value->via.str.ptr, value->via.str.size});
        break;
    case MSGPACK_OBJECT_ARRAY:
        write_array(out, &value->via.array);
        break;
    case MSGPACK_OBJECT_MAP:
        write_map(out, &value->via.map);
        break;
    case MSGPACK_OBJECT_BIN:
        putc('{', out);
        write_hex(out, value->via.bin.ptr, value->via.bin.size);
        putc('}', out);
        break;
    case MSGPACK_OBJECT_EXT:
        fprintf(out, "{\"ext\":%d,", value->via.ext.type);
        write_hex(out, value->via.ext.ptr, value->via.ext.size);
        putc('}', out);
        break;
    }
}
