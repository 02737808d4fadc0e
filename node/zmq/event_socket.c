#include "node/zmq/event_socket.h"

#include "node/front/front.h"
#include "store/wire/codec.h"

#include <assert.h>
#include <stdlib.h>
#include <zmq.h>

/* For room in the queue to the front, which takes events as fast as they come. */
#define ROOM_MS 100

struct event_socket {
    struct publisher publisher;
    struct inner inner;
    struct codec *codec;
    bool is_heard; /* somebody has subscribed to something: before that nothing has to be sent */
};

/* What cannot be sent is dropped: every event can be read again with GetEvents. */
static void send_frames(struct event_socket *s, const char *topic, size_t topic_len,
                        struct text body)
{
    if (inner_send_bytes(&s->inner, topic, topic_len, false) &&
        !inner_send_bytes(&s->inner, body.data, body.len, true))
        inner_send_bytes(&s->inner, NULL, 0, true); /* no memory: it is passed over, but ends */
}

static void publish(struct publisher *publisher, enum message_type type, struct text sku,
                    struct text body)
{
    struct event_socket *s = (struct event_socket *)(void *)publisher;
    if (!s->is_heard)
        return;
    char topic[TOPIC_MAX_BYTES];
    size_t len = codec_topic(type, sku, topic);
    send_frames(s, topic, len, body);
}

_Static_assert(offsetof(struct event_socket, publisher) == 0, "publish finds its socket there");

static bool set(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

/* Each subscription comes through, not the first one alone: for Welcome/. And where the queue is
 * full a message waits for room, where XPUB would drop it by itself. */
static bool open_socket(struct event_socket *s, void *context)
{
    s->codec = codec_new();
    bool is_open =
        inner_open(&s->inner, context, ZMQ_XPUB, INNER_BIND, FRONT_EVENTS, FRONT_EVENTS_QUEUE);
    s->inner.flags = 0;
    return s->codec != NULL && is_open && set(s->inner.socket, ZMQ_XPUB_VERBOSE, 1) &&
           set(s->inner.socket, ZMQ_XPUB_NODROP, 1) && set(s->inner.socket, ZMQ_SNDTIMEO, ROOM_MS);
}

struct event_socket *event_socket_new(void *context, char error[EVENT_SOCKET_ERROR_BYTES])
{
    struct event_socket *s = calloc(1, sizeof *s);
    snprintf(error, EVENT_SOCKET_ERROR_BYTES, "cannot open the event socket");
    if (s == NULL)
        return NULL;
    s->publisher.publish = publish;
    if (!open_socket(s, context))
        event_socket_destroy(&s);
    return s;
}

void event_socket_destroy(struct event_socket **socket)
{
    if (*socket == NULL)
        return;
    inner_close(&(*socket)->inner);
    codec_destroy(&(*socket)->codec);
    free(*socket);
    *socket = NULL;
}

struct inner *event_socket_inner(struct event_socket *socket)
{
    return &socket->inner;
}

struct publisher *event_socket_publisher(struct event_socket *socket)
{
    return &socket->publisher;
}

/* A subscription is a frame of 1 and the prefix, the end of one a frame of 0 and the prefix
 * (zmq_socket(3), ZMQ_XPUB). The front has one to everything while anybody has any. */
static bool take_frame(struct event_socket *s, zmq_msg_t *frame)
{
    struct text bytes = {zmq_msg_data(frame), zmq_msg_size(frame)};
    assert(bytes.len > 0);
    struct text prefix = {bytes.data + 1, bytes.len - 1};
    bool begins = bytes.data[0] == 1;
    if (prefix.len == 0)
        s->is_heard = begins;
    return begins && text_equal(prefix, text_of(TOPIC_WELCOME));
}

bool event_socket_welcomes(struct event_socket *socket)
{
    bool welcomes = false;
    zmq_msg_t frame;
    while (inner_receive(&socket->inner, &frame)) {
        welcomes = take_frame(socket, &frame) || welcomes;
        zmq_msg_close(&frame);
    }
    return welcomes;
}

void event_socket_pulse(struct event_socket *socket, const char *topic, uint64_t seq,
                        uint64_t time_ms)
{
    struct text body;
    if (socket->is_heard && codec_encode_pulse(socket->codec, seq, time_ms, &body))
        send_frames(socket, topic, strlen(topic), body);
}
