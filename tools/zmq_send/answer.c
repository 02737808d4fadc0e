#include "tools/zmq_send/answer.h"

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

bool answer_reply(struct answer *answer, msgpack_unpacked *out)
{
    if (answer->kind != ANSWER_REPLY)
        return false;
    const char *why;
    if (!body_unpack(out, zmq_msg_data(&answer->body), zmq_msg_size(&answer->body), &why))
        return reject(answer, why);
    const msgpack_object *ok = body_find(&out->data, "ok");
    if (ok != NULL && ok->type == MSGPACK_OBJECT_BOOLEAN)
        return true;
    bool is_map = out->data.type == MSGPACK_OBJECT_MAP;
    msgpack_unpacked_destroy(out);
    return reject(answer, is_map ? "it has no bool \"ok\"" : "it is no map");
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
