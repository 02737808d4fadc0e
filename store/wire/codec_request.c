/* Requests: strict decoding, and the canonical bytes by which two of them are compared. */
#include "store/wire/codec_inside.h"
#include "store/wire/scan.h"

#include <assert.h>

/* What was found out about a request until it was refused. */
struct finding {
    enum message_type type;
    struct text id;
    struct text about;
    const char *rule;
};

static enum outcome read_request(const msgpack_object_map *map, struct request *out,
                                 struct finding *finding)
{
    const struct message_info *info = message_info(finding->type);
    const msgpack_object *values[MESSAGE_FIELDS_MAX];
    finding->about = bind_values(map, info->fields, info->field_count, values);
    if (!text_is_none(finding->about))
        return OUTCOME_UNKNOWN_FIELD;
    memset(out, 0, sizeof *out);
    out->type = finding->type;
    out->id = finding->id;
    const struct field *fault = NULL;
    enum outcome outcome = read_values(info->fields, info->field_count, values, &out->as, &fault);
    if (outcome != OUTCOME_DONE)
        finding->about = text_of(fault->name);
    if (outcome == OUTCOME_INVALID_FIELD)
        finding->rule = field_kind_rule(fault->kind);
    return outcome;
}

/* What stands beside the fields: `type`, which says what the request is, and `id`. */
static enum outcome read_map(const msgpack_object_map *map, struct request *out,
                             struct finding *finding)
{
    struct text type_name = text_of_value(find_value(map, "type"));
    if (text_is_none(type_name)) {
        finding->about = text_of("no str type");
        return OUTCOME_MALFORMED;
    }
    const msgpack_object *id = find_value(map, "id");
    bool has_id = id != NULL && id->type != MSGPACK_OBJECT_NIL;
    bool is_bad_id = has_id && !text_is_name(text_of_value(id), ID_MAX_BYTES);
    if (has_id && !is_bad_id)
        finding->id = text_of_value(id);
    finding->type = message_type_named(type_name);
    if (!message_is_request(finding->type)) {
        finding->type = MESSAGE_NONE;
        finding->about = type_name;
        return OUTCOME_UNKNOWN_TYPE;
    }
    enum outcome outcome = read_request(map, out, finding);
    if (outcome != OUTCOME_DONE || !is_bad_id)
        return outcome;
    finding->about = text_of("id");
    finding->rule = field_kind_rule(KIND_ID);
    return OUTCOME_INVALID_FIELD;
}

enum outcome codec_decode_request(struct codec *codec, struct text body, struct request *out,
                                  struct reply *refusal)
{
    struct finding finding = {.type = MESSAGE_NONE};
    struct request request;
    msgpack_object_map map;
    const char *fault = NULL;
    enum outcome outcome = unpack_body(codec, body, SCAN_STRICT, &map, &fault);
    if (outcome == OUTCOME_DONE)
        outcome = read_map(&map, &request, &finding);
    else if (fault != NULL)
        finding.about = text_of(fault);
    if (outcome == OUTCOME_DONE) {
        *out = request;
        return outcome;
    }
    memset(refusal, 0, sizeof *refusal);
    refusal->outcome = outcome;
    refusal->type = finding.type;
    refusal->id = finding.id;
    refusal->about = finding.about;
    refusal->rule = finding.rule;
    return outcome;
}

bool codec_encode_request(struct codec *codec, const struct request *request, struct text *out)
{
    const struct message_info *info = message_info(request->type);
    assert(message_is_request(request->type));
    size_t pairs = 1;
    for (size_t i = 0; i < info->field_count; i++)
        pairs += has_value(&info->fields[i], &request->as);
    pack_begin(codec, pairs);
    pack_text_pair(codec, "type", text_of(info->name));
    for (size_t i = 0; i < info->field_count; i++)
        if (has_value(&info->fields[i], &request->as))
            pack_field(codec, &info->fields[i], &request->as);
    return pack_end(codec, out);
}

bool codec_is_command(struct text body)
{
    return message_is_command(message_type_named(scan_type(body)));
}
