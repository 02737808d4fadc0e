#include "tools/zmq_send/answer.h"

#include "domain/messages/outcome.h"
#include "tools/zmq_send/json_msgpack.h"
#include "tools/zmq_send/report.h"

static const struct {
    enum status status;
    const char *error; /* the code in a line of JSON; none of them is one of the node's */
} failures[] = {
    [ANSWER_BAD_INPUT] = {STATUS_BAD_INPUT, "bad_input"},
    [ANSWER_NO_CONNECTION] = {STATUS_NO_CONNECTION, "no_connection"},
    [ANSWER_UNKNOWN] = {STATUS_UNKNOWN, "timeout"},
    [ANSWER_BAD_REPLY] = {STATUS_BAD_REPLY, "bad_reply"},
};

static bool is_query(struct text name)
{
    enum message_type type = text_is_none(name) ? MESSAGE_NONE : message_type_named(name);
    return type != MESSAGE_NONE && message_info(type)->class == CLASS_QUERY;
}

void answer_expect(struct answer *answer, struct text request)
{
    msgpack_unpacked unpacked;
    const char *why;
    answer->repeatable = false;
    answer->id_len = 0;
    if (!body_unpack(&unpacked, request.data, request.len, &why))
        return;
    struct text type = body_text(&unpacked.data, "type");
    struct text id = body_text(&unpacked.data, "id");
    if (!text_is_none(id) && text_is_name(id, ID_MAX_BYTES)) {
        answer->id_len = id.len;
        memcpy(answer->id, id.data, id.len);
    }
    answer->repeatable = answer->id_len > 0 || is_query(type);
    msgpack_unpacked_destroy(&unpacked);
}

void answer_close(struct answer *answer)
{
    if (answer->kind == ANSWER_REPLY)
        zmq_msg_close(&answer->body);
}

/* Turns a reply that is none into a BAD_REPLY. */
static bool reject(struct answer *answer, const char *why)
{
    zmq_msg_close(&answer->body);
    answer->kind = ANSWER_BAD_REPLY;
    snprintf(answer->message, sizeof answer->message, "the reply breaks the protocol: %s", why);
    return false;
}

/* Whether the node could not make out an id: it is absent then, whatever was sent. */
static bool is_not_understood(const msgpack_object *reply)
{
    struct text error = body_text(reply, "error");
    return text_equal(error, text_of(outcome_info(OUTCOME_MALFORMED)->code)) ||
           text_equal(error, text_of(outcome_info(OUTCOME_TOO_LARGE)->code));
}

static bool has_its_id(const struct answer *answer, const msgpack_object *reply)
{
    const msgpack_object *id = body_find(reply, "id");
    if (id == NULL || id->type == MSGPACK_OBJECT_NIL)
        return answer->id_len == 0 || is_not_understood(reply);
    return answer->id_len > 0 &&
           text_equal(body_text(reply, "id"), (struct text){answer->id, answer->id_len});
}

/* NULL, or what is wrong with it. */
static const char *fault_of(const struct answer *answer, const msgpack_object *reply)
{
    if (reply->type != MSGPACK_OBJECT_MAP)
        return "it is no map";
    const msgpack_object *ok = body_find(reply, "ok");
    if (ok == NULL || ok->type != MSGPACK_OBJECT_BOOLEAN)
        return "it has no bool \"ok\"";
    return has_its_id(answer, reply) ? NULL : "its id is not that of the request";
}

bool answer_reply(struct answer *answer, msgpack_unpacked *out)
{
    if (answer->kind != ANSWER_REPLY)
        return false;
    const char *why;
    if (!body_unpack(out, zmq_msg_data(&answer->body), zmq_msg_size(&answer->body), &why))
        return reject(answer, why);
    why = fault_of(answer, &out->data);
    if (why == NULL)
        return true;
    msgpack_unpacked_destroy(out);
    return reject(answer, why);
}

enum status answer_reply_status(const msgpack_unpacked *reply)
{
    return body_find(&reply->data, "ok")->via.boolean ? STATUS_DONE : STATUS_REFUSED;
}

enum status answer_failure_status(const struct answer *answer)
{
    return failures[answer->kind].status;
}

void answer_complain(const struct answer *answer)
{
    const char *advice = "";
    if (answer->kind == ANSWER_UNKNOWN && answer->repeatable)
        advice = "; the outcome is unknown: repeat with the same --id";
    else if (answer->kind == ANSWER_UNKNOWN)
        advice = "; the outcome is unknown (with an --id it could be repeated with the same --id)";
    complain("%s%s", answer->message, advice);
}

void answer_write_failure(FILE *out, const struct answer *answer)
{
    bool retryable = answer->kind == ANSWER_NO_CONNECTION ||
                     (answer->kind == ANSWER_UNKNOWN && answer->repeatable);
    fprintf(out, "{\"ok\":false,\"error\":\"%s\",\"message\":", failures[answer->kind].error);
    json_write_text(out, text_of(answer->message));
    fprintf(out, ",\"retryable\":%s}\n", retryable ? "true" : "false");
}
