/* The life of a connection: how it begins, what it takes, and how it ends. */
#include "node/front/inside.h"

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

static void link_peer(struct front *front, struct peer *peer)
{
    peer->next = front->peers;
    if (peer->next != NULL)
        peer->next->previous = peer;
    front->peers = peer;
}

static void unlink_peer(struct front *front, struct peer *peer)
{
    if (peer->previous != NULL)
        peer->previous->next = peer->next;
    else
        front->peers = peer->next;
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
}

struct peer *peer_new(struct front *front, enum peer_kind kind, int fd, enum peer_phase phase)
{
    bool has_place = front->connections < front->connections_max && front->free_count > 0;
    struct peer *peer = has_place ? calloc(1, sizeof *peer) : NULL;
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
    peer->serial = ++front->last_serial;
    peer->began_ms = peer->heard_ms = peer->pinged_ms = peer->sent_ms = front->now_ms;
    front->slots[peer->slot] = peer;
    atomic_store_explicit(&front->states[peer->slot], 0, memory_order_relaxed);
    link_peer(front, peer);
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
    unlink_peer(front, peer);
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
    if (peer->phase != PEER_GONE || is_owed)
        return;
    budget_charge(&front->budget, peer->cost, 0);
    front->slots[peer->slot] = NULL;
    front->free_slots[front->free_count++] = peer->slot;
    peer->next = front->buried;
    front->buried = peer;
}

/* What is in a queue still is taken out there first, by whoever goes through it. */
void peers_bury(struct front *front)
{
    struct peer **link = &front->buried;
    while (*link != NULL) {
        struct peer *peer = *link;
        if (peer->is_waiting || peer->is_unsent) {
            link = &peer->next;
            continue;
        }
        *link = peer->next;
        free(peer);
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

void peer_charge(struct front *front, struct peer *peer)
{
    size_t cost = memory_of(peer);
    budget_charge(&front->budget, peer->cost, cost);
    peer->cost = cost;
}

void peers_stop_reading(struct front *front)
{
    for (struct peer *peer = front->peers; peer != NULL; peer = peer->next)
        peer_watch(front, peer);
}
