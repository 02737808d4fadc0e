#include "node/peers.h"

#include "node/outstanding.h"

#include <stdlib.h>
#include <sys/socket.h>

#define BUCKETS 4096u      /* a power of two; connections are some hundreds, rarely thousands */
#define GRACE_MS 1000u     /* in which a slow peer has to get on */
#define IPC_GRACE_MS 3000u /* the same where it is only known when all has been read */
/* A slow peer has to take this share of what it may leave unread; all of it while it holds up
 * everybody. */
#define PROGRESS_SHARE 4u
#define FULL_FACTOR 4u      /* times what a peer may leave unread: wait for it to read */
#define ROUTING_ID_MAX 255u /* ZMTP */

struct peer {
    struct peer *next_in_bucket;
    struct peer *next_slow;
    struct outstanding outstanding;
    bool is_slow;
    uint64_t slow_since_ms;
    uint64_t hash;
    size_t id_len;
    unsigned char id[];
};

struct peers {
    struct peer *buckets[BUCKETS];
    struct peer *slow; /* those that have too much unread */
    struct peer **by_fd;
    size_t fd_capacity;
    struct peer *last; /* who got the last reply: often who gets the next one */
    size_t max_unread;
    int fd_limit;
    bool is_full;
    struct stats *stats;
    struct logger *logger;
    struct log_limit cut_limit;
    struct log_limit refuse_limit;
};

struct peers *peers_new(size_t max_unread_bytes, int fd_limit, struct stats *stats,
                        struct logger *logger)
{
    struct peers *peers = calloc(1, sizeof *peers);
    if (peers == NULL)
        return NULL;
    peers->max_unread = max_unread_bytes;
    peers->fd_limit = fd_limit;
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
            free(peer);
        }
    }
    free((*peers)->by_fd);
    free(*peers);
    *peers = NULL;
}

/* FNV-1a: routing ids are five bytes as a rule. */
static uint64_t hash_of(const unsigned char *id, size_t len)
{
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
}

static void forget(struct peers *peers, struct peer **link)
{
    struct peer *peer = *link;
    assert(peer != NULL);
    *link = peer->next_in_bucket;
    if (peer->is_slow)
        remove_slow(peers, peer);
    peers->by_fd[peer->outstanding.fd] = NULL;
    if (peers->last == peer)
        peers->last = NULL;
    free(peer);
}

void peers_connected(struct peers *peers, int fd, uint64_t now_ms)
{
    peers->stats->peers++;
    if (fd < peers->fd_limit)
        return;
    shutdown(fd, SHUT_RDWR);
    log_limited(peers->logger, &peers->refuse_limit, now_ms, LOG_WARN,
                "refused a connection: %d descriptors are in use", fd);
}

static struct peer *peer_of_fd(const struct peers *peers, int fd)
{
    return fd >= 0 && (size_t)fd < peers->fd_capacity ? peers->by_fd[fd] : NULL;
}

void peers_disconnected(struct peers *peers, int fd)
{
    if (peers->stats->peers > 0)
        peers->stats->peers--;
    peers_gone(peers, peer_of_fd(peers, fd));
}

void peers_gone(struct peers *peers, struct peer *peer)
{
    if (peer != NULL)
        forget(peers, find(peers, peer->hash, peer->id, peer->id_len));
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

static struct peer *add(struct peers *peers, uint64_t hash, const void *id, size_t len,
                        zmq_msg_t *frame)
{
    int fd = zmq_msg_get(frame, ZMQ_SRCFD);
    if (fd < 0 || len > ROUTING_ID_MAX || !make_room_for_fd(peers, fd))
        return NULL;
    struct peer *peer = calloc(1, sizeof *peer + len);
    if (peer == NULL)
        return NULL;
    memcpy(peer->id, id, len);
    peer->id_len = len;
    peer->hash = hash;
    outstanding_init(&peer->outstanding, fd);
    peers_gone(peers, peer_of_fd(peers, fd)); /* its end was not reported yet */
    peers->by_fd[fd] = peer;
    struct peer **bucket = &peers->buckets[hash & (BUCKETS - 1)];
    peer->next_in_bucket = *bucket;
    *bucket = peer;
    return peer;
}

struct peer *peers_find(struct peers *peers, const void *routing_id, size_t routing_id_len,
                        zmq_msg_t *frame)
{
    uint64_t hash = hash_of(routing_id, routing_id_len);
    struct peer *peer = peers->last;
    if (peer == NULL || !has_id(peer, hash, routing_id, routing_id_len))
        peer = *find(peers, hash, routing_id, routing_id_len);
    if (peer == NULL)
        peer = add(peers, hash, routing_id, routing_id_len, frame);
    peers->last = peer;
    return peer;
}

void peers_sent(struct peers *peers, struct peer *peer, size_t bytes, uint64_t now_ms)
{
    if (peer == NULL)
        return;
    outstanding_sent(&peer->outstanding, bytes);
    if (peer->is_slow || !outstanding_exceeds(&peer->outstanding, peers->max_unread))
        return;
    outstanding_progress(&peer->outstanding, 0); /* what it takes from now on counts */
    peer->is_slow = true;
    peer->slow_since_ms = now_ms;
    peer->next_slow = peers->slow;
    peers->slow = peer;
}

/* The descriptor is libzmq's to close: it does so when it sees the end of the connection. */
static void cut_off(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    shutdown(peer->outstanding.fd, SHUT_RDWR);
    peers->stats->peers_cut++;
    log_limited(peers->logger, &peers->cut_limit, now_ms, LOG_WARN,
                "cut off a client that left over %zu bytes of replies unread", peers->max_unread);
}

/* False: it was cut off. */
static bool check_slow(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    if (!outstanding_exceeds(&peer->outstanding, peers->max_unread)) {
        remove_slow(peers, peer);
        return true;
    }
    bool is_counted = peer->outstanding.is_counted;
    size_t full_at = is_counted ? FULL_FACTOR * peers->max_unread : peers->max_unread;
    bool is_full = outstanding_bytes(&peer->outstanding) > full_at;
    size_t wanted = is_full ? peers->max_unread : peers->max_unread / PROGRESS_SHARE;
    uint64_t grace = is_counted ? GRACE_MS : IPC_GRACE_MS;
    if (outstanding_progress(&peer->outstanding, wanted)) {
        peer->slow_since_ms = now_ms; /* it reads: it gets as long again */
    } else if (now_ms - peer->slow_since_ms >= grace) {
        cut_off(peers, peer, now_ms);
        return false;
    }
    peers->is_full = peers->is_full || is_full;
    return true;
}

void peers_check(struct peers *peers, uint64_t now_ms)
{
    peers->is_full = false;
    struct peer *next;
    for (struct peer *peer = peers->slow; peer != NULL; peer = next) {
        next = peer->next_slow;
        if (!check_slow(peers, peer, now_ms))
            peers_gone(peers, peer);
    }
}

bool peers_are_slow(const struct peers *peers)
{
    return peers->slow != NULL;
}

bool peers_are_full(const struct peers *peers)
{
    return peers->is_full;
}
