#include "node/router.h"

#include "bus/bus.h"

#include <stdlib.h>

#define FRAMES_DROPPED_PER_TURN 10000u /* before others get a turn */

/* Frames of a group: most requests have three, a few up to routing id, envelope and body. */
#define FRAMES_PER_REQUEST (1u + ENVELOPE_MAX + 1u)
#define FRAMES_MAX (GROUP_MAX * 3u + FRAMES_PER_REQUEST)
#define REQUEST_BYTES_MAX ((size_t)4 * 1024 * 1024) /* in a group */

struct request_frames {
    size_t first;    /* in router.frames: the routing id, then the envelope, then the body */
    size_t envelope; /* frames */
    size_t count;    /* frames kept, the routing id counted */
};

struct router {
    void *socket;
    struct guard *guard;
    struct peers *peers;
    struct stats *stats;
    char endpoint[ENDPOINT_SIZE];
    struct request_frames requests[GROUP_MAX];
    size_t count;
    size_t group_bytes;               /* of the frames kept */
    zmq_msg_t frames[FRAMES_MAX + 1]; /* never moved: libzmq forbids that */
    size_t frame_count;
};

static bool open_sockets(struct router *router, void *context, const struct config *config,
                         char *error)
{
    snprintf(error, SOCKET_ERROR_BYTES, "cannot open the command socket");
    router->socket = socket_new(context, ZMQ_ROUTER, config, config->commands);
    if (router->socket == NULL)
        return false;
    /* A client that reads gets every reply, however many are in flight: no high-water marks for
     * replies. What a peer leaves unread is bounded by struct peers. */
    socket_set(router->socket, ZMQ_SNDHWM, 0);
    socket_set(router->socket, ZMQ_ROUTER_MANDATORY, 1); /* a peer that has gone is reported */
    return guard_watch(router->guard, GUARDED_COMMANDS, router->socket) &&
           socket_bind(router->socket, config->commands, router->endpoint, error);
}

struct router *router_new(void *context, const struct config *config, struct guard *guard,
                          struct stats *stats, struct logger *logger,
                          char error[SOCKET_ERROR_BYTES])
{
    struct router *router = calloc(1, sizeof *router);
    if (router == NULL) {
        snprintf(error, SOCKET_ERROR_BYTES, "no memory");
        return NULL;
    }
    router->stats = stats;
    router->guard = guard;
    router->peers = peers_new((size_t)config->max_unread_mib * 1024 * 1024, guard, stats, logger);
    if (router->peers == NULL)
        snprintf(error, SOCKET_ERROR_BYTES, "no memory");
    if (router->peers == NULL || !open_sockets(router, context, config, error))
        router_destroy(&router);
    return router;
}

void router_destroy(struct router **router)
{
    if (*router == NULL)
        return;
    router_end_group(*router);
    if ((*router)->socket != NULL)
        zmq_close((*router)->socket);
    peers_destroy(&(*router)->peers);
    free(*router);
    *router = NULL;
}

void *router_socket(const struct router *router)
{
    return router->socket;
}

const char *router_endpoint(const struct router *router)
{
    return router->endpoint;
}

static struct text frame_text(zmq_msg_t *frame)
{
    return (struct text){zmq_msg_data(frame), zmq_msg_size(frame)};
}

/* ---- receiving ---- */

/* Reads one message; of a very long one only the first frames are kept, those that a request can
 * have, and *is_left_over says that its peer was cut off. Returns the number of all its frames, the
 * routing id counted; 0: no message waits. */
static size_t receive_frames(struct router *router, size_t first, size_t *kept, bool *is_left_over)
{
    size_t total = 0;
    size_t bytes = 0; /* on the wire, where no routing id is */
    *kept = 0;
    *is_left_over = false;
    bool more = true;
    while (more) {
        zmq_msg_t *frame = &router->frames[first + *kept];
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, router->socket, ZMQ_DONTWAIT) < 0)
            break; /* messages come whole: it is the first frame that is not there */
        more = zmq_msg_more(frame) != 0;
        if (total++ > 0)
            bytes += flow_frame_bytes(zmq_msg_size(frame));
        if (*kept < FRAMES_PER_REQUEST)
            ++*kept;
        else
            zmq_msg_close(frame);
    }
    if (total > 1 && !peers_received(router->peers, frame_text(&router->frames[first]),
                                     &router->frames[first + 1], bytes))
        *is_left_over = true;
    return total;
}

