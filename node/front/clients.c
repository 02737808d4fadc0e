/* Clients of the command socket: their requests go to the node, its replies come back.
 *
 * A message is an envelope and a body (RFC 28/REQREP): all frames up to and including the first
 * empty one are the envelope; without an empty one, all but the last. The envelope is kept just as
 * it goes over the wire, and so comes back before the reply. */
#include "node/front/inside.h"

#include <assert.h>

#define ENVELOPE_MAX 16u                         /* frames, the empty one counted */
#define ENVELOPE_BYTES_MAX ((size_t)1024 * 1024) /* of all of them */
#define KEPT_BETWEEN 4096u /* bytes of an empty buffer that stay for the next message */

/* Requests of all clients that may be under way in the node, and each client's part of them. One or
 * two may fill a group while the disk syncs the one before; among many, whose requests stand in one
 * queue, a lone one would wait too long behind so much. Who has left is in no hurry. */
#define WINDOW_OF_FEW 8192u
#define FEW 2u
#define WINDOW_OF_MANY 2048u
#define WINDOW_OF_GONE 16u
#define WINDOW_MIN 2u

/* What a request takes in libzmq's queue and in the node, beyond its bytes: two frames of 64 bytes,
 * the memory block of the body, and a place where it can wait. */
#define REQUEST_MEMORY 384u

/* Clients that may end their messages over their share at the same time: a message has little more
 * than 1 MiB. */
#define TURNS_MAX 24u

#define REPLIES_PER_TURN 2048u
#define REPLY_BYTES_PER_TURN ((size_t)256 * 1024) /* before they are sent */

/* ---- turns ---- */

bool client_has_turn(const struct peer *peer)
{
    return peer->kind == PEER_CLIENT && peer->as.client.turn_began_ms != 0;
}

void client_take_turn(struct front *front, struct peer *peer)
{
    struct client *client = &peer->as.client;
    if (client->turn_began_ms != 0 || !peer->is_in_message || front->turns == TURNS_MAX)
        return;
    client->turn_began_ms = front->now_ms;
    front->turns++;
}

void client_end_turn(struct front *front, struct peer *peer)
{
    if (!client_has_turn(peer))
        return;
    peer->as.client.turn_began_ms = 0;
    front->turns--;
}

/* ---- requests ---- */

/* The connection ends, as a message of which a part is missing cannot be answered. */
static bool no_memory(struct front *front)
{
    count(&front->counts.requests_dropped, 1);
    return false;
}

static size_t window_of(const struct front *front, const struct peer *peer)
{
    size_t clients = front->busy_clients + (peer->as.client.unanswered == 0);
    size_t window = (clients > FEW ? WINDOW_OF_MANY : WINDOW_OF_FEW) / clients;
    if (peer->has_ended)
        return WINDOW_OF_GONE;
    return window > WINDOW_MIN ? window : WINDOW_MIN;
}

bool client_must_wait(const struct front *front, const struct peer *peer)
{
    const struct client *client = &peer->as.client;
    return client->is_full || front->has_stopped_reading ||
           client->unanswered >= window_of(front, peer) ||
           budget_requests_are_exceeded(&front->budget);
}

static bool keep_of_envelope(struct incoming *incoming, size_t size)
{
    unsigned char header[ZMTP_HEADER_MAX];
    size_t header_len = zmtp_put_header(header, ZMTP_MORE, size);
    if (++incoming->frames > ENVELOPE_MAX ||
        incoming->envelope_len + header_len + size > ENVELOPE_BYTES_MAX) {
        incoming->must_drop = true;
        bytes_release(&incoming->kept);
        return true;
    }
    incoming->is_keeping = true;
    incoming->envelope_len += header_len + size;
    return bytes_append(&incoming->kept, header, header_len);
}

/* A body that is too large, or not the only one, is not needed to say so. */
static void begin_body(struct incoming *incoming, size_t size)
{
    incoming->bodies++;
    incoming->is_too_large = incoming->is_too_large || size > REQUEST_MAX_BYTES;
    incoming->is_keeping = incoming->bodies == 1 && size <= REQUEST_MAX_BYTES;
    incoming->body_len = incoming->is_keeping ? size : 0;
}

