/* Bytes as zmq-send gets them: a reply or an event that it shows as JSON, JSON that it packs, and
 * lines that are a type and its arguments. */
#include "tools/zmq_send/answer.h"
#include "tools/zmq_send/arguments.h"
#include "tools/zmq_send/json_msgpack.h"

#include <assert.h>
#include <stdlib.h>

#define ARGUMENTS_MAX 32

struct json {
    char *text;
    size_t len;
};

static struct json json_of(const msgpack_object *value)
{
    struct json json;
    FILE *stream = open_memstream(&json.text, &json.len);
    if (stream == NULL)
        abort();
    json_write(stream, value);
    fclose(stream);
    return json;
}

/* It is one line of JSON. Integers may be larger than jansson's, and a key may hold a NUL, which
 * jansson alone does not take. */
static void check_json(const struct json *json)
{
    json_error_t error;
    json_t *value = json_loadb(json->text, json->len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    assert(value != NULL || json_error_code(&error) == json_error_null_byte_in_key);
    json_decref(value);
    for (size_t i = 0; i < json->len; i++)
        assert((unsigned char)json->text[i] >= ' ');
}

/* What is no reply is told as a line of JSON too. */
static void check_answer(const uint8_t *data, size_t size)
{
    struct answer answer = {.kind = ANSWER_REPLY};
    msgpack_unpacked reply;
    if (zmq_msg_init_size(&answer.body, size) != 0)
        abort();
    if (size > 0)
        memcpy(zmq_msg_data(&answer.body), data, size);
    if (answer_reply(&answer, &reply)) {
        enum status status = answer_reply_status(&reply);
        assert(status == STATUS_DONE || status == STATUS_REFUSED);
        struct json shown = json_of(&reply.data);
        check_json(&shown);
        free(shown.text);
        msgpack_unpacked_destroy(&reply);
    } else {
        assert(answer_failure_status(&answer) == STATUS_BAD_REPLY);
    }
    answer_close(&answer);
}

static void check_event(const char *data, size_t size)
{
    msgpack_unpacked event;
    const char *why = NULL;
    uint64_t seq;
    struct answer expected;
    answer_expect(&expected, (struct text){data, size});
    if (!body_unpack(&event, data, size, &why)) {
        assert(why != NULL);
        return;
    }
    body_count(&event.data, "seq", &seq);
    struct json shown = json_of(&event.data);
    check_json(&shown);
    free(shown.text);
    msgpack_unpacked_destroy(&event);
}

/* JSON goes to the node and comes back as it was, as deep as msgpack-c goes. */
static void check_packing(const char *data, size_t size)
{
    json_t *value = json_loadb(data, size, JSON_READ_FLAGS, NULL);
    if (value == NULL)
        return;
    msgpack_sbuffer packed;
    msgpack_packer packer;
    msgpack_unpacked unpacked;
    const char *why;
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    json_to_msgpack(value, &packer);
    if (body_unpack(&unpacked, packed.data, packed.size, &why)) {
        struct json shown = json_of(&unpacked.data);
        json_t *again = json_loadb(shown.text, shown.len, JSON_READ_FLAGS, NULL);
        assert(again != NULL && json_equal(value, again));
        json_decref(again);
        free(shown.text);
        msgpack_unpacked_destroy(&unpacked);
    } else {
        assert(strcmp(why, "it is nested too deep") == 0);
    }
    msgpack_sbuffer_destroy(&packed);
    json_decref(value);
}

/* Packs with the complaints thrown away: there is one for most inputs. */
static bool pack_quietly(const char *type, char *const arguments[], int count, msgpack_sbuffer *out)
{
    static FILE *nowhere;
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    if (nowhere == NULL)
        abort();
    FILE *heard = stderr;
    stderr = nowhere;
    bool done = arguments_pack(type, NULL, arguments, count, out);
    stderr = heard;
    return done;
}

static void check_arguments(const char *data, size_t size)
{
    char *lines = calloc(1, size + 1);
    if (lines == NULL)
        abort();
    memcpy(lines, data, size);
    char *words[ARGUMENTS_MAX];
    int count = 0;
    char *rest = lines;
    while (rest != NULL && count < ARGUMENTS_MAX)
        words[count++] = strsep(&rest, "\n");
    msgpack_sbuffer packed;
    msgpack_unpacked unpacked;
    const char *why;
    msgpack_sbuffer_init(&packed);
    if (pack_quietly(words[0], words + 1, count - 1, &packed)) {
        if (body_unpack(&unpacked, packed.data, packed.size, &why)) {
            assert(body_find(&unpacked.data, "type") != NULL);
            msgpack_unpacked_destroy(&unpacked);
        } else {
            assert(strcmp(why, "it is nested too deep") == 0);
        }
    }
    msgpack_sbuffer_destroy(&packed);
    free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_answer(data, size);
    check_event((const char *)data, size);
    check_packing((const char *)data, size);
    check_arguments((const char *)data, size);
    return 0;
}
