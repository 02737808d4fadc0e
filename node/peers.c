#include "node/peers.h"

#include "node/outstanding.h"

#include <stdlib.h>
#include <sys/socket.h>

#define BUCKETS 4096u       /* a power of two; connections are some hundreds, rarely thousands */
#define GRACE_MS 1000u      /* in which a slow peer has to get on */
#define PROGRESS_SHARE 4u   /* by this share of what it may leave unread */
#define FULL_FACTOR 4u      /* times what a peer may leave unread: wait for it to read */
#define ROUTING_ID_MAX 255u /* ZMTP */

struct peer {
    struct peer *next_in_bucket;
    struct peer *next_slow;
    struct outstanding outstanding;
    int fd; /* -1: gone */
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
    bool is_full;
    struct stats *stats;
    struct logger *logger;
    struct log_limit cut_limit;
};

struct peers *peers_new(size_t max_unread_bytes, struct stats *stats, struct logger *logger)
{
    struct peers *peers = calloc(1, sizeof *peers);
    if (peers == NULL)
        return NULL;
    peers->max_unread = max_unread_bytes;
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
    *link = peer->next_in_bucket;
    if (peer->is_slow)
        remove_slow(peers, peer);
    if (peer->fd >= 0 && (size_t)peer->fd < peers->fd_capacity && peers->by_fd[peer->fd] == peer)
        peers->by_fd[peer->fd] = NULL;
    if (peers->last == peer)
        peers->last = NULL;
    free(peer);
}

void peers_connected(struct peers *peers)
{
    peers->stats->peers++;
}

void peers_disconnected(struct peers *peers, int fd)
{
    if (peers->stats->peers > 0)
        peers->stats->peers--;
    struct peer *peer = fd >= 0 && (size_t)fd < peers->fd_capacity ? peers->by_fd[fd] : NULL;
    if (peer != NULL)
        forget(peers, find(peers, peer->hash, peer->id, peer->id_len));
}

void peers_gone(struct peers *peers, const void *routing_id, size_t routing_id_len)
{
    struct peer **link =
        find(peers, hash_of(routing_id, routing_id_len), routing_id, routing_id_len);
    if (*link != NULL)
        forget(peers, link);
}

static bool index_by_fd(struct peers *peers, struct peer *peer)
{
    if ((size_t)peer->fd >= peers->fd_capacity) {
        size_t capacity = 2 * (size_t)peer->fd + 64;
        struct peer **by_fd = realloc(peers->by_fd, capacity * sizeof(struct peer *));
        if (by_fd == NULL)
            return false;
        memset(by_fd + peers->fd_capacity, 0,
               (capacity - peers->fd_capacity) * sizeof(struct peer *));
        peers->by_fd = by_fd;
        peers->fd_capacity = capacity;
    }
    peers->by_fd[peer->fd] = peer;
    return true;
}

/* NULL: no memory, or the connection has gone: then nobody is watched. */
static struct peer *add(struct peers *peers, uint64_t hash, const void *id, size_t len,
                        zmq_msg_t *request)
{
    int fd = zmq_msg_get(request, ZMQ_SRCFD);
    if (fd < 0 || len > ROUTING_ID_MAX)
        return NULL;
    struct peer *peer = calloc(1, sizeof *peer + len);
    if (peer == NULL)
        return NULL;
    memcpy(peer->id, id, len);
    peer->id_len = len;
    peer->hash = hash;
    peer->fd = fd;
    outstanding_init(&peer->outstanding, fd);
    if (!index_by_fd(peers, peer)) {
        free(peer);
        return NULL;
    }
    struct peer **bucket = &peers->buckets[hash & (BUCKETS - 1)];
    peer->next_in_bucket = *bucket;
    *bucket = peer;
    return peer;
}

void peers_sent(struct peers *peers, const void *routing_id, size_t routing_id_len,
                zmq_msg_t *request, size_t bytes, uint64_t now_ms)
{
    uint64_t hash = hash_of(routing_id, routing_id_len);
    struct peer *peer = peers->last;
    if (peer == NULL || !has_id(peer, hash, routing_id, routing_id_len))
        peer = *find(peers, hash, routing_id, routing_id_len);
    if (peer == NULL)
        peer = add(peers, hash, routing_id, routing_id_len, request);
    peers->last = peer;
    if (peer == NULL)
        return;
    outstanding_sent(&peer->outstanding, bytes);
    if (peer->is_slow || !outstanding_exceeds(&peer->outstanding, peer->fd, peers->max_unread))
        return;
    peer->is_slow = true;
    peer->slow_since_ms = now_ms;
    peer->outstanding.read_then = peer->outstanding.read;
    peer->next_slow = peers->slow;
    peers->slow = peer;
}

/* The descriptor is libzmq's to close: it does so when it sees the end of the connection. */
static void cut_off(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    shutdown(peer->fd, SHUT_RDWR);
    peers->stats->peers_cut++;
    log_limited(peers->logger, &peers->cut_limit, now_ms, LOG_WARN,
                "cut off a client that left over %zu bytes of replies unread", peers->max_unread);
}

void peers_check(struct peers *peers, uint64_t now_ms)
{
    peers->is_full = false;
    struct peer *next;
    for (struct peer *peer = peers->slow; peer != NULL; peer = next) {
        next = peer->next_slow;
        if (!outstanding_exceeds(&peer->outstanding, peer->fd, peers->max_unread)) {
            remove_slow(peers, peer);
            continue;
        }
        uint64_t read = peer->outstanding.read;
        uint64_t unread = peer->outstanding.sent - read;
        if (read - peer->outstanding.read_then >= peers->max_unread / PROGRESS_SHARE) {
            peer->outstanding.read_then = read; /* it reads: it gets as long again */
            peer->slow_since_ms = now_ms;
        } else if (now_ms - peer->slow_since_ms >= GRACE_MS) {
            cut_off(peers, peer, now_ms);
            forget(peers, find(peers, peer->hash, peer->id, peer->id_len));
            continue;
        }
        peers->is_full = peers->is_full || unread > FULL_FACTOR * peers->max_unread;
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