bool client_frame(struct front *front, struct peer *peer, unsigned flags, size_t size)
{
    struct incoming *incoming = &peer->as.client.incoming;
    incoming->is_keeping = false;
    if (incoming->must_drop)
        return true;
    if (incoming->has_delimiter || ((flags & ZMTP_MORE) == 0 && size > 0)) {
        begin_body(incoming, size);
        return true;
    }
    incoming->has_delimiter = size == 0;
    return keep_of_envelope(incoming, size) || no_memory(front);
}

static enum route_kind kind_of(const struct incoming *incoming)
{
    if (incoming->is_too_large)
        return ROUTE_TOO_LARGE;
    return incoming->bodies == 1 ? ROUTE_REQUEST : ROUTE_NOT_ONE_BODY;
}

/* Sends both frames or, without memory, none: half a message could not be taken back. The queue
 * has no limit of its own. */
static bool send_message(struct front *front, const struct route *route, struct text envelope,
                         struct text body)
{
    zmq_msg_t head;
    zmq_msg_t content;
    if (zmq_msg_init_size(&head, sizeof *route + envelope.len) != 0)
        return false;
    if (zmq_msg_init_size(&content, body.len) != 0) {
        zmq_msg_close(&head);
        return false;
    }
    memcpy(zmq_msg_data(&head), route, sizeof *route);
    if (envelope.len > 0)
        memcpy((char *)zmq_msg_data(&head) + sizeof *route, envelope.data, envelope.len);
    if (body.len > 0)
        memcpy(zmq_msg_data(&content), body.data, body.len);
    struct inner *requests = &front->queues[QUEUE_REQUESTS].inner;
    bool sent = inner_send(requests, &head, false);
    assert(sent);
    sent = inner_send(requests, &content, true);
    assert(sent);
    return true;
}

static void add_unanswered(struct front *front, struct client *client, size_t cost)
{
    front->busy_clients += client->unanswered++ == 0;
    client->unanswered_cost += cost;
    front->budget.requests_used += cost;
}

static void take_answered(struct front *front, struct client *client, size_t cost)
{
    assert(client->unanswered > 0 && client->unanswered_cost >= cost);
    front->busy_clients -= --client->unanswered == 0;
    client->unanswered_cost -= cost;
    front->budget.requests_used -= cost;
}

/* False: no memory. */
static bool pass_on(struct front *front, struct peer *peer)
{
    struct incoming *incoming = &peer->as.client.incoming;
    enum route_kind kind = kind_of(incoming);
    const char *kept = (const char *)bytes_front(&incoming->kept);
    struct text envelope = {kept, incoming->envelope_len};
    struct text body = {kept + incoming->envelope_len,
                        kind == ROUTE_REQUEST ? incoming->body_len : 0};
    struct route route = {.slot = peer->slot,
                          .cost = (uint32_t)(REQUEST_MEMORY + envelope.len + body.len),
                          .kind = kind};
    if (!send_message(front, &route, envelope, body))
        return false;
    add_unanswered(front, &peer->as.client, route.cost);
    return true;
}

/* Whoever has left waits for no reply, so that only a command is worth the node's time. */
static bool is_pointless(const struct peer *peer)
{
    const struct incoming *incoming = &peer->as.client.incoming;
    if (!peer->has_ended)
        return false;
    if (kind_of(incoming) != ROUTE_REQUEST)
        return true;
    struct text body = {(const char *)bytes_front(&incoming->kept) + incoming->envelope_len,
                        incoming->body_len};
    return !codec_is_command(body);
}

static bool end_message(struct front *front, struct peer *peer)
{
    client_end_turn(front, peer);
    struct incoming *incoming = &peer->as.client.incoming;
    bool is_fine = true;
    if (incoming->must_drop || is_pointless(peer))
        count(&front->counts.requests_dropped, 1);
    else
        is_fine = pass_on(front, peer) || no_memory(front);
    struct bytes kept = incoming->kept;
    bytes_clear(&kept);
    if (kept.capacity > KEPT_BETWEEN)
        bytes_release(&kept);
    *incoming = (struct incoming){.kept = kept};
    return is_fine;
}

