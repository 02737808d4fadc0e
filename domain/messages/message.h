/* Commands, queries and events as C types, grown from domain/messages/messages.def, and a
 * description of each for whoever has to treat them all alike (codec, documentation, command line).
 */
#ifndef DOMAIN_MESSAGES_MESSAGE_H
#define DOMAIN_MESSAGES_MESSAGE_H

#include "domain/base/date.h"
#include "domain/base/text.h"

#include <stddef.h>
#include <stdint.h>

#define SKU_MAX_BYTES 64
#define REF_MAX_BYTES 255
#define ID_MAX_BYTES 320 /* so that `ORDERID/SKU` fits, which is a good id */
#define QTY_MAX 1000000000u
#define LIMIT_MAX 10000u
#define LIMIT_DEFAULT 1000u
#define TYPES_MAX 16u

enum message_type {
    MESSAGE_NONE,
#define COMMAND(upper, lower, wire) MESSAGE_##upper,
#define QUERY(upper, lower, wire) MESSAGE_##upper,
#define EVENT(upper, lower, wire) MESSAGE_##upper,
#define INTERNAL(upper, lower, wire) MESSAGE_##upper,
#include "domain/messages/messages.def"
    MESSAGE_TYPES
};

enum message_class { CLASS_COMMAND, CLASS_QUERY, CLASS_EVENT, CLASS_INTERNAL };

enum field_kind {
#define KIND(name, type, rule) KIND_##name,
#include "domain/messages/kinds.def"
    FIELD_KINDS
};

#define KIND(name, type, rule) typedef type field_##name;
#include "domain/messages/kinds.def"

enum field_presence { PRESENCE_REQUIRED, PRESENCE_OPTIONAL, PRESENCE_NULLABLE };

/* One struct for each message, named like its row: `struct create_batch { ... };`.
 * A message without fields has a filler, as C knows no empty struct. */
#define OPEN_STRUCT(lower) struct lower {
#define COMMAND(upper, lower, wire) OPEN_STRUCT(lower)
#define QUERY(upper, lower, wire) OPEN_STRUCT(lower)
#define EVENT(upper, lower, wire) OPEN_STRUCT(lower)
#define INTERNAL(upper, lower, wire) OPEN_STRUCT(lower)
#define FIELD(lower, field, kind, presence) field_##kind field;
#define END(lower)                                                                                 \
    char filler;                                                                                   \
    }                                                                                              \
    ;
#include "domain/messages/messages.def"
#undef OPEN_STRUCT

/* A command or query. Its texts live as long as the bytes that it was decoded from. */
struct request {
    enum message_type type;
    struct text id; /* absent: the sender gave none */
    union {
#define COMMAND(upper, lower, wire) struct lower lower;
#define QUERY(upper, lower, wire) struct lower lower;
#include "domain/messages/messages.def"
    } as;
};

/* Something that happened to a product. Its texts live as long as its maker says. */
struct event {
    enum message_type type;
    uint64_t seq;      /* place in the log, from 1; set when it is appended */
    uint64_t prev;     /* seq of the event of the same type before it, 0 if none */
    uint64_t time_ms;  /* since 1970, UTC */
    struct text sku;   /* of its product */
    uint64_t version;  /* of the product, after this event */
    struct text cause; /* the command's id, or absent */
    uint64_t line_seq; /* not published: of the event that put the line where it was before, 0 if
                          it was nowhere */
    union {
#define EVENT(upper, lower, wire) struct lower lower;
#define INTERNAL(upper, lower, wire) struct lower lower;
#include "domain/messages/messages.def"
    } as;
};

struct field {
    const char *name;
    enum field_kind kind;
    enum field_presence presence;
    size_t offset; /* within `as` */
};

struct message_info {
    const char *name; /* on the wire */
    size_t name_len;
    enum message_class class;
    const struct field *fields;
    size_t field_count;
};

#define MESSAGE_FIELDS_MAX 8 /* no message has more; proved where the tables are built */

/* Requires: a type other than MESSAGE_NONE. Static data. */
const struct message_info *message_info(enum message_type type);

/* The type with that wire name, MESSAGE_NONE where there is none. */
enum message_type message_type_named(struct text name);

/* The rule of a kind as a sentence without full stop, and its name in lower case. Static data. */
const char *field_kind_rule(enum field_kind kind);
const char *field_kind_name(enum field_kind kind);

static inline bool message_is_command(enum message_type type)
{
    return type != MESSAGE_NONE && message_info(type)->class == CLASS_COMMAND;
}

static inline bool message_is_event(enum message_type type)
{
    return type != MESSAGE_NONE && message_info(type)->class == CLASS_EVENT;
}

/* True for what a client may send. */
static inline bool message_is_request(enum message_type type)
{
    return type != MESSAGE_NONE &&
           (message_info(type)->class == CLASS_COMMAND || message_info(type)->class == CLASS_QUERY);
}

/* The text of the request's field with that name, "id" included; absent where it has none, or none
 * that is text. */
struct text request_text(const struct request *request, const char *field);

/* Event types as bits of a field_TYPES; 0 is "all of them". */
_Static_assert(MESSAGE_TYPES <= 32, "a set of types is a 32-bit mask");

static inline field_TYPES type_bit(enum message_type type)
{
    return (field_TYPES)1 << type;
}

#endif
