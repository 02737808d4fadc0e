#include "node/event_socket.h"

#include "node/subscriptions.h"
#include "store/codec.h"

#include <stdlib.h>

#define FRAMES_PER_TURN 250u /* subscriptions that are looked at before commands get a turn */

struct event_socket {
    struct publisher publisher;
    void *socket;
    struct codec *codec;
    struct subscriptions *subscriptions;
    struct guard *guard;
    struct stats *stats;
    struct logger *logger;
    struct log_limit cut_limit;
    bool was_subscribed; /* once by anybody: before that nothing has to be sent */
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
    if (!s->was_subscribed)
        return;
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
    s->subscriptions = subscriptions_new((size_t)config->max_subscription_kib * 1024);
    s->socket = socket_new(context, ZMQ_XPUB, config, config->events);
    if (s->codec == NULL || s->subscriptions == NULL || s->socket == NULL)
        return false;
    socket_set(s->socket, ZMQ_SNDHWM, config->event_high_water);
    /* Each subscription, not the first to a prefix alone: for Welcome/, and to count them. */
    socket_set(s->socket, ZMQ_XPUB_VERBOSER, 1);
    return guard_watch(s->guard, GUARDED_EVENTS, s->socket) &&
           socket_bind(s->socket, config->events, s->endpoint, error);
}

struct event_socket *event_socket_new(void *context, const struct config *config,
                                      struct guard *guard, struct stats *stats,
                                      struct logger *logger, char error[SOCKET_ERROR_BYTES])
{
    struct event_socket *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(error, SOCKET_ERROR_BYTES, "no memory");
        return NULL;
    }
    s->publisher.publish = publish;
    s->guard = guard;
    s->stats = stats;
    s->logger = logger;
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
    subscriptions_destroy(&(*socket)->subscriptions);
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

static void subscribed(struct event_socket *s, int fd, struct text prefix, uint64_t now_ms)
{
    if (subscriptions_add(s->subscriptions, fd, prefix))
        return;
    guard_cut_off(s->guard, fd);
    s->stats->subscribers_cut++;
    log_limited(s->logger, &s->cut_limit, now_ms, LOG_WARN,
                "cut off a subscriber for its subscriptions");
}

/* A subscription is a frame of 1 and the prefix, the end of one a frame of 0 and the prefix
 * (zmq_socket(3), ZMQ_XPUB). When a connection has gone, the ends of its subscriptions come from
 * nowhere. True: it is one to Welcome/. */
static bool take_frame(struct event_socket *s, zmq_msg_t *frame, uint64_t now_ms)
{
    struct text bytes = {zmq_msg_data(frame), zmq_msg_size(frame)};
    int fd = zmq_msg_get(frame, ZMQ_SRCFD);
    /* Newer clients have sent some bytes more, the word SUBSCRIBE: the guard forgives those. */
    gate_deliver(fd, gate_counts(fd), flow_frame_bytes(bytes.len));
    if (bytes.len == 0)
        return false;
    struct text prefix = {bytes.data + 1, bytes.len - 1};
    if (fd >= 0 && bytes.data[0] == 1)
        subscribed(s, fd, prefix, now_ms);
    else if (fd >= 0 && bytes.data[0] == 0)
        subscriptions_remove(s->subscriptions, fd, prefix);
    return bytes.data[0] == 1 && text_equal(prefix, text_of(TOPIC_WELCOME));
}

bool event_socket_welcomes(struct event_socket *socket, uint64_t now_ms)
{
    bool welcomes = false;
    for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, socket->socket, ZMQ_DONTWAIT) < 0) {
            guard_count_drain(socket->guard, GUARDED_EVENTS);
            return welcomes;
        }
        socket->was_subscribed = true;
        welcomes = take_frame(socket, &frame, now_ms) || welcomes;
        zmq_msg_close(&frame);
    }
    return welcomes;
}

void event_socket_disconnected(struct event_socket *socket, int fd)
{
    subscriptions_forget(socket->subscriptions, fd);
}

void event_socket_pulse(struct event_socket *socket, const char *topic, uint64_t seq,
                        uint64_t time_ms)
{
    struct text body;
    if (codec_encode_pulse(socket->codec, seq, time_ms, &body))
        send_frames(socket, topic, strlen(topic), body);
}
