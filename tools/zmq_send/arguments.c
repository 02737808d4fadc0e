#include "tools/zmq_send/arguments.h"

#include "domain/messages/message.h"
#include "tools/zmq_send/json_msgpack.h"
#include "tools/zmq_send/report.h"

#include <errno.h>
#include <stdlib.h>

static void pack_text(msgpack_packer *out, struct text text)
{
    msgpack_pack_str(out, text.len);
    msgpack_pack_str_body(out, text.data, text.len);
}

static bool pack_integer(msgpack_packer *out, const char *field, const char *value)
{
    bool negative = value[0] == '-';
    char *end = NULL;
    errno = 0;
    if (value[negative] >= '0' && value[negative] <= '9') {
        if (negative)
            msgpack_pack_int64(out, strtoll(value, &end, 10));
        else
            msgpack_pack_uint64(out, strtoull(value, &end, 10));
    }
    if (end != NULL && *end == '\0' && errno == 0)
        return true;
    complain("field %s takes an integer, not '%s' (%s:=JSON sends any value)", field, value, field);
    return false;
}

static void pack_list(msgpack_packer *out, const char *value)
{
    size_t count = value[0] != '\0';
    for (const char *at = value; *at != '\0'; at++)
        count += *at == ',';
    msgpack_pack_array(out, count);
    for (; count > 0; count--) {
        size_t len = strcspn(value, ",");
        pack_text(out, (struct text){value, len});
        value += len + 1;
    }
}

static bool pack_json(msgpack_packer *out, const char *field, const char *value)
{
    json_error_t error;
    json_t *json = json_loads(value, JSON_READ_FLAGS, &error);
    if (json == NULL) {
        complain("field %s: bad JSON at character %d: %s", field, error.position, error.text);
        return false;
    }
    json_to_msgpack(json, out);
    json_decref(json);
    return true;
}

/* The row of that field in that request; NULL where there is none. */
static const struct field *find_field(const char *type, struct text name)
{
    enum message_type known = message_type_named(text_of(type));
    if (!message_is_request(known))
        return NULL;
    const struct message_info *info = message_info(known);
    for (size_t i = 0; i < info->field_count; i++)
        if (text_equal(text_of(info->fields[i].name), name))
            return &info->fields[i];
    return NULL;
}

static bool pack_typed(msgpack_packer *out, const struct field *field, const char *value)
{
    switch (field == NULL ? KIND_REF : field->kind) {
    case KIND_QTY:
    case KIND_QTY_OR_ZERO:
    case KIND_SEQ:
    case KIND_LIMIT:
        return pack_integer(out, field->name, value);
    case KIND_TYPES:
        pack_list(out, value);
        return true;
    case KIND_SKU:
    case KIND_REF:
    case KIND_ID:
    case KIND_ETA:
    case KIND_FLAG:
    case FIELD_KINDS:
        break;
    }
    pack_text(out, text_of(value));
    return true;
}

/* An argument in its parts. */
struct argument {
    struct text name;
    const char *value;
    bool is_json; /* := */
};

static bool split_argument(const char *text, struct argument *out)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL) {
        complain("'%s' is neither field=value nor field:=json", text);
        return false;
    }
    out->value = equals + 1;
    out->is_json = equals > text && equals[-1] == ':';
    out->name = (struct text){text, (size_t)(equals - text) - out->is_json};
    if (out->name.len == 0)
        complain("'%s' names no field", text);
    return out->name.len > 0;
}

static bool is_repeated(struct text name, const char *id, char *const arguments[], int before)
{
    if (text_equal(name, text_of("type")) || (id != NULL && text_equal(name, text_of("id"))))
        return true;
    struct argument other;
    for (int i = 0; i < before; i++)
        if (split_argument(arguments[i], &other) && text_equal(name, other.name))
            return true;
    return false;
}

static bool pack_argument(const char *type, const char *text, msgpack_packer *out)
{
    struct argument argument;
    if (!split_argument(text, &argument))
        return false;
    pack_text(out, argument.name);
    if (!argument.is_json)
        return pack_typed(out, find_field(type, argument.name), argument.value);
    char name[64];
    snprintf(name, sizeof name, "%.*s", TEXT_ARG(argument.name));
    return pack_json(out, name, argument.value);
}

bool arguments_pack(const char *type, const char *id, char *const arguments[], int count,
                    msgpack_sbuffer *out)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1 + (size_t)(id != NULL) + (size_t)count);
    pack_text(&packer, text_of("type"));
    pack_text(&packer, text_of(type));
    if (id != NULL) {
        pack_text(&packer, text_of("id"));
        pack_text(&packer, text_of(id));
    }
    for (int i = 0; i < count; i++) {
        struct argument argument;
        if (!split_argument(arguments[i], &argument))
            return false;
        if (is_repeated(argument.name, id, arguments, i)) {
            complain("field %.*s is given twice", TEXT_ARG(argument.name));
            return false;
        }
        if (!pack_argument(type, arguments[i], &packer))
            return false;
    }
    return true;
}
