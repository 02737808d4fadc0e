#include "store/codec_inside.h"

#include <assert.h>
#include <stdlib.h>

/* The packer's way out. It remembers a failure, so that callers need to look only at the end. */
static int write_bytes(void *data, const char *bytes, size_t len)
{
    struct codec *codec = data;
    if (msgpack_sbuffer_write(&codec->buffer, bytes, len) == 0)
        return 0;
    codec->has_failed = true;
    return -1;
}

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
    msgpack_sbuffer_init(&codec->buffer);
    msgpack_packer_init(&codec->packer, codec, write_bytes);
    return codec;
}

void codec_destroy(struct codec **codec)
{
    if (*codec == NULL)
        return;
    msgpack_sbuffer_destroy(&(*codec)->buffer);
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

void pack_begin(struct codec *codec, size_t pairs)
{
    codec->has_failed = false;
    msgpack_sbuffer_clear(&codec->buffer);
    msgpack_pack_map(&codec->packer, pairs);
}

bool pack_end(struct codec *codec, struct text *out)
{
    if (codec->has_failed)
        return false;
    *out = (struct text){codec->buffer.data, codec->buffer.size};
    return true;
}

void pack_text(struct codec *codec, struct text t)
{
    if (text_is_none(t))
        msgpack_pack_nil(&codec->packer);
    else
        msgpack_pack_str_with_body(&codec->packer, t.data, t.len);
}

void pack_date(struct codec *codec, struct date date)
{
    if (date_is_none(date)) {
        msgpack_pack_nil(&codec->packer);
        return;
    }
    char digits[DATE_TEXT_LEN + 1];
    date_format(date, digits);
    pack_text(codec, (struct text){digits, DATE_TEXT_LEN});
}

void pack_encoded(struct codec *codec, struct text bytes)
{
    write_bytes(codec, bytes.data, bytes.len);
}
