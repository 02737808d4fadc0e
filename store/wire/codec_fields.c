/* The fields of a message, as domain/messages/messages.def describes them, between a msgpack map
 * and the message's struct. */
#include "store/wire/codec_inside.h"

#include <assert.h>

/* The first letter tells most names apart. Requires: a name that is not empty. */
static bool is_named(const msgpack_object *key, const char *name)
{
    size_t len = key->via.str.size;
    const char *data = key->via.str.ptr;
    return len > 0 && data[0] == name[0] && strlen(name) == len && memcmp(data, name, len) == 0;
}

const msgpack_object *find_value(const msgpack_object_map *map, const char *key)
{
    for (uint32_t i = 0; i < map->size; i++)
        if (is_named(&map->ptr[i].key, key))
            return &map->ptr[i].val;
    return NULL;
}

struct text text_of_value(const msgpack_object *value)
{
    if (value == NULL || value->type != MSGPACK_OBJECT_STR)
        return text_none();
    /* msgpack-c may leave an empty str without an address, and that would be "absent". */
    uint32_t size = value->via.str.size;
    return (struct text){size > 0 ? value->via.str.ptr : "", size};
}

static size_t index_of(const struct field *fields, size_t count, const msgpack_object *key)
{
    size_t i = 0;
    while (i < count && !is_named(key, fields[i].name))
        i++;
    return i;
}

struct text bind_values(const msgpack_object_map *map, const struct field *fields, size_t count,
                        const msgpack_object *values[MESSAGE_FIELDS_MAX])
{
    assert(count <= MESSAGE_FIELDS_MAX);
    struct text unknown = text_none();
    for (size_t i = 0; i < MESSAGE_FIELDS_MAX; i++)
        values[i] = NULL;
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        size_t index = index_of(fields, count, key);
        if (index < count)
            values[index] = &map->ptr[i].val;
        else if (text_is_none(unknown) && !is_named(key, "type") && !is_named(key, "id"))
            unknown = text_of_value(key);
    }
    return unknown;
}

static bool read_name(const msgpack_object *value, size_t max, struct text *out)
{
    *out = text_of_value(value);
    return text_is_name(*out, max);
}

/* msgpack-c turns a signed integer that is not negative into a positive one, so that an integer is
 * the same in every width. */
static bool read_integer(const msgpack_object *value, uint64_t min, uint64_t max, uint64_t *out)
{
    if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return false;
    *out = value->via.u64;
    return *out >= min && *out <= max;
}

static bool read_small(const msgpack_object *value, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t number = 0;
    bool is_good = read_integer(value, min, max, &number);
    *out = is_good ? (uint32_t)number : 0;
    return is_good;
}

static bool read_date(const msgpack_object *value, struct date *out)
{
    struct text t = text_of_value(value);
    return !text_is_none(t) && date_parse(t, out);
}

static bool read_types(const msgpack_object *value, field_TYPES *out)
{
    if (value->type != MSGPACK_OBJECT_ARRAY || value->via.array.size < 1 ||
        value->via.array.size > TYPES_MAX)
        return false;
    for (uint32_t i = 0; i < value->via.array.size; i++) {
        struct text name = text_of_value(&value->via.array.ptr[i]);
        enum message_type type = text_is_none(name) ? MESSAGE_NONE : message_type_named(name);
        if (!message_is_event(type))
            return false;
        *out |= type_bit(type);
    }
    return true;
}

static bool read_flag(const msgpack_object *value, bool *out)
{
    *out = value->type == MSGPACK_OBJECT_BOOLEAN && value->via.boolean;
    return value->type == MSGPACK_OBJECT_BOOLEAN;
}

static bool read_value(enum field_kind kind, const msgpack_object *value, void *out)
{
    switch (kind) {
    case KIND_SKU:
        return read_name(value, SKU_MAX_BYTES, out);
    case KIND_REF:
        return read_name(value, REF_MAX_BYTES, out);
    case KIND_ID:
        return read_name(value, ID_MAX_BYTES, out);
    case KIND_QTY:
        return read_small(value, 1, QTY_MAX, out);
    case KIND_QTY_OR_ZERO:
        return read_small(value, 0, QTY_MAX, out);
    case KIND_ETA:
        return read_date(value, out);
    case KIND_SEQ:
        return read_integer(value, 0, UINT64_MAX, out);
    case KIND_LIMIT:
        return read_small(value, 1, LIMIT_MAX, out);
    case KIND_TYPES:
        return read_types(value, out);
    case KIND_FLAG:
        return read_flag(value, out);
    case FIELD_KINDS:
        break;
    }
    assert(false);
    return false;
}

static bool is_left_out(const struct field *field, const msgpack_object *value)
{
    return value == NULL ||
           (value->type == MSGPACK_OBJECT_NIL && field->presence != PRESENCE_REQUIRED);
}

enum outcome read_values(const struct field *fields, size_t count,
                         const msgpack_object *const values[MESSAGE_FIELDS_MAX], void *base,
                         const struct field **fault)
{
    for (size_t i = 0; i < count; i++) {
        *fault = &fields[i];
        if (values[i] == NULL && fields[i].presence != PRESENCE_OPTIONAL)
            return OUTCOME_MISSING_FIELD;
    }
    for (size_t i = 0; i < count; i++) {
        void *out = (char *)base + fields[i].offset;
        *fault = &fields[i];
        if (!is_left_out(&fields[i], values[i])) {
            if (!read_value(fields[i].kind, values[i], out))
                return OUTCOME_INVALID_FIELD;
        } else if (fields[i].kind == KIND_LIMIT) {
            *(field_LIMIT *)out = LIMIT_DEFAULT;
        }
    }
    return OUTCOME_DONE;
}

bool has_value(const struct field *field, const void *base)
{
    const void *at = (const char *)base + field->offset;
    if (field->presence != PRESENCE_OPTIONAL)
        return true;
    switch (field->kind) {
    case KIND_SKU:
    case KIND_REF:
    case KIND_ID:
        return !text_is_none(*(const struct text *)at);
    case KIND_ETA:
        return !date_is_none(*(const struct date *)at);
    case KIND_TYPES:
        return *(const field_TYPES *)at != 0;
    case KIND_QTY:
    case KIND_QTY_OR_ZERO:
    case KIND_SEQ:
    case KIND_LIMIT:
    case KIND_FLAG:
    case FIELD_KINDS:
        break;
    }
    return true;
}

static void pack_types(struct codec *codec, field_TYPES types)
{
    size_t count = 0;
    for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++)
        count += (types & type_bit(type)) != 0;
    pack_array(codec, count);
    for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++)
        if ((types & type_bit(type)) != 0)
            pack_key(codec, message_info(type)->name);
}

void pack_field(struct codec *codec, const struct field *field, const void *base)
{
    const void *at = (const char *)base + field->offset;
    pack_key(codec, field->name);
    switch (field->kind) {
    case KIND_SKU:
    case KIND_REF:
    case KIND_ID:
        pack_text(codec, *(const struct text *)at);
        return;
    case KIND_QTY:
    case KIND_QTY_OR_ZERO:
    case KIND_LIMIT:
        pack_number(codec, *(const uint32_t *)at);
        return;
    case KIND_ETA:
        pack_date(codec, *(const struct date *)at);
        return;
    case KIND_SEQ:
        pack_number(codec, *(const field_SEQ *)at);
        return;
    case KIND_TYPES:
        pack_types(codec, *(const field_TYPES *)at);
        return;
    case KIND_FLAG:
        pack_bool(codec, *(const field_FLAG *)at);
        return;
    case FIELD_KINDS:
        break;
    }
    assert(false);
}
