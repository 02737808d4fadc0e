/* What goes to a connection. */
#include "node/front/inside.h"

#include <errno.h>
#include <sys/socket.h>

#define BUFFER_KEPT 8192u /* bytes of an empty buffer that stay while there is traffic */

void peer_wants_sending(struct front *front, struct peer *peer)
{
    if (peer->is_unsent)
        return;
    peer->is_unsent = true;
    TAILQ_INSERT_TAIL(&front->unsent, peer, in_unsent);
}

bool peer_put(struct front *front, struct peer *peer, const void *data, size_t len)
{
    unsigned char *room = peer_room(front, peer, len);
    if (room == NULL)
        return false;
    memcpy(room, data, len);
    bytes_added(&peer->out, len);
    return true;
}

unsigned char *peer_room(struct front *front, struct peer *peer, size_t len)
{
    if (peer->phase == PEER_GONE || peer->has_ended)
        return NULL;
    if (peer->out.len == 0)
        peer->sent_ms = front->now_ms;
    unsigned char *room = bytes_room(&peer->out, len);
    if (room == NULL)
        peer_end(front, peer);
    else
        peer_wants_sending(front, peer);
    return room;
}

void peer_is_blocked(struct front *front, struct peer *peer)
{
    peer->is_blocked = true;
    peer_watch(front, peer);
}

bool peer_flush(struct front *front, struct peer *peer)
{
    while (peer->fd >= 0 && peer->out.len > 0) {
        ssize_t len =
            send(peer->fd, bytes_front(&peer->out), peer->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (len > 0) {
            bytes_take(&peer->out, (size_t)len);
            peer->sent_ms = front->now_ms;
            peer->sent += (uint64_t)len;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            peer->is_blocked = true;
            break;
        } else if (errno != EINTR) {
            peer_ended(front, peer);
            return false;
        }
    }
    bytes_release_if_empty(&peer->out, BUFFER_KEPT);
    if (peer->kind == PEER_CLIENT)
        client_was_read(front, peer);
    peer_charge(front, peer);
    peer_watch(front, peer);
    return peer->fd >= 0 && peer->out.len == 0;
}

void peers_send(struct front *front)
{
    while (!TAILQ_EMPTY(&front->unsent)) {
        struct peer *peer = TAILQ_FIRST(&front->unsent);
        TAILQ_REMOVE(&front->unsent, peer, in_unsent);
        peer->is_unsent = false;
        if (!peer->is_blocked && !peer->has_ended)
            peer_flush(front, peer);
    }
}
