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
    bool is_turn_of_parked;
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

static void close_frames(zmq_msg_t *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        zmq_msg_close(&frames[i]);
}

/* Takes a message from libzmq; of a very long one only the first frames are kept, those that a
 * request can have. False: none waits. */
static bool receive_frames(struct router *router, zmq_msg_t *frames, struct message_size *size)
{
    *size = (struct message_size){0};
    bool more = true;
    while (more) {
        zmq_msg_t *frame = &frames[size->kept];
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, router->socket, ZMQ_DONTWAIT) < 0)
            return false; /* messages come whole: it is the first frame that is not there */
        more = zmq_msg_more(frame) != 0;
        if (size->total++ > 0)
            size->bytes += flow_frame_bytes(zmq_msg_size(frame));
        if (size->kept < FRAMES_PER_REQUEST)
            size->kept++;
        else
            zmq_msg_close(frame);
    }
    return true;
}

/* Frames of the envelope: all up to and including the first empty one; without one, all but the
 * last. More than ENVELOPE_MAX where that is so. */
static size_t envelope_of(zmq_msg_t *frames, const struct message_size *size)
{
    for (size_t i = 1; i < size->kept; i++)
        if (zmq_msg_size(&frames[i]) == 0)
            return i;
    return size->total >= 2 ? size->total - 2 : ENVELOPE_MAX + 1;
}

/* Who is to be answered: drops or parks all others. */
static bool is_to_be_answered(struct router *router, zmq_msg_t *frames,
                              const struct message_size *size)
{
    enum arrival arrival = ARRIVAL_LEFT_OVER;
    if (size->total > 1)
        arrival =
            peers_received(router->peers, frames, size, envelope_of(frames, size) <= ENVELOPE_MAX);
    if (arrival == ARRIVAL_LEFT_OVER) {
        close_frames(frames, size->kept);
        router->stats->requests_dropped++;
    }
    return arrival == ARRIVAL_TAKEN;
}

/* Finds the next message that is to be answered. What was parked and what comes take turns. False:
 * there is none, or others have to have a turn first. */
static bool next_message(struct router *router, zmq_msg_t *frames, struct message_size *size)
{
    size_t passed_over = 0; /* frames */
    router->is_turn_of_parked = !router->is_turn_of_parked;
    if (router->is_turn_of_parked && peers_next_parked(router->peers, frames, size))
        return true;
    while (passed_over < FRAMES_DROPPED_PER_TURN) {
        if (!receive_frames(router, frames, size)) {
            guard_count_drain(router->guard, GUARDED_COMMANDS);
            return peers_next_parked(router->peers, frames, size);
        }
        guard_count_message(router->guard, GUARDED_COMMANDS);
        if (is_to_be_answered(router, frames, size))
            return true;
        passed_over += size->total;
    }
    return false;
}

enum received router_receive(struct router *router, struct text *body)
{
    size_t first = router->frame_count;
    zmq_msg_t *frames = &router->frames[first];
    struct message_size size;
    if (router->count == GROUP_MAX || first + FRAMES_PER_REQUEST > FRAMES_MAX ||
        router->group_bytes > REQUEST_BYTES_MAX || !next_message(router, frames, &size))
        return RECEIVED_NOTHING;
    size_t envelope = envelope_of(frames, &size);
    router->requests[router->count++] = (struct request_frames){first, envelope, size.kept};
    router->frame_count += size.kept;
    *body = text_none();
    for (size_t i = 0; i < size.kept; i++) {
        struct text frame = frame_text(&frames[i]);
        router->group_bytes += frame.len;
        if (i > envelope && (text_is_none(*body) || frame.len > body->len))
            *body = frame;
    }
    return size.total == envelope + 2 ? RECEIVED_BODY : RECEIVED_BODIES;
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
    close_frames(router->frames, router->frame_count);
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

bool router_has_parked(const struct router *router)
{
    return peers_have_parked(router->peers);
}
