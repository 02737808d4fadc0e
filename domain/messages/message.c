#include "domain/messages/message.h"

#include <assert.h>

/* The fields of each message, as `create_batch_fields[]`; the last, empty row ends it. */
#define OPEN_FIELDS(lower) static const struct field lower##_fields[] = {
#define COMMAND(upper, lower, wire) OPEN_FIELDS(lower)
#define QUERY(upper, lower, wire) OPEN_FIELDS(lower)
#define EVENT(upper, lower, wire) OPEN_FIELDS(lower)
#define INTERNAL(upper, lower, wire) OPEN_FIELDS(lower)
#define FIELD(lower, field, kind, presence)                                                        \
    {#field, KIND_##kind, PRESENCE_##presence, offsetof(struct lower, field)},
#define END(lower)                                                                                 \
    {                                                                                              \
        NULL, KIND_SKU, PRESENCE_OPTIONAL, 0                                                       \
    }                                                                                              \
    }                                                                                              \
    ;                                                                                              \
    _Static_assert(sizeof lower##_fields / sizeof(struct field) - 1 <= MESSAGE_FIELDS_MAX,         \
                   "MESSAGE_FIELDS_MAX is too small");
#include "domain/messages/messages.def"

#define ROW(upper, lower, wire, class)                                                             \
    [MESSAGE_##upper] = {#wire, sizeof #wire - 1, class, lower##_fields,                           \
                         sizeof lower##_fields / sizeof(struct field) - 1},

static const struct message_info infos[MESSAGE_TYPES] = {
#define COMMAND(upper, lower, wire) ROW(upper, lower, wire, CLASS_COMMAND)
#define QUERY(upper, lower, wire) ROW(upper, lower, wire, CLASS_QUERY)
#define EVENT(upper, lower, wire) ROW(upper, lower, wire, CLASS_EVENT)
#define INTERNAL(upper, lower, wire) ROW(upper, lower, wire, CLASS_INTERNAL)
#include "domain/messages/messages.def"
};

const struct message_info *message_info(enum message_type type)
{
    assert(type > MESSAGE_NONE && type < MESSAGE_TYPES);
    return &infos[type];
}

enum message_type message_type_named(struct text name)
{
    for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++)
        if (name.len == infos[type].name_len && memcmp(name.data, infos[type].name, name.len) == 0)
            return type;
    return MESSAGE_NONE;
}

const char *field_kind_rule(enum field_kind kind)
{
    static const char *const rules[] = {
#define KIND(name, type, rule) rule,
#include "domain/messages/kinds.def"
    };
    assert(kind < FIELD_KINDS);
    return rules[kind];
}

const char *field_kind_name(enum field_kind kind)
{
    static const char *const names[] = {
#define KIND(name, type, rule) #name,
#include "domain/messages/kinds.def"
    };
    assert(kind < FIELD_KINDS);
    return names[kind];
}

struct text request_text(const struct request *request, const char *field)
{
    const struct message_info *info = message_info(request->type);
    if (strcmp(field, "id") == 0)
        return request->id;
    for (size_t i = 0; i < info->field_count; i++) {
        const struct field *f = &info->fields[i];
        bool is_text = f->kind == KIND_SKU || f->kind == KIND_REF || f->kind == KIND_ID;
        if (is_text && strcmp(f->name, field) == 0) {
            struct text found;
            memcpy(&found, (const char *)&request->as + f->offset, sizeof found);
            return found;
        }
    }
    return text_none();
}
