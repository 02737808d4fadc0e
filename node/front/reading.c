/* What comes from a connection: bytes to frames, the handshake, commands, and who has to wait. */
#include "node/front/inside.h"
#include "node/system_clock.h"

#include <errno.h>
#include <sys/socket.h>

#define COMMAND_MAX 4096u /* bytes of a command, READY with all its properties counted */
#define PONG_ROOM ((size_t)1024 * 1024) /* beyond what a client may leave unread */

#define SILENT_MS 250u                      /* in which a client has read nothing */
#define AHEAD_MAX ((size_t)2 * 1024 * 1024) /* bytes that are read from such a one */
#define READ_MIN 512u                       /* bytes: a smaller part is not worth a call */
#define BUSY_BYTES ((size_t)64 * 1024)      /* between two ticks, from where a peer is busy */

/* ---- who has to wait ---- */

bool peer_is_busy(const struct peer *peer)
{
    return peer->taken > BUSY_BYTES;
}

bool front_is_late(const struct front *front)
{
    return monotonic_us() > front->late_us;
}

static void wait_for_room(struct front *front, struct peer *peer)
{
    if (peer->is_waiting)
        return;
    peer->is_waiting = true;
    TAILQ_INSERT_TAIL(&front->waiting, peer, in_waiting);
    front->waiting_count++;
    peer_watch(front, peer);
}

static struct peer *next_waiting(struct front *front)
{
    struct peer *peer = TAILQ_FIRST(&front->waiting);
    TAILQ_REMOVE(&front->waiting, peer, in_waiting);
    front->waiting_count--;
    peer->is_waiting = false;
    return peer;
}

/* How many bytes may be read from it at once; 0: it has to wait until it has less, or others have.
 * Of one that has ended there is no more to come than the kernel has, and it ends with that. */
static size_t room_to_read(const struct front *front, const struct peer *peer)
{
    const struct budget *budget = &front->budget;
    size_t may_have = budget_allows(budget);
    if ((peer->has_ended || client_has_turn(peer)) && !budget_is_exceeded(budget))
        return SCRATCH_BYTES;
    if (peer->charge.bytes + READ_MIN > may_have)
        return 0;
    size_t room = may_have - peer->charge.bytes;
    return room < SCRATCH_BYTES ? room : SCRATCH_BYTES;
}

/* ---- handshake and commands ---- */

static const char *const wanted_types[][3] = {[PEER_CLIENT] = {"REQ", "DEALER", "ROUTER"},
                                              [PEER_SUBSCRIBER] = {"SUB", "XSUB", NULL},
                                              [PEER_FEED] = {"PUB", "XPUB", NULL}};
static const char *const own_types[] = {
    [PEER_CLIENT] = "ROUTER", [PEER_SUBSCRIBER] = "XPUB", [PEER_FEED] = "SUB"};

static bool is_wanted(enum peer_kind kind, struct text type)
{
    for (size_t i = 0; i < 3 && wanted_types[kind][i] != NULL; i++)
        if (text_equal(type, text_of(wanted_types[kind][i])))
            return true;
    return false;
}

static bool greeted(struct front *front, struct peer *peer)
{
    unsigned char ready[ZMTP_READY_MAX];
    peer->phase = PEER_HANDSHAKE;
    return peer_put(front, peer, ready, zmtp_put_ready(ready, own_types[peer->kind]));
}

static bool take_handshake(struct front *front, struct peer *peer, struct text command)
{
    struct text properties;
    if (!zmtp_command_is(command, "READY", &properties) ||
        !is_wanted(peer->kind, zmtp_socket_type(properties)))
        return false;
    peer->phase = PEER_OPEN;
    if (peer->kind == PEER_FEED)
        feed_connected(front, peer);
    return peer->phase == PEER_OPEN;
}

static bool answer_ping(struct front *front, struct peer *peer, struct text ping)
{
    unsigned char pong[ZMTP_PING_MAX];
    if (ping.len < 2)
        return false;
    struct text context = {ping.data + 2, ping.len - 2};
    return peer->out.len > ((size_t)front->config->max_unread_mib << 20) + PONG_ROOM ||
           peer_put(front, peer, pong, zmtp_put_pong(pong, context));
}

/* Other commands are passed over (RFC 23). */
static bool take_command(struct front *front, struct peer *peer, struct text command)
{
    struct text data;
    if (peer->phase == PEER_HANDSHAKE)
        return take_handshake(front, peer, command);
    if (zmtp_command_is(command, "PING", &data))
        return answer_ping(front, peer, data);
    if (zmtp_command_is(command, "ERROR", &data))
        return false;
    return peer->kind != PEER_SUBSCRIBER || subscriber_command(front, peer, command);
}

