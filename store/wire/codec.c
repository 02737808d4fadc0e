#include "store/wire/codec_inside.h"

#include <assert.h>
#include <stdlib.h>

struct codec *codec_new(void)
{
    struct codec *codec = calloc(1, sizeof *codec);
    if (codec == NULL)
        return NULL;
    codec->keys = malloc(SCAN_KEYS_MAX * sizeof *codec->keys);
    if (codec->keys == NULL || !msgpack_zone_init(&codec->zone, MSGPACK_ZONE_CHUNK_SIZE)) {
        free(codec->keys);
        free(codec);
        return NULL;
    }
    return codec;
}

void codec_destroy(struct codec **codec)
{
    if (*codec == NULL)
        return;
    free((*codec)->bytes);
    msgpack_zone_destroy(&(*codec)->zone);
    free((*codec)->keys);
    free(*codec);
    *codec = NULL;
}

enum outcome unpack_body(struct codec *codec, struct text body, enum scan_mode mode,
                         msgpack_object_map *map, const char **fault)
{
    if (body.len > REQUEST_MAX_BYTES)
        return OUTCOME_TOO_LARGE;
    *fault = scan_body(body, mode, codec->keys);
    if (*fault != NULL)
        return OUTCOME_MALFORMED;
    msgpack_object object;
    msgpack_zone_clear(&codec->zone);
    /* After the scan only memory can be what it lacks. */
    if (msgpack_unpack(body.data, body.len, NULL, &codec->zone, &object) != MSGPACK_UNPACK_SUCCESS)
        return OUTCOME_STORAGE_FAILED;
    assert(object.type == MSGPACK_OBJECT_MAP);
    *map = object.via.map;
    return OUTCOME_DONE;
}

/* ---- writing ---- */

#define BYTES_AT_FIRST ((size_t)8192)
#define HEAD_BYTES_MAX ((size_t)9)

static bool grow(struct codec *codec, size_t bytes)
{
    size_t capacity = codec->capacity > 0 ? codec->capacity : BYTES_AT_FIRST;
    while (capacity - codec->len < bytes)
        capacity *= 2;
    char *grown = realloc(codec->bytes, capacity);
    if (grown == NULL) {
        codec->has_failed = true; /* callers look only at the end */
        return false;
    }
    codec->bytes = grown;
    codec->capacity = capacity;
    return true;
}

/* Where the next ones go. NULL: no memory. */
static inline char *room_for(struct codec *codec, size_t bytes)
{
    if (codec->capacity - codec->len < bytes && !grow(codec, bytes))
        return NULL;
    return codec->bytes + codec->len;
}

static void end_at(struct codec *codec, const char *end)
{
    codec->len = (size_t)(end - codec->bytes);
}

/* The first bytes of a value: in the very first one a small number, or the code of how many bytes
 * a larger one takes. */
struct form {
    unsigned char with_number;
    unsigned char number_max;
    unsigned char code;   /* of a number of one byte; those of 2, 4 and 8 bytes follow it */
    unsigned char widths; /* 0: there is one of one byte; 1: it begins with 2 bytes */
};

static const struct form integer_form = {0x00, 0x7f, 0xcc, 0};
static const struct form str_form = {0xa0, 31, 0xd9, 0};
static const struct form array_form = {0x90, 15, 0xdb, 1};
static const struct form map_form = {0x80, 15, 0xdd, 1};

/* Requires: room for HEAD_BYTES_MAX. */
static inline char *write_head(char *at, struct form form, uint64_t number)
{
    if (number <= form.number_max) {
        *at = (char)(form.with_number | number);
        return at + 1;
    }
    unsigned width = form.widths;
    while (width < 3 && number >> (8u << width) != 0)
        width++;
    *at++ = (char)(form.code + width);
    for (unsigned bytes = 1u << width; bytes > 0; bytes--)
        *at++ = (char)(number >> (8 * (bytes - 1)));
    return at;
}

static void pack_head(struct codec *codec, struct form form, uint64_t number)
{
    char *at = room_for(codec, HEAD_BYTES_MAX);
    if (at != NULL)
        end_at(codec, write_head(at, form, number));
}

void pack_begin(struct codec *codec, size_t pairs)
{
    codec->has_failed = false;
    codec->len = 0;
    pack_map(codec, pairs);
}

bool pack_end(struct codec *codec, struct text *out)
{
    if (codec->has_failed)
        return false;
    *out = (struct text){codec->bytes, codec->len};
    return true;
}

void pack_map(struct codec *codec, size_t pairs)
{
    pack_head(codec, map_form, pairs);
}

void pack_array(struct codec *codec, size_t elements)
{
    pack_head(codec, array_form, elements);
}

void pack_number(struct codec *codec, uint64_t number)
{
    pack_head(codec, integer_form, number);
}

static void pack_byte(struct codec *codec, unsigned char byte)
{
    pack_encoded(codec, (struct text){(const char *)&byte, 1});
}

void pack_nil(struct codec *codec)
{
    pack_byte(codec, 0xc0);
}

void pack_bool(struct codec *codec, bool flag)
{
    pack_byte(codec, flag ? 0xc3 : 0xc2);
}

void pack_text(struct codec *codec, struct text t)
{
    if (text_is_none(t)) {
        pack_nil(codec);
        return;
    }
    char *at = room_for(codec, HEAD_BYTES_MAX + t.len);
    if (at == NULL)
        return;
    at = write_head(at, str_form, t.len);
    memcpy(at, t.data, t.len);
    end_at(codec, at + t.len);
}

void pack_date(struct codec *codec, struct date date)
{
    if (date_is_none(date)) {
        pack_nil(codec);
        return;
    }
    char digits[DATE_TEXT_LEN + 1];
    date_format(date, digits);
    pack_text(codec, (struct text){digits, DATE_TEXT_LEN});
}

void pack_encoded(struct codec *codec, struct text bytes)
{
    char *at = room_for(codec, bytes.len);
    if (at == NULL)
        return;
    memcpy(at, bytes.data, bytes.len);
    end_at(codec, at + bytes.len);
}
