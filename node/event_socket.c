#include "node/event_socket.h"

#include "store/codec.h"

#include <stdlib.h>

#define FRAMES_PER_TURN 1000u /* subscriptions that are looked at before commands get a turn */

struct event_socket {
    struct publisher publisher;
    void *socket;
    struct codec *codec;
    char endpoint[ENDPOINT_SIZE];
};

/* What cannot be sent is dropped: every event can be read again with GetEvents. */
static void send_frames(struct event_socket *s, const char *topic, size_t topic_len,
                        struct text body)
{
    if (zmq_send(s->socket, topic, topic_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send(s->socket, body.data, body.len, ZMQ_DONTWAIT);
}

static void publish(struct publisher *publisher, enum message_type type, struct text sku,
                    struct text body)
{
    struct event_socket *s = (struct event_socket *)(void *)publisher;
    char topic[TOPIC_MAX_BYTES];
    size_t len = codec_topic(type, sku, topic);
    send_frames(s, topic, len, body);
}

_Static_assert(offsetof(struct event_socket, publisher) == 0, "publish finds its socket there");

static bool open_socket(struct event_socket *s, void *context, const struct config *config,
                        char *error)
{
    snprintf(error, SOCKET_ERROR_BYTES, "cannot open the event socket");
    s->codec = codec_new();
    s->socket = socket_new(context, ZMQ_XPUB, config, config->events);
    if (s->codec == NULL || s->socket == NULL)
        return false;
    socket_set(s->socket, ZMQ_SNDHWM, config->event_high_water);
    socket_set(s->socket, ZMQ_XPUB_VERBOSE, 1); /* each subscription to Welcome/, not the first */
    return socket_bind(s->socket, config->events, s->endpoint, error);
}

struct event_socket *event_socket_new(void *context, const struct config *config,
                                      char error[SOCKET_ERROR_BYTES])
{
    struct event_socket *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(error, SOCKET_ERROR_BYTES, "no memory");
        return NULL;
    }
    s->publisher.publish = publish;
    if (!open_socket(s, context, config, error))
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

const char *event_socket_endpoint(const struct event_socket *socket)
{
    return socket->endpoint;
}

struct publisher *event_socket_publisher(struct event_socket *socket)
{
    return &socket->publisher;
}

/* A subscription is a frame of 1 and the prefix (zmq_socket(3), ZMQ_XPUB). */
bool event_socket_welcomes(struct event_socket *socket)
{
    static const char wanted[] = "\1" TOPIC_WELCOME;
    char frame[sizeof wanted]; /* a longer one is cut, and is not it */
    bool welcomes = false;
    int size;
    for (unsigned i = 0; i < FRAMES_PER_TURN &&
                         (size = zmq_recv(socket->socket, frame, sizeof frame, ZMQ_DONTWAIT)) >= 0;
         i++)
        if ((size_t)size == sizeof wanted - 1 && memcmp(frame, wanted, (size_t)size) == 0)
            welcomes = true;
    return welcomes;
}

void event_socket_pulse(struct event_socket *socket, const char *topic, uint64_t seq,
                        uint64_t time_ms)
{
    struct text body;
    if (codec_encode_pulse(socket->codec, seq, time_ms, &body))
        send_frames(socket, topic, strlen(topic), body);
}
