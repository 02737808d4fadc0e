#include "tools/zmq_send/body.h"

#include "tools/zmq_send/report.h"

#include <stdlib.h>

static uint64_t big_endian(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* What one head byte announces: the bytes of a length that follow it, the bytes after those, and
 * the values within (for each element of the length, or, with no length, in all). */
struct head {
    uint8_t length_bytes;
    uint8_t fixed_bytes;
    uint8_t bytes_each;
    uint8_t values_each;
    uint8_t values;
};

static struct head head_of(uint8_t byte)
{
    static const struct head heads[] = {
        [0x04] = {1, 0, 1, 0, 0}, [0x05] = {2, 0, 1, 0, 0}, [0x06] = {4, 0, 1, 0, 0}, /* bin */
        [0x07] = {1, 1, 1, 0, 0}, [0x08] = {2, 1, 1, 0, 0}, [0x09] = {4, 1, 1, 0, 0}, /* ext */
        [0x0a] = {0, 4, 0, 0, 0}, [0x0b] = {0, 8, 0, 0, 0},                           /* float */
        [0x0c] = {0, 1, 0, 0, 0}, [0x0d] = {0, 2, 0, 0, 0},                           /* uint */
        [0x0e] = {0, 4, 0, 0, 0}, [0x0f] = {0, 8, 0, 0, 0}, [0x10] = {0, 1, 0, 0, 0},
        [0x11] = {0, 2, 0, 0, 0}, /* int */
        [0x12] = {0, 4, 0, 0, 0}, [0x13] = {0, 8, 0, 0, 0}, [0x14] = {0, 2, 0, 0, 0},
        [0x15] = {0, 3, 0, 0, 0}, /* fixext */
        [0x16] = {0, 5, 0, 0, 0}, [0x17] = {0, 9, 0, 0, 0}, [0x18] = {0, 17, 0, 0, 0},
        [0x19] = {1, 0, 1, 0, 0}, [0x1a] = {2, 0, 1, 0, 0}, [0x1b] = {4, 0, 1, 0, 0}, /* str */
        [0x1c] = {2, 0, 0, 1, 0}, [0x1d] = {4, 0, 0, 1, 0},                           /* array */
        [0x1e] = {2, 0, 0, 2, 0}, [0x1f] = {4, 0, 0, 2, 0},                           /* map */
    };
    if (byte < 0x80 || byte >= 0xe0)
        return (struct head){0, 0, 0, 0, 0};
    if (byte < 0x90)
        return (struct head){0, 0, 0, 0, (uint8_t)(2 * (byte & 0x0f))};
    if (byte < 0xa0)
        return (struct head){0, 0, 0, 0, byte & 0x0f};
    if (byte < 0xc0)
        return (struct head){0, byte & 0x1f, 0, 0, 0};
    return heads[byte - 0xc0];
}

/* msgpack-c believes a container's length before it sees the elements, so that five bytes can
 * cost gigabytes. This finds out first whether all that is announced is there. */
static bool is_complete(const uint8_t *data, size_t len, const char **why)
{
    uint64_t wanted = 1; /* values still to come */
    size_t at = 0;
    while (wanted > 0) {
        if (at == len || data[at] == 0xc1) {
            *why = at == len ? "it ends too early" : "byte c1 is no msgpack";
            return false;
        }
        struct head head = head_of(data[at++]);
        if (head.length_bytes > len - at) {
            *why = "it ends too early";
            return false;
        }
        uint64_t length = big_endian(data + at, head.length_bytes);
        at += head.length_bytes;
        uint64_t bytes = head.fixed_bytes + head.bytes_each * length;
        wanted += head.values + head.values_each * length - 1;
        if (bytes > len - at || wanted > len - at - bytes) {
            *why = "it ends too early";
            return false;
        }
        at += (size_t)bytes;
    }
    *why = "bytes follow its end";
    return at == len;
}

static struct text text_in(const msgpack_object *str)
{
    return (struct text){str->via.str.ptr, str->via.str.size};
}

static int compare_texts(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

/* NULL, or what is wrong with the keys of one map. */
static const char *fault_in_map(const msgpack_object_map *map)
{
    const char *fault = NULL;
    struct text *keys = must_have(malloc(((size_t)map->size + 1) * sizeof *keys));
    for (uint32_t i = 0; i < map->size && fault == NULL; i++) {
        if (map->ptr[i].key.type == MSGPACK_OBJECT_STR)
            keys[i] = text_in(&map->ptr[i].key);
        else
            fault = "a key is no str";
    }
    if (fault == NULL)
        qsort(keys, map->size, sizeof *keys, compare_texts);
    for (uint32_t i = 1; i < map->size && fault == NULL; i++)
        if (text_compare(keys[i - 1], keys[i]) == 0)
            fault = "a key stands twice in a map";
    free(keys);
    return fault;
}

/* The same for all maps of a value, which is nested no deeper than msgpack-c goes. */
static const char *fault_in_keys(const msgpack_object *value)
{
    const char *fault = NULL;
    if (value->type == MSGPACK_OBJECT_MAP) {
        fault = fault_in_map(&value->via.map);
        for (uint32_t i = 0; i < value->via.map.size && fault == NULL; i++)
            fault = fault_in_keys(&value->via.map.ptr[i].val);
    } else if (value->type == MSGPACK_OBJECT_ARRAY) {
        for (uint32_t i = 0; i < value->via.array.size && fault == NULL; i++)
            fault = fault_in_keys(&value->via.array.ptr[i]);
    }
    return fault;
}

bool body_unpack(msgpack_unpacked *out, const char *data, size_t len, const char **why)
{
    if (!is_complete((const uint8_t *)data, len, why))
        return false;
    size_t offset = 0;
    msgpack_unpacked_init(out);
    bool is_unpacked = msgpack_unpack_next(out, data, len, &offset) == MSGPACK_UNPACK_SUCCESS;
    const char *fault = is_unpacked ? fault_in_keys(&out->data) : "it is nested too deep";
    if (fault == NULL)
        return true;
    msgpack_unpacked_destroy(out);
    *why = fault;
    return false;
}

const msgpack_object *body_find(const msgpack_object *map, const char *key)
{
    if (map->type != MSGPACK_OBJECT_MAP)
        return NULL;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        if (text_equal(text_in(&pair->key), text_of(key)))
            return &pair->val;
    }
    return NULL;
}

struct text body_text(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = body_find(map, key);
    if (value == NULL || value->type != MSGPACK_OBJECT_STR)
        return text_none();
    return text_in(value);
}

bool body_count(const msgpack_object *map, const char *key, uint64_t *out)
{
    const msgpack_object *value = body_find(map, key);
    if (value == NULL || value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return false;
    *out = value->via.u64;
    return true;
}
