#include "tools/zmq_send/log_page.h"

#include "tools/zmq_send/json_msgpack.h"
#include "tools/zmq_send/report.h"

#include <stdlib.h>

static void pack_text(msgpack_packer *out, const char *text)
{
    msgpack_pack_str_with_body(out, text, strlen(text));
}

static void ask(struct pipeline *pipeline, const struct filter *filter, uint64_t after,
                uint64_t limit)
{
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 3 + (filter->type_count > 0));
    pack_text(&packer, "type");
    pack_text(&packer, message_info(MESSAGE_GET_EVENTS)->name);
    pack_text(&packer, "after");
    msgpack_pack_uint64(&packer, after);
    pack_text(&packer, "limit");
    msgpack_pack_uint64(&packer, limit);
    if (filter->type_count > 0) {
        pack_text(&packer, "types");
        msgpack_pack_array(&packer, filter->type_count);
        for (size_t i = 0; i < filter->type_count; i++)
            pack_text(&packer, message_info(filter->types[i])->name);
    }
    pipeline_add(pipeline, (struct text){body.data, body.size});
    msgpack_sbuffer_destroy(&body);
}

/* Reads a page out of a reply with `ok` true. False: it is none. */
static bool read_page(uint64_t after, struct log_page *page)
{
    const msgpack_object *reply = &page->reply.data;
    const msgpack_object *events = body_find(reply, "events");
    const msgpack_object *next = body_find(reply, "next");
    if (events == NULL || events->type != MSGPACK_OBJECT_ARRAY || next == NULL ||
        !body_count(reply, "head", &page->head) || !body_count(reply, "first", &page->first))
        return false;
    page->events = events->via.array;
    page->is_last = next->type == MSGPACK_OBJECT_NIL;
    return page->is_last || (body_count(reply, "next", &page->next) && page->next > after);
}

static enum status complain_refusal(const msgpack_object *reply)
{
    char *text = NULL;
    size_t len = 0;
    FILE *memory = must_have(open_memstream(&text, &len));
    json_write(memory, reply);
    fclose(memory);
    complain("the node refused GetEvents: %s", text);
    free(text);
    return STATUS_REFUSED;
}

static enum status read_answer(uint64_t after, struct log_page *out)
{
    if (!answer_reply(&out->answer, &out->reply)) {
        answer_complain(&out->answer);
        answer_close(&out->answer);
        return answer_failure_status(&out->answer);
    }
    enum status status = answer_reply_status(&out->reply);
    if (status != STATUS_DONE) {
        complain_refusal(&out->reply.data);
    } else if (!read_page(after, out)) {
        complain("the reply to GetEvents breaks the protocol: it is no page of events");
        status = STATUS_BAD_REPLY;
    }
    if (status != STATUS_DONE)
        log_page_close(out);
    return status;
}

enum status log_page_get(struct pipeline *pipeline, const struct filter *filter, uint64_t after,
                         uint64_t limit, int stop_fd, bool *stopped, struct log_page *out)
{
    zmq_pollitem_t stop = {NULL, stop_fd, ZMQ_POLLIN, 0};
    *stopped = false;
    ask(pipeline, filter, after, limit);
    while (!pipeline_take(pipeline, &out->answer)) {
        pipeline_wait(pipeline, &stop);
        if (stop.revents != 0) {
            *stopped = true;
            return STATUS_DONE;
        }
    }
    return read_answer(after, out);
}

void log_page_close(struct log_page *page)
{
    msgpack_unpacked_destroy(&page->reply);
    answer_close(&page->answer);
}
