#include "node/event_socket.h"

#include "node/front/front.h"
#include "node/front/handover.h"
#include "store/codec.h"

#include <stdlib.h>
#include <zmq.h>

/* Events that may wait for the front. It takes them as fast as they come, so that waiting for room
 * is a matter of its next turn. */
#define QUEUE 8192
#define ROOM_MS 100

struct event_socket {
    struct publisher publisher;
    void *socket;
    struct codec *codec;
    bool is_heard; /* somebody has subscribed to something: before that nothing has to be sent */
};

/* What cannot be sent is dropped: every event can be read again with GetEvents. */
static void send_frames(struct event_socket *s, const char *topic, size_t topic_len,
                        struct text body)
{
    handover_send(&handover_events);
    if (zmq_send(s->socket, topic, topic_len, ZMQ_SNDMORE) >= 0)
        zmq_send(s->socket, body.data, body.len, 0);
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
    s->socket = zmq_socket(context, ZMQ_XPUB);
    return s->codec != NULL && s->socket != NULL && set(s->socket, ZMQ_LINGER, 0) &&
           set(s->socket, ZMQ_SNDHWM, QUEUE) && set(s->socket, ZMQ_XPUB_VERBOSE, 1) &&
           set(s->socket, ZMQ_XPUB_NODROP, 1) && set(s->socket, ZMQ_SNDTIMEO, ROOM_MS) &&
           zmq_bind(s->socket, FRONT_EVENTS) == 0;
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
    if ((*socket)->socket != NULL)
        zmq_close((*socket)->socket);
    codec_destroy(&(*socket)->codec);
    free(*socket);
    *socket = NULL;
}

void *event_socket_socket(const struct event_socket *socket)
{
    return socket->socket;
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
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, socket->socket, ZMQ_DONTWAIT) >= 0)
        welcomes = take_frame(socket, &frame) || welcomes;
    zmq_msg_close(&frame);
    return welcomes;
}

void event_socket_pulse(struct event_socket *socket, const char *topic, uint64_t seq,
                        uint64_t time_ms)
{
    struct text body;
    if (socket->is_heard && codec_encode_pulse(socket->codec, seq, time_ms, &body))
        send_frames(socket, topic, strlen(topic), body);
}
