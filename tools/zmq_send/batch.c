#include "tools/zmq_send/batch.h"

#include "tools/zmq_send/json_msgpack.h"
#include "tools/zmq_send/json_stream.h"
#include "tools/zmq_send/pipeline.h"
#include "tools/zmq_send/report.h"

#include <errno.h>
#include <unistd.h>

struct batch {
    struct json_stream *input;
    struct pipeline *pipeline;
    bool needs_input; /* no whole value is left in what was read */
    bool ended;       /* no more requests will come */
    enum status status;
};

static void spoil(struct batch *batch, enum status status)
{
    batch->status = status_worse(batch->status, status);
}

static void add_value(struct batch *batch, json_t *value)
{
    if (!json_is_object(value)) {
        complain("bad input: a request is a JSON object");
        pipeline_add_bad_input(batch->pipeline, "a request is a JSON object");
        return;
    }
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    json_to_msgpack(value, &packer);
    pipeline_add(batch->pipeline, (struct text){body.data, body.size});
    msgpack_sbuffer_destroy(&body);
}

/* Takes the next request from what was read. */
static void take_request(struct batch *batch)
{
    json_t *value = NULL;
    const char *why;
    switch (json_stream_next(batch->input, &value, &why)) {
    case JSON_STREAM_VALUE:
        add_value(batch, value);
        json_decref(value);
        break;
    case JSON_STREAM_WRONG:
        complain("%s", why);
        pipeline_add_bad_input(batch->pipeline, why);
        break;
    case JSON_STREAM_MORE:
        batch->needs_input = true;
        break;
    case JSON_STREAM_END:
        batch->ended = true;
        break;
    case JSON_STREAM_BAD:
        complain("%s", why);
        spoil(batch, STATUS_BAD_INPUT);
        batch->ended = true;
        break;
    }
}

static void print_answer(struct batch *batch, struct answer *answer)
{
    msgpack_unpacked reply;
    if (!answer_reply(answer, &reply)) {
        answer_write_failure(stdout, answer);
        spoil(batch, answer_failure_status(answer));
        return;
    }
    json_write(stdout, &reply.data);
    putchar('\n');
    spoil(batch, answer_reply_status(&reply));
    msgpack_unpacked_destroy(&reply);
}

/* False: they cannot be printed. */
static bool print_answers(struct batch *batch)
{
    struct answer answer;
    while (pipeline_take(batch->pipeline, &answer)) {
        print_answer(batch, &answer);
        answer_close(&answer);
    }
    enum status status = flush_output();
    spoil(batch, status);
    return status == STATUS_DONE;
}

static void read_input(struct batch *batch)
{
    batch->needs_input = false;
    if (json_stream_read(batch->input))
        return;
    complain("cannot read standard input: %s", strerror(errno));
    spoil(batch, STATUS_BAD_INPUT);
    batch->ended = true;
}

static void exchange(struct batch *batch)
{
    while (print_answers(batch) && !(batch->ended && pipeline_is_empty(batch->pipeline))) {
        while (!batch->ended && !batch->needs_input && pipeline_has_room(batch->pipeline))
            take_request(batch);
        zmq_pollitem_t input = {NULL, STDIN_FILENO, ZMQ_POLLIN, 0};
        bool reads = batch->needs_input && pipeline_has_room(batch->pipeline);
        if (!batch->ended || !pipeline_is_empty(batch->pipeline))
            pipeline_wait(batch->pipeline, reads ? &input : NULL);
        if (input.revents != 0)
            read_input(batch);
    }
}

enum status batch_run(struct transport transport, const struct options *options)
{
    struct batch batch = {
        .input = json_stream_new(STDIN_FILENO),
        .pipeline = pipeline_new(transport, options->commands, options->timeout_ms),
        .status = STATUS_DONE,
    };
    exchange(&batch);
    if (pipeline_strays(batch.pipeline) > 0)
        spoil(&batch, STATUS_BAD_REPLY);
    pipeline_destroy(&batch.pipeline);
    json_stream_destroy(&batch.input);
    return batch.status;
}
