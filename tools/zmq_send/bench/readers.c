#include "tools/zmq_send/bench/readers.h"

#include "tools/zmq_send/body.h"
#include "tools/zmq_send/clock.h"
#include "tools/zmq_send/report.h"

#include <msgpack.h>
#include <pthread.h>
#include <stdlib.h>
#include <zmq.h>

#define PAGE_LIMIT 10000u
#define PATIENCE_MS 10 /* until it looks whether it has to end */

/* The lists, in the order in which each connection reads them. Of events it wants a type of which a
 * benchmark makes none, so that the node looks at all of the log. */
#define LISTS(LIST)                                                                                \
    LIST("ListProducts", NULL, NULL)                                                               \
    LIST("ListBatches", "sku", "bench-00000000")                                                   \
    LIST("GetEvents", "types", "BatchEtaChanged")

static const struct list {
    const char *type;
    const char *key; /* a field and its value; NULL: none */
    const char *value;
} lists[] = {
#define LIST(type, key, value) {type, key, value},
    LISTS(LIST)
#undef LIST
};

struct reader {
    void *socket;
    size_t list;
    msgpack_sbuffer after; /* the packed `next` of the page before; empty: from the start */
    uint64_t sent_ns;
};

struct readers {
    pthread_t thread;
    _Atomic bool must_end;
    uint64_t count;
    struct reader *each;
    zmq_pollitem_t *items;
    struct figures figures;
    const char *complaint; /* NULL: all went well */
};

static void put_text(msgpack_packer *packer, const char *text)
{
    msgpack_pack_str(packer, strlen(text));
    msgpack_pack_str_body(packer, text, strlen(text));
}

static void ask(struct reader *reader)
{
    const struct list *list = &lists[reader->list];
    bool goes_on = reader->after.size > 0;
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 2 + (size_t)(list->key != NULL) + goes_on);
    put_text(&packer, "type");
    put_text(&packer, list->type);
    put_text(&packer, "limit");
    msgpack_pack_uint32(&packer, PAGE_LIMIT);
    if (list->key != NULL) {
        put_text(&packer, list->key);
        if (strcmp(list->key, "types") == 0)
            msgpack_pack_array(&packer, 1);
        put_text(&packer, list->value);
    }
    if (goes_on) {
        put_text(&packer, "after");
        msgpack_sbuffer_write(&body, reader->after.data, reader->after.size);
    }
    must_have(body.data);
    zmq_send(reader->socket, body.data, body.size, 0);
    reader->sent_ns = clock_now_ns();
    msgpack_sbuffer_destroy(&body);
}

/* Where to go on: in this list, or in the next one. False: that was no page. */
static bool take_page(struct reader *reader, const msgpack_object *page)
{
    const msgpack_object *ok = body_find(page, "ok");
    const msgpack_object *next = body_find(page, "next");
    if (ok == NULL || ok->type != MSGPACK_OBJECT_BOOLEAN || !ok->via.boolean || next == NULL)
        return false;
    msgpack_sbuffer_clear(&reader->after);
    if (next->type == MSGPACK_OBJECT_NIL) {
        reader->list = (reader->list + 1) % (sizeof lists / sizeof *lists);
        return true;
    }
    msgpack_packer packer;
    msgpack_packer_init(&packer, &reader->after, msgpack_sbuffer_write);
    return msgpack_pack_object(&packer, *next) == 0;
}

static void receive(struct readers *readers, struct reader *reader)
{
    zmq_msg_t message;
    msgpack_unpacked page;
    const char *why;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, reader->socket, ZMQ_DONTWAIT) >= 0) {
        latency_add(&readers->figures.latency, clock_now_ns() - reader->sent_ns, 1);
        readers->figures.replies++;
        readers->complaint = "a page broke the protocol, or was refused";
        if (body_unpack(&page, zmq_msg_data(&message), zmq_msg_size(&message), &why)) {
            if (take_page(reader, &page.data)) {
                readers->complaint = NULL;
                ask(reader);
            }
            msgpack_unpacked_destroy(&page);
        }
    }
    zmq_msg_close(&message);
}

static void *read_on(void *argument)
{
    struct readers *readers = argument;
    uint64_t began_ns = clock_now_ns();
    for (uint64_t i = 0; i < readers->count; i++)
        ask(&readers->each[i]);
    while (!readers->must_end && readers->complaint == NULL) {
        zmq_poll(readers->items, (int)readers->count, PATIENCE_MS);
        for (uint64_t i = 0; i < readers->count && readers->complaint == NULL; i++)
            if (readers->items[i].revents & ZMQ_POLLIN)
                receive(readers, &readers->each[i]);
    }
    readers->figures.seconds = (double)(clock_now_ns() - began_ns) / 1e9;
    return NULL;
}

static bool open_readers(struct readers *readers, void *context, const char *endpoint)
{
    int none = 0;
    for (uint64_t i = 0; i < readers->count; i++) {
        struct reader *reader = &readers->each[i];
        reader->list = (size_t)(i % (sizeof lists / sizeof *lists));
        msgpack_sbuffer_init(&reader->after);
        reader->socket = zmq_socket(context, ZMQ_DEALER);
        if (reader->socket == NULL)
            return false;
        zmq_setsockopt(reader->socket, ZMQ_LINGER, &none, sizeof none);
        if (zmq_connect(reader->socket, endpoint) != 0)
            return false;
        readers->items[i] = (zmq_pollitem_t){reader->socket, 0, ZMQ_POLLIN, 0};
    }
    return true;
}

static void readers_free(struct readers **readers)
{
    for (uint64_t i = 0; i < (*readers)->count; i++) {
        if ((*readers)->each[i].socket != NULL)
            zmq_close((*readers)->each[i].socket);
        msgpack_sbuffer_destroy(&(*readers)->each[i].after);
    }
    free((*readers)->each);
    free((*readers)->items);
    free(*readers);
    *readers = NULL;
}

struct readers *readers_start(void *context, const char *endpoint, uint64_t count)
{
    struct readers *readers = must_have(calloc(1, sizeof *readers));
    readers->count = count;
    readers->each = must_have(calloc(count, sizeof *readers->each));
    readers->items = must_have(calloc(count, sizeof *readers->items));
    if (!open_readers(readers, context, endpoint) ||
        pthread_create(&readers->thread, NULL, read_on, readers) != 0) {
        complain("cannot open %llu sockets for queries to %s", (unsigned long long)count, endpoint);
        readers_free(&readers);
    }
    return readers;
}

enum status readers_stop(struct readers **readers, struct figures *out)
{
    (*readers)->must_end = true;
    pthread_join((*readers)->thread, NULL);
    const struct figures *figures = &(*readers)->figures;
    out->replies += figures->replies;
    out->seconds += figures->seconds;
    latency_merge(&out->latency, &figures->latency);
    const char *complaint = (*readers)->complaint;
    if (complaint != NULL)
        complain("%s", complaint);
    readers_free(readers);
    return complaint == NULL ? STATUS_DONE : STATUS_BAD_REPLY;
}