static bool must_wait(struct front *front, struct peer *peer)
{
    switch (peer->kind) {
    case PEER_CLIENT:
        return client_must_wait(front, peer);
    case PEER_SUBSCRIBER:
        return subscriber_must_wait(front, peer);
    case PEER_FEED:
        return feed_must_wait(front, peer);
    }
    return false;
}

/* What can be held where it begins: messages, and the commands of a subscriber, which may
 * subscribe. Those of a client need not wait: a PING is answered at once. */
static bool can_be_held(const struct peer *peer, bool is_command)
{
    if (peer->phase != PEER_OPEN)
        return false;
    return is_command ? peer->kind == PEER_SUBSCRIBER : !peer->is_in_message;
}

static bool begin_frame(struct front *front, struct peer *peer, const struct zmtp_piece *piece)
{
    bool is_command = (piece->flags & ZMTP_COMMAND) != 0;
    if (is_command ? piece->size > COMMAND_MAX : peer->phase != PEER_OPEN)
        return false;
    if (can_be_held(peer, is_command) && must_wait(front, peer)) {
        peer->is_held = true;
        peer->held = *piece;
        return true;
    }
    peer->is_in_command = is_command;
    if (is_command)
        return true;
    peer->is_in_message = true;
    peer->is_last_frame = (piece->flags & ZMTP_MORE) == 0;
    switch (peer->kind) {
    case PEER_CLIENT:
        return client_frame(front, peer, piece->flags, piece->size);
    case PEER_SUBSCRIBER:
        return subscriber_frame(front, peer, piece->flags, piece->size);
    case PEER_FEED:
        return feed_frame(front, peer, piece->flags, piece->size);
    }
    return false;
}

static bool take_message_content(struct front *front, struct peer *peer,
                                 const struct zmtp_piece *piece)
{
    if (piece->ends && peer->is_last_frame)
        peer->is_in_message = false;
    switch (peer->kind) {
    case PEER_CLIENT:
        return client_content(front, peer, piece->content, piece->ends);
    case PEER_SUBSCRIBER:
        return subscriber_content(front, peer, piece->content, piece->ends);
    case PEER_FEED:
        return feed_content(front, peer, piece->content, piece->ends);
    }
    return false;
}

/* A command that has come whole is looked at where it is, another one is put together first. */
static bool take_content(struct front *front, struct peer *peer, const struct zmtp_piece *piece)
{
    if (!peer->is_in_command)
        return take_message_content(front, peer, piece);
    struct bytes *content = &peer->command;
    if (piece->ends && content->len == 0)
        return take_command(front, peer, piece->content);
    if (!bytes_append(content, piece->content.data, piece->content.len))
        return false;
    if (!piece->ends)
        return true;
    bool is_fine =
        take_command(front, peer, (struct text){(const char *)bytes_front(content), content->len});
    bytes_release(content);
    return is_fine;
}

/* A message that was held where it begins goes on. */
static void let_go(struct front *front, struct peer *peer)
{
    if (!peer->is_held || must_wait(front, peer))
        return;
    peer->is_held = false;
    if (!begin_frame(front, peer, &peer->held))
        peer_end(front, peer);
}

/* Takes in as much of the input as need not wait. */
static void take(struct front *front, struct peer *peer, struct text *input)
{
    struct zmtp_piece piece;
    while (peer->phase != PEER_GONE && !peer->is_held &&
           (input->len > 0 || peer->reader.is_in_frame)) {
        bool is_fine = true;
        switch (zmtp_read(&peer->reader, input, &piece)) {
        case ZMTP_NEED_MORE:
            return;
        case ZMTP_GREETED:
            is_fine = greeted(front, peer);
            break;
        case ZMTP_FRAME:
            is_fine = begin_frame(front, peer, &piece);
            break;
        case ZMTP_CONTENT:
            is_fine = take_content(front, peer, &piece);
            break;
        case ZMTP_BROKEN:
            is_fine = false;
            break;
        }
        if (!is_fine)
            peer_end(front, peer);
    }
}

static void take_unparsed(struct front *front, struct peer *peer)
{
    if (peer->phase == PEER_GONE)
        return;
    size_t all = peer->unparsed.len;
    struct text input = {all > 0 ? (const char *)bytes_front(&peer->unparsed) : "", all};
    take(front, peer, &input);
    if (peer->phase == PEER_GONE)
        return;
    bytes_take(&peer->unparsed, all - input.len);
    bytes_release_if_empty(&peer->unparsed, 0);
}