bool client_content(struct front *front, struct peer *peer, struct text content, bool ends)
{
    struct incoming *incoming = &peer->as.client.incoming;
    if (incoming->is_keeping && content.len > 0 &&
        !bytes_append(&incoming->kept, content.data, content.len))
        return no_memory(front);
    return !ends || !peer->is_last_frame || end_message(front, peer);
}

void client_gone(struct front *front, struct peer *peer)
{
    client_end_turn(front, peer);
    bytes_release(&peer->as.client.incoming.kept);
}

/* ---- replies ---- */

static size_t unread_max(const struct front *front)
{
    size_t most = (size_t)front->config->max_unread_mib << 20;
    size_t share = budget_share(&front->budget);
    return budget_is_crowded(&front->budget) && share < most ? share : most;
}

static void set_full(struct front *front, struct peer *peer, bool is_full)
{
    struct client *client = &peer->as.client;
    if (client->is_full == is_full)
        return;
    client->is_full = is_full;
    _Atomic unsigned char *state = &front->states[peer->slot];
    if (is_full) {
        atomic_fetch_or_explicit(state, CLIENT_IS_FULL, memory_order_relaxed);
    } else {
        atomic_fetch_and_explicit(state, (unsigned char)~CLIENT_IS_FULL, memory_order_relaxed);
        front->must_nudge = true;
    }
}

/* Not at the very limit, or it would be full and not full by turns. */
void client_was_read(struct front *front, struct peer *peer)
{
    if (peer->as.client.is_full && peer->out.len <= unread_max(front) / 2)
        set_full(front, peer, false);
}

static void put_reply(struct front *front, struct peer *peer, struct text envelope,
                      struct text body)
{
    unsigned char *to = peer_room(front, peer, envelope.len + ZMTP_HEADER_MAX + body.len);
    if (to == NULL) {
        count(&front->counts.replies_dropped, 1);
        return;
    }
    memcpy(to, envelope.data, envelope.len);
    size_t len = envelope.len + zmtp_put_header(to + envelope.len, 0, body.len);
    memcpy(to + len, body.data, body.len);
    bytes_added(&peer->out, len + body.len);
    if (peer->out.len > unread_max(front))
        set_full(front, peer, true);
}

static void take_reply(struct front *front, struct text head, struct text body)
{
    struct route route;
    assert(head.len >= sizeof route);
    memcpy(&route, head.data, sizeof route);
    assert(route.slot < front->slot_count);
    struct peer *peer = front->slots[route.slot];
    assert(peer != NULL && peer->kind == PEER_CLIENT); /* who is owed a reply keeps its slot */
    take_answered(front, &peer->as.client, route.cost);
    struct text envelope = {head.data + sizeof route, head.len - sizeof route};
    if (body.len > 0)
        put_reply(front, peer, envelope, body);
    peer_charge(front, peer);
    peer_release(front, peer);
}

static struct text frame_text(zmq_msg_t *frame)
{
    return (struct text){zmq_msg_data(frame), zmq_msg_size(frame)};
}

bool clients_take_replies(struct front *front)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < REPLIES_PER_TURN && bytes < REPLY_BYTES_PER_TURN; i++) {
        zmq_msg_t head;
        zmq_msg_t body;
        struct inner *queue = &front->queues[QUEUE_REQUESTS].inner;
        if (!inner_receive(queue, &head))
            return false;
        bool is_whole = inner_receive(queue, &body); /* messages come whole */
        assert(is_whole);
        take_reply(front, frame_text(&head), frame_text(&body));
        bytes += zmq_msg_size(&body);
        count(&front->counts.reply_bytes, zmq_msg_size(&body));
        zmq_msg_close(&head);
        zmq_msg_close(&body);
    }
    return true;
}

/* ---- what is no request ---- */

bool clients_signal(struct front *front, enum route_kind kind)
{
    struct route route = {.kind = kind};
    return send_message(front, &route, text_none(), text_none());
}
