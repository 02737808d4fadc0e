/* Events: what is published and stored, and what another node publishes. */
#include "store/wire/codec_inside.h"

#include <assert.h>

/* What every event has beside its `type`, which stands third, and its own fields. */
static const struct field common_fields[] = {
    {"seq", KIND_SEQ, PRESENCE_REQUIRED, offsetof(struct event, seq)},
    {"prev", KIND_SEQ, PRESENCE_REQUIRED, offsetof(struct event, prev)},
    {"time", KIND_SEQ, PRESENCE_REQUIRED, offsetof(struct event, time_ms)},
    {"sku", KIND_SKU, PRESENCE_REQUIRED, offsetof(struct event, sku)},
    {"version", KIND_SEQ, PRESENCE_REQUIRED, offsetof(struct event, version)},
    {"cause", KIND_ID, PRESENCE_OPTIONAL, offsetof(struct event, cause)},
};

#define COMMON_FIELDS (sizeof common_fields / sizeof common_fields[0])
#define PLACE_OF_TYPE 2

_Static_assert(COMMON_FIELDS <= MESSAGE_FIELDS_MAX, "values of common fields need room");

bool codec_encode_event(struct codec *codec, const struct event *event, struct text *out)
{
    assert(message_is_event(event->type));
    const struct message_info *info = message_info(event->type);
    size_t pairs = 1 + info->field_count;
    for (size_t i = 0; i < COMMON_FIELDS; i++)
        pairs += has_value(&common_fields[i], event);
    pack_begin(codec, pairs);
    for (size_t i = 0; i < COMMON_FIELDS; i++) {
        if (i == PLACE_OF_TYPE)
            pack_text_pair(codec, "type", text_of(info->name));
        if (has_value(&common_fields[i], event))
            pack_field(codec, &common_fields[i], event);
    }
    for (size_t i = 0; i < info->field_count; i++)
        pack_field(codec, &info->fields[i], &event->as);
    return pack_end(codec, out);
}

/* Reads the fields of a map that may have others too. */
static bool read_some(const msgpack_object_map *map, const struct field *fields, size_t count,
                      void *base)
{
    const msgpack_object *values[MESSAGE_FIELDS_MAX];
    const struct field *fault = NULL;
    bind_values(map, fields, count, values);
    return read_values(fields, count, values, base, &fault) == OUTCOME_DONE;
}

/* Unpacks an event of a type. MESSAGE_NONE: it is no event. */
static enum message_type unpack_event(struct codec *codec, struct text body,
                                      msgpack_object_map *map)
{
    const char *fault = NULL;
    if (unpack_body(codec, body, SCAN_LENIENT, map, &fault) != OUTCOME_DONE)
        return MESSAGE_NONE;
    struct text name = text_of_value(find_value(map, "type"));
    enum message_type type = text_is_none(name) ? MESSAGE_NONE : message_type_named(name);
    return message_is_event(type) ? type : MESSAGE_NONE;
}

/* ---- an event in the very form in which codec_encode_event writes it: most are read so ---- */

struct input {
    const unsigned char *at;
    const unsigned char *end;
    size_t pairs; /* that are still to come */
};

static bool take_str(struct input *in, size_t len, msgpack_object *out)
{
    if (len > (size_t)(in->end - in->at))
        return false;
    out->type = MSGPACK_OBJECT_STR;
    out->via.str.ptr = (const char *)in->at;
    out->via.str.size = (uint32_t)len;
    in->at += len;
    return true;
}

static bool take_number(struct input *in, size_t bytes, msgpack_object *out)
{
    if (bytes > (size_t)(in->end - in->at))
        return false;
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | *in->at++;
    out->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    out->via.u64 = number;
    return true;
}

/* False: it is none of those that events have, or cut short. */
static bool take_value(struct input *in, msgpack_object *out)
{
    if (in->at == in->end)
        return false;
    unsigned char first = *in->at++;
    if (first <= 0x7f) {
        in->at--;
        return take_number(in, 1, out);
    }
    if (first >= 0xa0 && first <= 0xbf)
        return take_str(in, first & 0x1f, out);
    if (first == 0xd9 && in->at < in->end) {
        size_t len = *in->at++;
        return take_str(in, len, out);
    }
    if (first >= 0xcc && first <= 0xcf)
        return take_number(in, (size_t)1 << (first - 0xcc), out);
    out->type = first == 0xc0 ? MSGPACK_OBJECT_NIL : MSGPACK_OBJECT_BOOLEAN;
    out->via.boolean = first == 0xc3;
    return first == 0xc0 || first == 0xc2 || first == 0xc3;
}

