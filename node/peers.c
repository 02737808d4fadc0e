#include "node/peers.h"

#include <stdlib.h>

#define BUCKETS 4096u      /* a power of two; connections are some hundreds, rarely thousands */
#define GRACE_MS 1000u     /* in which a slow peer has to get on */
#define IPC_GRACE_MS 3000u /* the same where it is only known when all has been read */
#define PROGRESS_SHARE 4u  /* of what it may leave unread a slow peer has to take meanwhile */
#define SUM_FACTOR 3u      /* times what one may leave unread, all together may, ... */
#define CROWD_SHARE 64u    /* ... and this share of it each, while they have more */
#define REPLY_COST 200u    /* bytes that libzmq takes for a reply beyond its own */
#define CUT_MAX 64u        /* peers that are remembered after they were cut off */
/* A routing id by libzmq is a 0 and a number that never comes again. */
#define GIVEN_ID_BYTES 5u

struct peer {
    struct peer *next_in_bucket;
    struct peer *next_slow;
    struct peer *next_resumed;
    struct parked parked;       /* while it is slow, and until all is served after that */
    struct gate_counts *counts; /* of its connection */
    struct outstanding outstanding;
    uint64_t replies; /* that were sent */
    bool is_slow;     /* its connection is held */
    bool is_resumed;
    uint64_t slow_since_ms;
    uint64_t hash;
    size_t id_len;
    unsigned char id[];
};

struct peers {
    struct peer *buckets[BUCKETS];
    struct peer *slow;    /* those that have too much unread */
    struct peer *resumed; /* those that had, and whose parked messages may be served */
    struct peer **by_fd;
    size_t fd_capacity;
    struct peer *last; /* who got the last reply: often who gets the next one */
    size_t max_unread;
    size_t limit; /* that, or less in a crowd */
    uint64_t sum; /* memory of what all have left unread, or more than that */
    uint64_t summed_ms;
    struct guard *guard;
    struct stats *stats;
    struct logger *logger;
    struct log_limit cut_limit;
    uint64_t cut[CUT_MAX]; /* hashes of their routing ids; 0: none */
    size_t cut_next;
};

struct peers *peers_new(size_t max_unread_bytes, struct guard *guard, struct stats *stats,
                        struct logger *logger)
{
    struct peers *peers = calloc(1, sizeof *peers);
    if (peers == NULL)
        return NULL;
    peers->max_unread = peers->limit = max_unread_bytes;
    peers->guard = guard;
    peers->stats = stats;
    peers->logger = logger;
    return peers;
}

void peers_destroy(struct peers **peers)
{
    if (*peers == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while ((*peers)->buckets[i] != NULL) {
            struct peer *peer = (*peers)->buckets[i];
            (*peers)->buckets[i] = peer->next_in_bucket;
            parked_clear(&peer->parked);
            free(peer);
        }
    }
    free((*peers)->by_fd);
    free(*peers);
    *peers = NULL;
}

/* FNV-1a: routing ids are five bytes as a rule. */
static uint64_t hash_of(const void *routing_id, size_t len)
{
    const unsigned char *id = routing_id;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ id[i]) * 0x100000001b3u;
    return hash;
}

static bool has_id(const struct peer *peer, uint64_t hash, const void *id, size_t len)
{
    return peer->hash == hash && peer->id_len == len && memcmp(peer->id, id, len) == 0;
}

static struct peer **find(struct peers *peers, uint64_t hash, const void *id, size_t len)
{
    struct peer **link = &peers->buckets[hash & (BUCKETS - 1)];
    while (*link != NULL && !has_id(*link, hash, id, len))
        link = &(*link)->next_in_bucket;
    return link;
}

static void remove_slow(struct peers *peers, struct peer *peer)
{
    struct peer **link = &peers->slow;
    while (*link != peer)
        link = &(*link)->next_slow;
    *link = peer->next_slow;
    peer->is_slow = false;
    gate_hold(peer->outstanding.fd, false);
}

static void remove_resumed(struct peers *peers, struct peer *peer)
{
    struct peer **link = &peers->resumed;
    while (*link != peer)
        link = &(*link)->next_resumed;
    *link = peer->next_resumed;
    peer->is_resumed = false;
}

static void add_resumed(struct peers *peers, struct peer *peer)
{
    if (peer->is_resumed || parked_is_empty(&peer->parked))
        return;
    peer->is_resumed = true;
    peer->next_resumed = peers->resumed;
    peers->resumed = peer;
}

static void forget(struct peers *peers, struct peer **link)
{
    struct peer *peer = *link;
    assert(peer != NULL);
    *link = peer->next_in_bucket;
    if (peer->is_slow)
        remove_slow(peers, peer);
    if (peer->is_resumed)
        remove_resumed(peers, peer);
    peers->stats->requests_dropped += parked_clear(&peer->parked);
    peers->by_fd[peer->outstanding.fd] = NULL;
    if (peers->last == peer)
        peers->last = NULL;
    free(peer);
}

