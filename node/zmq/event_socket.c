#include "node/zmq/event_socket.h"

#include "node/front/front.h"
#include "store/wire/codec.h"

#include <stdlib.h>
#include <zmq.h>

/* For room in the queue to the front, which takes events as fast as they come. */
#define ROOM_MS 100

struct event_socket {
    struct publisher publisher;
    struct inner inner;
    struct codec *codec;
    const struct front *front;
    uint64_t missed; /* events that the front was not given */
};

/* What cannot be sent is dropped: every event can be read again with GetEvents. */
static void send_frames(struct event_socket *s, const char *topic, size_t topic_len,
                        struct text body)
{
    if (!inner_send_bytes(&s->inner, topic, topic_len, false))
        s->missed++;
    else if (!inner_send_bytes(&s->inner, body.data, body.len, true))
        inner_send_bytes(&s->inner, NULL, 0, true); /* no memory: the front counts it */
}

static void publish(struct publisher *publisher, enum message_type type, struct text sku,
                    struct text body)
{
    struct event_socket *s = (struct event_socket *)(void *)publisher;
    if (!front_is_heard(s->front))
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

/* Where the queue is full a message waits for room, where PUB would drop it by itself. */
static bool open_socket(struct event_socket *s, void *context)
{
    s->codec = codec_new();
    return s->codec != NULL &&
           inner_open(&s->inner, context, ZMQ_PUB, INNER_BIND, FRONT_EVENTS, FRONT_EVENTS_QUEUE) &&
           set(s->inner.socket, ZMQ_XPUB_NODROP, 1) && inner_waits(&s->inner, ROOM_MS);
}

struct event_socket *event_socket_new(void *context, char error[ERROR_BYTES])
{
    struct event_socket *s = calloc(1, sizeof *s);
    snprintf(error, ERROR_BYTES, "cannot open the event socket");
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

void event_socket_set_front(struct event_socket *socket, const struct front *front)
{
    socket->front = front;
    inner_settle(&socket->inner); /* takes in the subscription of the front */
}

void event_socket_figures(const struct event_socket *socket, struct stats *stats)
{
    stats->events_missed += socket->missed;
}

struct publisher *event_socket_publisher(struct event_socket *socket)
{
    return &socket->publisher;
}

void event_socket_pulse(struct event_socket *socket, const char *topic, uint64_t seq,
                        uint64_t time_ms)
{
    struct text body;
    if (front_is_heard(socket->front) && codec_encode_pulse(socket->codec, seq, time_ms, &body))
        send_frames(socket, topic, strlen(topic), body);
}
