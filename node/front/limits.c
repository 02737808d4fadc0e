/* Limits of time and of memory: what happens to those that are too slow, or have too much. */
#include "node/front/inside.h"

#include <malloc.h>

#define IDLE_MS 1000u /* after which empty buffers are given back */
#define UNREAD_GRACE_MS                                                                            \
    12000u /* in which a client with too much unread has to read something, ... */
#define READER_GRACE_MS 30000u /* ... and one that has read before: it may be busy with that */
#define TRIM_MS 1000u          /* between two times that malloc gives free memory back */
#define TURN_SILENT_MS 300u    /* in which something of a message has to come */
#define TURN_MAX_MS 5000u      /* in which it has to end */
#define HELD_PING_MS 200u      /* between two PINGs to who is not read from */
#define RELIEVE_MS 10u /* until the next look for somebody to cut off, where there was none */
#define STUCK_MS 250u  /* after which replies that nobody reads count as stuck */

/* ---- memory ---- */

static bool reads_nothing(const struct front *front, const struct peer *peer)
{
    return peer->out.len > 0 && front->now_ms - peer->sent_ms >= STUCK_MS;
}

/* Requests of a client that wait until it reads. Others are answered. */
static size_t stuck_requests(const struct front *front, const struct peer *peer)
{
    bool is_stuck =
        peer->kind == PEER_CLIENT && peer->as.client.is_full && reads_nothing(front, peer);
    return is_stuck ? peer->as.client.unanswered_cost : 0;
}

/* What only the peer could release: the rest of a message, its subscriptions, replies that it does
 * not read, and what waits behind these. */
static size_t stuck_memory(const struct front *front, const struct peer *peer)
{
    size_t requests = stuck_requests(front, peer);
    size_t bytes = peer->content.capacity + requests;
    if (requests > 0)
        bytes += peer->unparsed.capacity;
    if (reads_nothing(front, peer))
        bytes += peer->out.capacity;
    if (peer->kind == PEER_CLIENT)
        bytes += peer->as.client.incoming.kept.capacity;
    else if (peer->kind == PEER_SUBSCRIBER)
        bytes += peer->as.subscriber.prefixes.memory;
    return bytes;
}

static void cut_off(struct front *front, struct peer *peer, const char *why)
{
    if (peer->kind == PEER_SUBSCRIBER)
        count(&front->counts.subscribers_cut, 1);
    else if (peer->kind == PEER_CLIENT)
        count(peer->out.len > 0 ? &front->counts.peers_cut : &front->counts.peers_flooding, 1);
    log_limited(front->logger, &front->cut_limit, front->now_ms, LOG_WARN, "cut off %s", why);
    peer_end(front, peer);
}

typedef size_t stuck_part(const struct front *front, const struct peer *peer);
typedef bool budget_test(const struct budget *budget);

static size_t most_stuck(const struct front *front, stuck_part *stuck_of)
{
    size_t most = 0;
    for (const struct peer *peer = LIST_FIRST(&front->peers); peer != NULL;
         peer = LIST_NEXT(peer, in_peers)) {
        size_t stuck = stuck_of(front, peer);
        if (stuck > most)
            most = stuck;
    }
    return most;
}

/* Those that have most of it go first, until the rest is not too much. Where nobody has more than a
 * small part stuck, it comes free by itself. */
static void relieve(struct front *front, budget_test *is_too_much, stuck_part *stuck_of)
{
    struct peer *next;
    while (is_too_much(&front->budget)) {
        size_t most = most_stuck(front, stuck_of);
        if (most <= front->budget.small) {
            front->relieve_ms = front->now_ms + RELIEVE_MS;
            return;
        }
        for (struct peer *peer = LIST_FIRST(&front->peers); peer != NULL; peer = next) {
            next = LIST_NEXT(peer, in_peers);
            if (is_too_much(&front->budget) && stuck_of(front, peer) > most / 2)
                cut_off(front, peer, "a peer, as all took more memory than they may, and it most");
        }
    }
}