static struct peer *peer_of_fd(const struct peers *peers, int fd)
{
    return fd >= 0 && (size_t)fd < peers->fd_capacity ? peers->by_fd[fd] : NULL;
}

static void gone(struct peers *peers, struct peer *peer)
{
    if (peer != NULL)
        forget(peers, find(peers, peer->hash, peer->id, peer->id_len));
}

void peers_disconnected(struct peers *peers, int fd)
{
    gone(peers, peer_of_fd(peers, fd));
}

static bool make_room_for_fd(struct peers *peers, int fd)
{
    if ((size_t)fd < peers->fd_capacity)
        return true;
    size_t capacity = 2 * (size_t)fd + 64;
    struct peer **by_fd = realloc(peers->by_fd, capacity * sizeof(struct peer *));
    if (by_fd == NULL)
        return false;
    memset(by_fd + peers->fd_capacity, 0, (capacity - peers->fd_capacity) * sizeof(struct peer *));
    peers->by_fd = by_fd;
    peers->fd_capacity = capacity;
    return true;
}

static struct peer *find_peer(struct peers *peers, struct text id)
{
    uint64_t hash = hash_of(id.data, id.len);
    struct peer *peer = peers->last;
    if (peer == NULL || !has_id(peer, hash, id.data, id.len))
        peer = *find(peers, hash, id.data, id.len);
    peers->last = peer;
    return peer;
}

static bool was_cut_off(const struct peers *peers, struct text id)
{
    uint64_t hash = hash_of(id.data, id.len);
    for (size_t i = 0; i < CUT_MAX; i++)
        if (peers->cut[i] == hash)
            return true;
    return false;
}

enum arrival peers_received(struct peers *peers, zmq_msg_t *frames, const struct message_size *size,
                            bool is_request)
{
    struct text routing_id = {zmq_msg_data(&frames[0]), zmq_msg_size(&frames[0])};
    struct peer *peer = find_peer(peers, routing_id);
    if (peer == NULL) {
        /* If it has gone, another connection may have its descriptor and is credited with these
         * bytes: they are few, and the next look evens it out. */
        int fd = zmq_msg_get(&frames[1], ZMQ_SRCFD);
        gate_deliver(fd, gate_counts(fd), size->bytes);
        return is_request && !was_cut_off(peers, routing_id) ? ARRIVAL_TAKEN : ARRIVAL_LEFT_OVER;
    }
    /* What is parked takes memory still: the guard counts it as what was not delivered. Without
     * memory for it the peer gets its reply at once. */
    if (is_request && (peer->is_slow || !parked_is_empty(&peer->parked)) &&
        parked_add(&peer->parked, frames, size))
        return ARRIVAL_PARKED;
    gate_deliver(peer->outstanding.fd, peer->counts, size->bytes);
    return is_request ? ARRIVAL_TAKEN : ARRIVAL_LEFT_OVER;
}

bool peers_next_parked(struct peers *peers, zmq_msg_t *frames, struct message_size *size)
{
    while (peers->resumed != NULL) {
        struct peer *peer = peers->resumed;
        if (peer->is_slow || parked_is_empty(&peer->parked)) {
            remove_resumed(peers, peer);
            continue;
        }
        parked_take(&peer->parked, frames, size);
        gate_deliver(peer->outstanding.fd, peer->counts, size->bytes);
        return true;
    }
    return false;
}

void peers_recipient(struct peers *peers, struct text routing_id, zmq_msg_t *frame,
                     struct recipient *out)
{
    out->peer = find_peer(peers, routing_id);
    if (out->peer != NULL)
        return;
    assert(routing_id.len <= ROUTING_ID_MAX);
    outstanding_init(&out->outstanding, zmq_msg_get(frame, ZMQ_SRCFD));
    out->id_len = routing_id.len;
    memcpy(out->id, routing_id.data, routing_id.len);
}

/* NULL: it is not known where it is, or there is no memory; then nobody is watched. What was
 * reached is alive: if its descriptor is somebody's, that one has gone, and its end was not
 * reported yet. */
static struct peer *add(struct peers *peers, const struct recipient *recipient)
{
    int fd = recipient->outstanding.fd;
    if (fd < 0 || !make_room_for_fd(peers, fd))
        return NULL;
    struct peer *peer = calloc(1, sizeof *peer + recipient->id_len);
    if (peer == NULL)
        return NULL;
    memcpy(peer->id, recipient->id, recipient->id_len);
    peer->id_len = recipient->id_len;
    peer->hash = hash_of(peer->id, peer->id_len);
    peer->outstanding = recipient->outstanding;
    peer->counts = gate_counts(fd);
    gone(peers, peer_of_fd(peers, fd));
    peers->by_fd[fd] = peer;
    struct peer **bucket = &peers->buckets[peer->hash & (BUCKETS - 1)];
    peer->next_in_bucket = *bucket;
    *bucket = peer;
    return peer;
}