static void close_frames(struct router *router, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        zmq_msg_close(&router->frames[first + i]);
}

/* Frames of the envelope: all up to and including the first empty one; without one, all but the
 * last. More than ENVELOPE_MAX where that is so. */
static size_t envelope_of(struct router *router, size_t first, size_t kept, size_t total)
{
    for (size_t i = 1; i < kept; i++)
        if (zmq_msg_size(&router->frames[first + i]) == 0)
            return i;
    return total >= 2 ? total - 2 : ENVELOPE_MAX + 1;
}

static void drop(struct router *router, size_t first, size_t kept)
{
    close_frames(router, first, kept);
    router->stats->requests_dropped++;
}

enum received router_receive(struct router *router, struct text *body)
{
    size_t dropped = 0;
    while (dropped < FRAMES_DROPPED_PER_TURN) {
        size_t first = router->frame_count;
        size_t kept;
        if (router->count == GROUP_MAX || first + FRAMES_PER_REQUEST > FRAMES_MAX ||
            router->group_bytes > REQUEST_BYTES_MAX)
            return RECEIVED_NOTHING;
        bool is_left_over;
        size_t total = receive_frames(router, first, &kept, &is_left_over);
        if (total == 0) {
            guard_count_drain(router->guard, GUARDED_COMMANDS);
            return RECEIVED_NOTHING;
        }
        guard_count_message(router->guard, GUARDED_COMMANDS);
        size_t envelope = envelope_of(router, first, kept, total);
        if (envelope > ENVELOPE_MAX || is_left_over) {
            drop(router, first, kept);
            dropped += total;
            continue;
        }
        router->requests[router->count++] = (struct request_frames){first, envelope, kept};
        router->frame_count += kept;
        *body = text_none();
        for (size_t i = 0; i < kept; i++) {
            struct text frame = frame_text(&router->frames[first + i]);
            router->group_bytes += frame.len;
            if (i <= envelope)
                continue;
            if (text_is_none(*body) || frame.len > body->len)
                *body = frame;
        }
        return total == envelope + 2 ? RECEIVED_BODY : RECEIVED_BODIES;
    }
    return RECEIVED_NOTHING;
}

/* ---- replying ---- */

/* The envelope goes back as it came; its frames are libzmq's again when they are sent. */
static bool send_envelope(struct router *router, const struct request_frames *request)
{
    for (size_t i = 0; i <= request->envelope; i++)
        if (zmq_msg_send(&router->frames[request->first + i], router->socket,
                         ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
            return false;
    return true;
}

void router_reply(struct router *router, size_t index, struct text body, uint64_t now_ms)
{
    assert(index < router->count);
    const struct request_frames *request = &router->requests[index];
    zmq_msg_t *frames = &router->frames[request->first];
    struct recipient recipient;
    peers_recipient(router->peers, frame_text(&frames[0]), &frames[1], &recipient);
    size_t bytes = flow_frame_bytes(body.len);
    for (size_t i = 1; i <= request->envelope; i++)
        bytes += flow_frame_bytes(zmq_msg_size(&frames[i]));

    zmq_msg_t reply;
    bool sent = zmq_msg_init_size(&reply, body.len) == 0;
    if (sent) {
        memcpy(zmq_msg_data(&reply), body.data, body.len);
        sent = send_envelope(router, request) &&
               zmq_msg_send(&reply, router->socket, ZMQ_DONTWAIT) >= 0;
        if (!sent)
            zmq_msg_close(&reply);
    }
    if (sent) {
        peers_sent(router->peers, &recipient, bytes, now_ms);
    } else {
        router->stats->replies_dropped++;
        peers_unreachable(router->peers, &recipient);
    }
}

void router_end_group(struct router *router)
{
    close_frames(router, 0, router->frame_count);
    router->frame_count = router->count = router->group_bytes = 0;
}

/* ---- watching ---- */

void router_disconnected(struct router *router, int fd)
{
    peers_disconnected(router->peers, fd);
}

void router_check_peers(struct router *router, uint64_t now_ms)
{
    peers_check(router->peers, now_ms);
}

bool router_has_slow_peers(const struct router *router)
{
    return peers_are_slow(router->peers);
}

bool router_has_full_peers(const struct router *router)
{
    return peers_are_full(router->peers);
}