void peers_relieve(struct front *front)
{
    if (front->now_ms < front->relieve_ms)
        return;
    relieve(front, budget_is_exceeded, stuck_memory);
    relieve(front, budget_requests_are_exceeded, stuck_requests);
}

/* ---- time ---- */

/* Who is not read from cannot be heard, and gets no PONG: it gets a PING often enough, as its own
 * end may give up where it hears nothing. Who does not read cannot answer: TCP knows whether it is
 * there still, and a subscriber may take as long as it likes. Nor need one answer that waits for
 * replies: clients of ZMTP 3.0 know no PING, and have nothing else to say meanwhile. */
static void heartbeat(struct front *front, struct peer *peer)
{
    uint64_t interval = (uint64_t)front->config->heartbeat_ms;
    uint64_t timeout = interval + (uint64_t)front->config->heartbeat_timeout_ms;
    unsigned char frame[ZMTP_PING_MAX];
    bool is_owed = peer->kind == PEER_CLIENT && peer->as.client.unanswered > 0;
    if (peer->is_waiting || peer->is_blocked || is_owed)
        peer->heard_ms = front->now_ms;
    if (front->now_ms - peer->heard_ms >= timeout) {
        peer_end(front, peer);
        return;
    }
    uint64_t since_ping = front->now_ms - peer->pinged_ms;
    bool is_silent = front->now_ms - peer->heard_ms >= interval && since_ping >= interval;
    if (!is_silent && !(peer->is_waiting && since_ping >= HELD_PING_MS))
        return;
    peer->pinged_ms = front->now_ms;
    if (peer->out.len == 0)
        peer_put(front, peer, frame, zmtp_put_ping(frame, 0));
}

/* A client that has too much unread, and does not read. libzmq's own ones take 1,000 replies ahead,
 * and then nothing until the program has worked off half of them. */
static bool is_deaf(const struct front *front, const struct peer *peer)
{
    bool has_read = peer->sent > (uint64_t)front->config->max_unread_mib << 20;
    return peer->kind == PEER_CLIENT && peer->as.client.is_full &&
           front->now_ms - peer->sent_ms >= (has_read ? READER_GRACE_MS : UNREAD_GRACE_MS);
}

static void release_idle(struct front *front, struct peer *peer)
{
    if (front->now_ms - peer->heard_ms < IDLE_MS)
        return;
    peer_release_empty(peer);
    peer_charge(front, peer);
}

/* Whether it had a turn, and its message did not get on though there was need for its room. */
static bool is_over_its_turn(struct front *front, struct peer *peer)
{
    if (!client_has_turn(peer))
        return false;
    uint64_t began_ms = peer->as.client.turn_began_ms;
    uint64_t got_on_ms = peer->heard_ms > began_ms ? peer->heard_ms : began_ms;
    if (front->now_ms - got_on_ms < TURN_SILENT_MS && front->now_ms - began_ms < TURN_MAX_MS)
        return false;
    client_end_turn(front, peer);
    return budget_is_crowded(&front->budget);
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
    } else if (is_over_its_turn(front, peer)) {
        cut_off(front, peer, "a client that did not end its message, where memory is short");
    } else if (is_open && !peer->has_ended) {
        release_idle(front, peer);
        if (peer->kind == PEER_CLIENT) {
            client_was_read(front, peer);
            client_read_ahead(front, peer);
            if (peer_is_over_its_share(front, peer))
                client_take_turn(front, peer);
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
    budget_split(&front->budget, front->connections);
    for (struct peer *peer = LIST_FIRST(&front->peers); peer != NULL; peer = next) {
        next = LIST_NEXT(peer, in_peers);
        peer_charge(front, peer);
        tick(front, peer);
    }
    trim(front);
    log_rest(front->logger, &front->cut_limit, front->now_ms, false);
    log_rest(front->logger, &front->refused_limit, front->now_ms, false);
}
