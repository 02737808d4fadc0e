#include "tools/zmq_send/request.h"

#include "tools/zmq_send/arguments.h"
#include "tools/zmq_send/json_msgpack.h"
#include "tools/zmq_send/pipeline.h"
#include "tools/zmq_send/report.h"

#include <errno.h>

/* The node takes 1 MiB at most; more is of use to see it refuse. */
#define RAW_MAX_BYTES ((size_t)64 << 20)

static bool read_all(FILE *file, msgpack_sbuffer *out)
{
    char chunk[65536];
    size_t len;
    errno = 0;
    while ((len = fread(chunk, 1, sizeof chunk, file)) > 0) {
        if (out->size + len > RAW_MAX_BYTES) {
            errno = EFBIG;
            return false;
        }
        msgpack_sbuffer_write(out, chunk, len);
    }
    return !ferror(file);
}

static bool read_raw(const char *path, msgpack_sbuffer *out)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "rb");
    bool done = file != NULL && read_all(file, out);
    if (!done)
        complain("cannot read %s: %s", is_stdin ? "standard input" : path, strerror(errno));
    if (file != NULL && !is_stdin)
        fclose(file);
    return done;
}

static enum status print_answer(struct answer *answer)
{
    msgpack_unpacked reply;
    if (!answer_reply(answer, &reply)) {
        answer_complain(answer);
        return answer_failure_status(answer);
    }
    json_write(stdout, &reply.data);
    putchar('\n');
    enum status status = status_worse(answer_reply_status(&reply), flush_output());
    msgpack_unpacked_destroy(&reply);
    return status;
}

static enum status exchange(struct transport transport, const struct options *options,
                            struct text body)
{
    struct pipeline *pipeline = pipeline_new(transport, options->commands, options->timeout_ms);
    struct answer answer;
    pipeline_add(pipeline, body);
    while (!pipeline_take(pipeline, &answer))
        pipeline_wait(pipeline, NULL);
    enum status status = print_answer(&answer);
    answer_close(&answer);
    if (pipeline_strays(pipeline) > 0)
        status = status_worse(status, STATUS_BAD_REPLY);
    pipeline_destroy(&pipeline);
    return status;
}

enum status request_run(struct transport transport, const struct options *options)
{
    msgpack_sbuffer body;
    msgpack_sbuffer_init(&body);
    bool is_ready =
        options->mode == MODE_RAW
            ? read_raw(options->raw_path, &body)
            : arguments_pack(options->type, options->id, options->rest, options->rest_count, &body);
    enum status status = STATUS_BAD_INPUT;
    if (is_ready)
        status = exchange(transport, options, (struct text){body.data, body.size});
    msgpack_sbuffer_destroy(&body);
    return status;
}