/* The value of the next pair. False, and nothing is taken: that has another key. */
static bool take_pair(struct input *in, const char *name, msgpack_object *value)
{
    struct input begin = *in;
    msgpack_object key;
    if (in->pairs > 0 && take_value(in, &key) && text_equal(text_of_value(&key), text_of(name)) &&
        take_value(in, value)) {
        in->pairs--;
        return true;
    }
    *in = begin;
    return false;
}

static bool take_field(struct input *in, const struct field *field, void *base)
{
    msgpack_object value;
    const msgpack_object *values[MESSAGE_FIELDS_MAX] = {NULL};
    if (take_pair(in, field->name, &value))
        values[0] = &value;
    const struct field *fault = NULL;
    return read_values(field, 1, values, base, &fault) == OUTCOME_DONE;
}

static bool take_type(struct input *in, struct event *event)
{
    msgpack_object value;
    if (!take_pair(in, "type", &value) || value.type != MSGPACK_OBJECT_STR)
        return false;
    event->type = message_type_named(text_of_value(&value));
    return message_is_event(event->type);
}

/* False: it is in another form, or none; *event is not to be used. */
static bool read_as_written(struct text body, struct event *event)
{
    const unsigned char *bytes = (const unsigned char *)body.data;
    if (body.len == 0 || bytes[0] < 0x80 || bytes[0] > 0x8f)
        return false;
    struct input in = {bytes + 1, bytes + body.len, bytes[0] & 0x0f};
    for (size_t i = 0; i < COMMON_FIELDS; i++) {
        if (i == PLACE_OF_TYPE && !take_type(&in, event))
            return false;
        if (!take_field(&in, &common_fields[i], event))
            return false;
    }
    const struct message_info *info = message_info(event->type);
    for (size_t i = 0; i < info->field_count; i++)
        if (!take_field(&in, &info->fields[i], &event->as))
            return false;
    return in.pairs == 0 && in.at == in.end;
}

static bool read_in_any_form(struct codec *codec, struct text body, struct event *event)
{
    msgpack_object_map map;
    event->type = unpack_event(codec, body, &map);
    if (event->type == MESSAGE_NONE)
        return false;
    const struct message_info *info = message_info(event->type);
    return read_some(&map, common_fields, COMMON_FIELDS, event) &&
           read_some(&map, info->fields, info->field_count, &event->as);
}

bool codec_decode_event(struct codec *codec, struct text body, struct event *out)
{
    struct event event;
    memset(&event, 0, sizeof event);
    if (!read_as_written(body, &event)) {
        memset(&event, 0, sizeof event);
        if (!read_in_any_form(codec, body, &event))
            return false;
    }
    *out = event;
    return true;
}

bool codec_decode_upstream(struct codec *codec, struct text body, struct change_batch_quantity *out)
{
    enum { REF, QTY, FIELDS };
    static const struct field fields[FIELDS] = {
        [REF] = {"ref", KIND_REF, PRESENCE_REQUIRED, offsetof(struct change_batch_quantity, ref)},
        [QTY] = {"qty", KIND_QTY_OR_ZERO, PRESENCE_REQUIRED,
                 offsetof(struct change_batch_quantity, qty)},
    };
    msgpack_object_map map;
    if (unpack_event(codec, body, &map) != MESSAGE_BATCH_QUANTITY_CHANGED)
        return false;
    const msgpack_object *values[MESSAGE_FIELDS_MAX];
    bind_values(&map, fields, FIELDS, values);
    if (values[REF] == NULL)
        values[REF] = find_value(&map, "batchref");
    struct change_batch_quantity change = {.ref = text_none()};
    const struct field *fault = NULL;
    if (read_values(fields, FIELDS, values, &change, &fault) != OUTCOME_DONE)
        return false;
    *out = change;
    return true;
}

bool codec_encode_pulse(struct codec *codec, uint64_t seq, uint64_t time_ms, struct text *out)
{
    pack_begin(codec, 2);
    pack_number_pair(codec, "seq", seq);
    pack_number_pair(codec, "time", time_ms);
    return pack_end(codec, out);
}

size_t codec_topic(enum message_type type, struct text sku, char out[TOPIC_MAX_BYTES])
{
    assert(message_is_event(type) && sku.len <= SKU_MAX_BYTES);
    struct text name = text_of(message_info(type)->name);
    assert(name.len + 2 + 3 * sku.len <= TOPIC_MAX_BYTES);
    size_t len = name.len;
    memcpy(out, name.data, len);
    out[len++] = '/';
    for (size_t i = 0; i < sku.len; i++) {
        char c = sku.data[i];
        if (c != '%' && c != '/') {
            out[len++] = c;
            continue;
        }
        out[len++] = '%';
        out[len++] = '2';
        out[len++] = c == '%' ? '5' : 'F';
    }
    out[len++] = '/';
    return len;
}
