/* The life of a connection: how it begins, what it takes, and how it ends. */
#include "node/front/inside.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

void peer_watch(struct front *front, struct peer *peer)
{
    if (peer->fd < 0 || peer->has_ended)
        return;
    bool is_connecting = peer->phase == PEER_CONNECTING;
    uint32_t events = EPOLLRDHUP;
    if ((!peer->is_waiting || peer->reads_ahead) && !is_connecting && !front->has_stopped_reading)
        events |= EPOLLIN;
    if (peer->is_blocked || is_connecting)
        events |= EPOLLOUT;
    if (events == peer->events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = peer};
    epoll_ctl(front->epoll_fd, EPOLL_CTL_MOD, peer->fd, &event);
    peer->events = events;
}

/* Strangers must not keep an upstream node out. */
static bool has_place(const struct front *front, enum peer_kind kind)
{
    size_t reserved = kind == PEER_FEED ? 0 : front->feed_count;
    return front->connections + reserved < front->connections_max && front->free_count > reserved;
}

struct peer *peer_new(struct front *front, enum peer_kind kind, int fd, enum peer_phase phase)
{
    struct peer *peer = has_place(front, kind) ? calloc(1, sizeof *peer) : NULL;
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = peer};
    if (peer == NULL || epoll_ctl(front->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(peer);
        close(fd);
        return NULL;
    }
    peer->kind = kind;
    peer->phase = phase;
    peer->fd = fd;
    peer->events = EPOLLRDHUP;
    peer->slot = front->free_slots[--front->free_count];
    peer->began_ms = peer->heard_ms = peer->pinged_ms = peer->sent_ms = front->now_ms;
    front->slots[peer->slot] = peer;
    atomic_store_explicit(&front->states[peer->slot], 0, memory_order_relaxed);
    LIST_INSERT_HEAD(&front->peers, peer, in_peers);
    front->connections++;
    if (kind == PEER_CLIENT)
        count(&front->counts.peers, 1);
    else if (kind == PEER_SUBSCRIBER)
        count(&front->counts.subscribers, 1);
    peer_charge(front, peer);
    peer_watch(front, peer);
    return peer;
}

void peer_has_left(struct front *front, struct peer *peer)
{
    atomic_fetch_or_explicit(&front->states[peer->slot], CLIENT_IS_GONE, memory_order_relaxed);
    bytes_release(&peer->out);
    if (peer->kind == PEER_CLIENT)
        client_was_read(front, peer);
}

static void close_descriptor(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd); /* which takes it out of the epoll set, too */
    peer->fd = -1;
}

static void leave_queues(struct front *front, struct peer *peer)
{
    if (peer->is_waiting) {
        TAILQ_REMOVE(&front->waiting, peer, in_waiting);
        front->waiting_count--;
    }
    if (peer->is_unsent)
        TAILQ_REMOVE(&front->unsent, peer, in_unsent);
    peer->is_waiting = peer->is_unsent = false;
}

void peer_end(struct front *front, struct peer *peer)
{
    if (peer->phase == PEER_GONE)
        return;
    peer->phase = PEER_GONE;
    close_descriptor(peer);
    peer_has_left(front, peer);
    bytes_release(&peer->unparsed);
    bytes_release(&peer->content);
    bytes_release(&peer->command);
    LIST_REMOVE(peer, in_peers);
    leave_queues(front, peer);
    front->connections--;
    switch (peer->kind) {
    case PEER_CLIENT:
        uncount(&front->counts.peers);
        client_gone(front, peer);
        break;
    case PEER_SUBSCRIBER:
        uncount(&front->counts.subscribers);
        subscriber_gone(front, peer);
        break;
    case PEER_FEED:
        feed_gone(front, peer);
        break;
    }
    peer_charge(front, peer);
    peer_release(front, peer);
}

void peer_release(struct front *front, struct peer *peer)
{
    bool is_owed = peer->kind == PEER_CLIENT && peer->as.client.unanswered > 0;
    if (peer->phase != PEER_GONE || is_owed || peer->is_buried)
        return;
    peer->is_buried = true;
    SLIST_INSERT_HEAD(&front->buried, peer, in_buried);
}

static void free_peer(struct front *front, struct peer *peer)
{
    assert(front->slots[peer->slot] == peer && front->free_count < front->slot_count);
    budget_charge(&front->budget, &peer->charge, 0);
    front->slots[peer->slot] = NULL;
    front->free_slots[front->free_count++] = peer->slot;
    free(peer);
}

void peers_bury(struct front *front)
{
    while (!SLIST_EMPTY(&front->buried)) {
        struct peer *peer = SLIST_FIRST(&front->buried);
        SLIST_REMOVE_HEAD(&front->buried, in_buried);
        free_peer(front, peer);
    }
}

static size_t memory_of(const struct peer *peer)
{
    size_t bytes = sizeof *peer + peer->out.capacity + peer->unparsed.capacity +
                   peer->content.capacity + peer->command.capacity;
    if (peer->kind == PEER_CLIENT)
        bytes += peer->as.client.incoming.kept.capacity + peer->as.client.unanswered_cost;
    else if (peer->kind == PEER_SUBSCRIBER)
        bytes += peer->as.subscriber.prefixes.memory;
    return bytes;
}

void peer_release_empty(struct peer *peer)
{
    bytes_release_if_empty(&peer->out, 0);
    bytes_release_if_empty(&peer->unparsed, 0);
    if (peer->kind == PEER_CLIENT)
        bytes_release_if_empty(&peer->as.client.incoming.kept, 0);
}

void peer_charge(struct front *front, struct peer *peer)
{
    if (budget_is_crowded(&front->budget)) /* they would be all of its share */
        peer_release_empty(peer);
    budget_charge(&front->budget, &peer->charge, memory_of(peer));
}

void peers_stop_reading(struct front *front)
{
    for (struct peer *peer = LIST_FIRST(&front->peers); peer != NULL;
         peer = LIST_NEXT(peer, in_peers))
        peer_watch(front, peer);
}