/* Reads once. False: there is nothing to be read for now, or ever. */
static bool read_some(struct front *front, struct peer *peer)
{
    ssize_t len;
    do
        len = recv(peer->fd, front->scratch, room_to_read(front, peer), MSG_DONTWAIT);
    while (len < 0 && errno == EINTR);
    if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (len <= 0) {
        peer_end(front, peer);
        return false;
    }
    peer->heard_ms = front->now_ms;
    peer->taken += (size_t)len;
    struct text input = {front->scratch, (size_t)len};
    take(front, peer, &input);
    if (peer->phase != PEER_GONE && input.len > 0 &&
        !bytes_append(&peer->unparsed, input.data, input.len))
        peer_end(front, peer);
    return peer->phase != PEER_GONE;
}

static bool may_be_read(struct front *front, struct peer *peer)
{
    return peer->fd >= 0 && peer->unparsed.len == 0 && !peer->is_held &&
           !front->has_stopped_reading && room_to_read(front, peer) > 0 &&
           (peer->kind != PEER_FEED || feed_hand_over(front, peer));
}

/* What a client sent before is still to be read, and epoll has nothing more to tell, but would tell
 * it again and again. */
void peer_ended(struct front *front, struct peer *peer)
{
    if (peer->has_ended || peer->phase == PEER_GONE)
        return;
    if (peer->kind == PEER_SUBSCRIBER) {
        peer_end(front, peer);
        return;
    }
    peer->has_ended = true;
    epoll_ctl(front->epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
    peer_has_left(front, peer);
    wait_for_room(front, peer);
}

/* A client that reads nothing may be gone: in TCP its end stands behind what it sent before, and is
 * not seen before that is read. It is read over its share, too: whoever is there still, and has
 * most, is cut off where that is too much. */
void client_read_ahead(struct front *front, struct peer *peer)
{
    peer->reads_ahead = peer->as.client.is_full && front->now_ms - peer->sent_ms >= SILENT_MS &&
                        peer->unparsed.len < AHEAD_MAX && !budget_is_exceeded(&front->budget);
    peer_watch(front, peer);
}

static void read_ahead(struct front *front, struct peer *peer)
{
    unsigned char *room = bytes_room(&peer->unparsed, SCRATCH_BYTES);
    ssize_t len = room != NULL ? recv(peer->fd, room, SCRATCH_BYTES, MSG_DONTWAIT) : -1;
    if (len > 0)
        bytes_added(&peer->unparsed, (size_t)len);
    else if (room == NULL || len == 0 ||
             (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        peer_ended(front, peer);
    peer_charge(front, peer);
    client_read_ahead(front, peer);
}

void peer_ready(struct front *front, struct peer *peer, uint32_t events)
{
    if (peer->phase == PEER_GONE)
        return;
    if (peer->phase == PEER_CONNECTING) {
        feed_connected(front, peer);
        peer_watch(front, peer);
        return;
    }
    if (events & EPOLLOUT) {
        peer->is_blocked = false;
        peer_wants_sending(front, peer);
        if (peer->kind == PEER_SUBSCRIBER)
            subscribers_look_again(front);
        peer_watch(front, peer);
    }
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        peer_ended(front, peer);
        return;
    }
    if ((events & EPOLLIN) != 0 && peer->is_waiting && peer->reads_ahead)
        read_ahead(front, peer);
    if ((events & EPOLLIN) == 0 || peer->is_waiting)
        return;
    if (may_be_read(front, peer))
        read_some(front, peer);
    if (peer->phase == PEER_GONE)
        return;
    peer_charge(front, peer);
    if (!may_be_read(front, peer))
        wait_for_room(front, peer);
}

/* One that ended is read here, others are when epoll tells. True: it had its turn, and could go on
 * at once. */
static bool resume(struct front *front, struct peer *peer)
{
    let_go(front, peer);
    take_unparsed(front, peer);
    if (peer->has_ended && may_be_read(front, peer))
        read_some(front, peer);
    if (peer->phase == PEER_GONE)
        return false;
    peer_charge(front, peer);
    if (peer->kind == PEER_CLIENT && room_to_read(front, peer) == 0)
        client_take_turn(front, peer);
    bool may_go_on = may_be_read(front, peer);
    if (may_go_on && !peer->has_ended) {
        peer_watch(front, peer);
        return false;
    }
    wait_for_room(front, peer);
    return may_go_on;
}

bool peers_resume(struct front *front)
{
    bool is_more = false;
    size_t left = front->waiting_count;
    for (; left > 0 && !TAILQ_EMPTY(&front->waiting) && !front_is_late(front); left--)
        is_more = resume(front, next_waiting(front)) || is_more;
    return is_more || left > 0;
}