void peers_unreachable(struct peers *peers, const struct recipient *recipient)
{
    gone(peers, recipient->peer);
}

/* Nothing more for it until it has read. */
static void hold(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    outstanding_progress(&peer->outstanding, 0); /* what it takes from now on counts */
    peer->is_slow = true;
    peer->slow_since_ms = now_ms;
    peer->next_slow = peers->slow;
    peers->slow = peer;
    gate_hold(peer->outstanding.fd, true);
}

/* It is not known how many replies that are: as large ones as all of it, on average. */
static uint64_t memory_of_unread(const struct peer *peer)
{
    double unread = (double)outstanding_bytes(&peer->outstanding);
    double replies = unread / (double)(peer->outstanding.sent + 1) * (double)peer->replies;
    return (uint64_t)(unread + replies * REPLY_COST);
}

/* Asks the kernel how much all have left unread. Each alone may be within its limit; many together
 * would take all memory, and then each gets a small one. */
static void sum_up(struct peers *peers, uint64_t now_ms)
{
    if (now_ms - peers->summed_ms < PEERS_CHECK_MS)
        return;
    peers->summed_ms = now_ms;
    peers->sum = 0;
    for (size_t fd = 0; fd < peers->fd_capacity; fd++) {
        struct peer *peer = peers->by_fd[fd];
        if (peer == NULL)
            continue;
        outstanding_exceeds(&peer->outstanding, 0);
        peers->sum += memory_of_unread(peer);
    }
    bool is_crowded = peers->sum > SUM_FACTOR * peers->max_unread;
    peers->limit = is_crowded ? peers->max_unread / CROWD_SHARE : peers->max_unread;
    for (size_t fd = 0; is_crowded && fd < peers->fd_capacity; fd++) {
        struct peer *peer = peers->by_fd[fd];
        if (peer != NULL && !peer->is_slow && outstanding_bytes(&peer->outstanding) > peers->limit)
            hold(peers, peer, now_ms);
    }
}

void peers_sent(struct peers *peers, const struct recipient *recipient, size_t bytes,
                uint64_t now_ms)
{
    struct peer *peer = recipient->peer != NULL ? recipient->peer : add(peers, recipient);
    if (peer == NULL)
        return;
    outstanding_sent(&peer->outstanding, bytes);
    peer->replies++;
    peers->sum += bytes + REPLY_COST;
    if (!peer->is_slow && outstanding_exceeds(&peer->outstanding, peers->limit))
        hold(peers, peer, now_ms);
    if (peers->sum > SUM_FACTOR * peers->max_unread)
        sum_up(peers, now_ms);
}

static void cut_off(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    guard_cut_off(peers->guard, peer->outstanding.fd);
    if (peer->id_len == GIVEN_ID_BYTES && peer->id[0] == 0)
        peers->cut[peers->cut_next++ % CUT_MAX] = peer->hash;
    peers->stats->peers_cut++;
    log_limited(peers->logger, &peers->cut_limit, now_ms, LOG_WARN,
                "cut off a client that left over %zu bytes of replies unread", peers->max_unread);
}

/* False: it was cut off. */
static bool check_slow(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    struct outstanding *outstanding = &peer->outstanding;
    if (!outstanding_exceeds(outstanding, peers->limit)) {
        remove_slow(peers, peer);
        add_resumed(peers, peer);
        return true;
    }
    uint64_t grace = outstanding->is_counted ? GRACE_MS : IPC_GRACE_MS;
    bool reads = outstanding_progress(outstanding, peers->max_unread / PROGRESS_SHARE);
    if (reads || outstanding_bytes(outstanding) <= peers->max_unread) {
        /* It gets as long again; who does not read is held for the crowd, not for what it has. */
        peer->slow_since_ms = now_ms;
    } else if (now_ms - peer->slow_since_ms >= grace) {
        cut_off(peers, peer, now_ms);
        return false;
    }
    return true;
}

void peers_check(struct peers *peers, uint64_t now_ms)
{
    if (peers->limit < peers->max_unread)
        sum_up(peers, now_ms);
    struct peer *next;
    for (struct peer *peer = peers->slow; peer != NULL; peer = next) {
        next = peer->next_slow;
        if (!check_slow(peers, peer, now_ms))
            gone(peers, peer);
    }
}

bool peers_are_slow(const struct peers *peers)
{
    return peers->slow != NULL;
}

bool peers_have_parked(const struct peers *peers)
{
    return peers->resumed != NULL;
}
