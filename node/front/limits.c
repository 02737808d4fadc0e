/* Limits of time and of memory: what happens to those that are too slow, or have too much. */
#include "node/front/inside.h"

#include <malloc.h>

#define IDLE_MS 1000u          /* after which empty buffers are given back */
#define UNREAD_GRACE_MS 12000u /* in which a client with too much unread has to read something */
#define TRIM_MS 1000u          /* between two times that malloc gives free memory back */
#define STUCK_MS 250u          /* after which replies that nobody reads count as stuck */

/* ---- memory ---- */

/* What only the peer could release: the rest of a message, its subscriptions, replies that it does
 * not read. Requests that wait for their replies are none of it, nor what they hold up. */
static size_t stuck_memory(const struct front *front, const struct peer *peer)
{
    size_t bytes = peer->content.capacity;
    if (peer->out.len > 0 && front->now_ms - peer->sent_ms >= STUCK_MS)
        bytes += peer->out.capacity;
    if (peer->kind == PEER_CLIENT)
        bytes += peer->as.client.incoming.kept.capacity;
    else if (peer->kind == PEER_SUBSCRIBER)
        bytes += peer->as.subscriber.prefixes.memory;
    return bytes;
}

static void cut_off(struct front *front, struct peer *peer)
{
    const char *why = "a peer, as all together took more memory than they may, and it most of it";
    if (peer->kind == PEER_SUBSCRIBER)
        count(&front->counts.subscribers_cut, 1);
    else if (peer->kind == PEER_CLIENT)
        count(peer->out.len > 0 ? &front->counts.peers_cut : &front->counts.peers_flooding, 1);
    log_limited(front->logger, &front->cut_limit, front->now_ms, LOG_WARN, "cut off %s", why);
    peer_end(front, peer);
}

/* Those that have most go first, until the rest takes no more than it may. Where nobody has
 * anything that is stuck, it comes free by itself. */
void peers_relieve(struct front *front)
{
    while (budget_is_exceeded(&front->budget)) {
        struct peer *worst = NULL;
        size_t most = BUDGET_SMALL;
        for (struct peer *peer = front->peers; peer != NULL; peer = peer->next) {
            size_t stuck = stuck_memory(front, peer);
            if (stuck > most) {
                most = stuck;
                worst = peer;
            }
        }
        if (worst == NULL)
            return;
        cut_off(front, worst);
    }
}

/* ---- time ---- */

/* Who is not read from cannot be heard, and gets no PONG: it gets a PING now and then, as its own
 * end may give up where it hears nothing. Who does not read cannot answer: TCP knows whether it is
 * there still, and a subscriber may take as long as it likes. */
static void heartbeat(struct front *front, struct peer *peer)
{
    uint64_t interval = (uint64_t)front->config->heartbeat_ms;
    uint64_t timeout = interval + (uint64_t)front->config->heartbeat_timeout_ms;
    unsigned char frame[ZMTP_PING_MAX];
    if (peer->is_waiting || peer->is_blocked)
        peer->heard_ms = front->now_ms;
    if (front->now_ms - peer->heard_ms >= timeout) {
        peer_end(front, peer);
        return;
    }
    bool is_silent =
        front->now_ms - peer->heard_ms >= interval && front->now_ms - peer->pinged_ms >= interval;
    if (!is_silent && !peer->is_waiting)
        return;
    peer->pinged_ms = front->now_ms;
    if (peer->out.len == 0)
        peer_put(front, peer, frame, zmtp_put_ping(frame, 0));
}

/* A client that has too much unread, and does not read. */
static bool is_deaf(const struct front *front, const struct peer *peer)
{
    return peer->kind == PEER_CLIENT && peer->as.client.is_full &&
           front->now_ms - peer->sent_ms >= UNREAD_GRACE_MS;
}

static void release_idle(struct front *front, struct peer *peer)
{
    if (front->now_ms - peer->heard_ms < IDLE_MS)
        return;
    bytes_release_if_empty(&peer->out, 0);
    if (peer->kind == PEER_CLIENT)
        bytes_release_if_empty(&peer->as.client.incoming.kept, 0);
    peer_charge(front, peer);
}

static void tick(struct front *front, struct peer *peer)
{
    peer->taken = 0;
    bool is_open = peer->phase == PEER_OPEN;
    if (!is_open && front->now_ms - peer->began_ms >= (uint64_t)front->config->handshake_ms) {
        peer_end(front, peer);
    } else if (is_deaf(front, peer)) {
        count(&front->counts.peers_cut, 1);
        log_limited(front->logger, &front->cut_limit, front->now_ms, LOG_WARN,
                    "cut off a client that left %zu bytes of replies unread", peer->out.len);
        peer_end(front, peer);
    } else if (is_open && !peer->has_ended) {
        release_idle(front, peer);
        if (peer->kind == PEER_CLIENT) {
            client_was_read(front, peer);
            client_read_ahead(front, peer);
        }
        heartbeat(front, peer);
    }
}

/* malloc keeps what was freed, and in pieces between what is still in use it can be as much again.
 * Where much is in use it goes back to the system once a second, and once more afterwards. */
static void trim(struct front *front)
{
    bool is_much = front->budget.used > front->budget.peers / 8;
    if (front->has_to_trim && front->now_ms - front->trimmed_ms >= TRIM_MS) {
        malloc_trim(0);
        front->trimmed_ms = front->now_ms;
        front->has_to_trim = false;
    }
    front->has_to_trim = front->has_to_trim || is_much;
}

void peers_tick(struct front *front)
{
    struct peer *next;
    for (struct peer *peer = front->peers; peer != NULL; peer = next) {
        next = peer->next;
        tick(front, peer);
    }
    trim(front);
}
