/* Upstream nodes: we connect to each, and again whenever the connection ends, subscribe to
 * BatchQuantityChanged, and give what comes to the node (rule 11, external events). */
#include "node/front/inside.h"
#include "node/front/lookup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define TOPIC "BatchQuantityChanged/"
#define RECONNECT_MS 100u /* as libzmq's ZMQ_RECONNECT_IVL */
#define FRAMES 2u         /* of an event: its topic and its body */

struct feed {
    const char *endpoint;
    struct address_name name; /* of a tcp endpoint */
    bool is_local;            /* ipc: nothing is to be looked up */
    struct peer *peer;        /* NULL: not connected */
    uint64_t try_ms;          /* when to connect the next time */
    unsigned tries;        /* since it was connected: other addresses of a name have their turn */
    struct lookup *lookup; /* of its name, while that is under way */
    bool is_up;            /* subscribed to */
    bool is_told;          /* that it is not */
    struct log_limit limit;
};

struct feed *feeds_new(const struct config *config)
{
    struct feed *feeds = calloc(config->upstream.count, sizeof *feeds);
    for (size_t i = 0; feeds != NULL && i < config->upstream.count; i++) {
        feeds[i].endpoint = config->upstream.items[i];
        feeds[i].is_local = !address_name(feeds[i].endpoint, &feeds[i].name);
    }
    return feeds;
}

void feeds_destroy(struct front *front)
{
    for (size_t i = 0; front->feeds != NULL && i < front->feed_count; i++)
        lookup_destroy(&front->feeds[i].lookup);
    free(front->feeds);
    front->feeds = NULL;
    front->feed_count = 0;
}

/* ---- connecting ---- */

/* That an upstream node cannot be reached, or has gone, is told once, until it is there. */
static void tell_down(struct front *front, struct feed *feed)
{
    if (!feed->is_told)
        log_limited(front->logger, &feed->limit, front->now_ms, LOG_WARN, "upstream %s %s",
                    feed->endpoint, feed->is_up ? "has ended the connection" : "cannot be reached");
    feed->is_told = true;
    feed->is_up = false;
}

static void tell_up(struct front *front, struct feed *feed)
{
    log_limited(front->logger, &feed->limit, front->now_ms, LOG_INFO, "upstream %s is connected",
                feed->endpoint);
    feed->is_up = true;
    feed->is_told = false;
}

static void try_later(struct front *front, struct feed *feed)
{
    if (!front->has_stopped_reading)
        tell_down(front, feed);
    feed->try_ms = front->now_ms + RECONNECT_MS;
    feed->tries++;
}

static void connect_to(struct front *front, struct feed *feed, const struct address *address)
{
    int fd = socket(address->as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        try_later(front, feed);
        return;
    }
    listener_prepare(fd);
    if (connect(fd, &address->as.any, address->len) != 0 && errno != EINPROGRESS) {
        close(fd);
        try_later(front, feed);
        return;
    }
    feed->peer = peer_new(front, PEER_FEED, fd, PEER_CONNECTING);
    if (feed->peer == NULL)
        try_later(front, feed);
    else
        feed->peer->as.feeding.feed = feed;
}

/* The addresses of a name have their turns. */
static void take_lookup(struct front *front, struct feed *feed)
{
    struct address address;
    if (!lookup_is_done(feed->lookup))
        return;
    bool found = lookup_address(feed->lookup, feed->tries, &address);
    lookup_destroy(&feed->lookup);
    if (found)
        connect_to(front, feed, &address);
    else
        try_later(front, feed);
}

static void start(struct front *front, struct feed *feed)
{
    struct address address;
    if (feed->is_local) {
        address_of_path(feed->endpoint, &address);
        connect_to(front, feed, &address);
    } else if (address_of_numbers(&feed->name, &address)) {
        connect_to(front, feed, &address);
    } else {
        feed->lookup = lookup_start(&feed->name);
        if (feed->lookup == NULL)
            try_later(front, feed);
    }
}

static void look_at(struct front *front, struct feed *feed)
{
    if (feed->lookup != NULL)
        take_lookup(front, feed);
    else if (feed->peer == NULL && front->now_ms >= feed->try_ms && !front->has_stopped_reading)
        start(front, feed);
}

void feeds_tick(struct front *front)
{
    for (size_t i = 0; i < front->feed_count; i++) {
        look_at(front, &front->feeds[i]);
        log_rest(front->logger, &front->feeds[i].limit, front->now_ms, false);
    }
}

/* The socket is connected: greet. */
static void greet(struct front *front, struct peer *peer)
{
    unsigned char greeting[ZMTP_GREETING_BYTES];
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        peer_end(front, peer);
        return;
    }
    peer->phase = PEER_GREETING;
    peer_put(front, peer, greeting, zmtp_put_greeting(greeting));
}

/* The handshake is over: subscribe. */
static void subscribe(struct front *front, struct peer *peer)
{
    unsigned char frame[ZMTP_HEADER_MAX + 1 + sizeof TOPIC];
    size_t header = zmtp_put_header(frame, 0, 1 + strlen(TOPIC));
    frame[header] = 1;
    memcpy(frame + header + 1, TOPIC, strlen(TOPIC));
    peer->as.feeding.feed->tries = 0;
    tell_up(front, peer->as.feeding.feed);
    peer_put(front, peer, frame, header + 1 + strlen(TOPIC));
}

void feed_connected(struct front *front, struct peer *peer)
{
    if (peer->phase == PEER_CONNECTING)
        greet(front, peer);
    else
        subscribe(front, peer);
}

void feed_gone(struct front *front, struct peer *peer)
{
    struct feed *feed = peer->as.feeding.feed;
    feed->peer = NULL;
    try_later(front, feed);
}

/* ---- messages ---- */

/* One that was no good is told as an empty one, to be counted. */
bool feed_hand_over(struct front *front, struct peer *peer)
{
    struct feeding *feeding = &peer->as.feeding;
    if (!feeding->is_whole)
        return true;
    struct inner *queue = &front->queues[QUEUE_UPSTREAM].inner;
    size_t len = feeding->is_good ? peer->content.len : 0;
    if (!inner_send_bytes(queue, bytes_front(&peer->content), len, true))
        return false;
    feeding->is_whole = false;
    bytes_clear(&peer->content);
    return true;
}

bool feed_must_wait(struct front *front, struct peer *peer)
{
    return front->has_stopped_reading || !feed_hand_over(front, peer);
}

bool feed_frame(struct front *front, struct peer *peer, unsigned flags, size_t size)
{
    (void)front;
    struct feeding *feeding = &peer->as.feeding;
    if (feeding->frames++ == 0)
        feeding->is_good = true;
    bool is_body = feeding->frames == FRAMES;
    if (is_body != ((flags & ZMTP_MORE) == 0) || (is_body && size > REQUEST_MAX_BYTES))
        feeding->is_good = false;
    return true;
}

bool feed_content(struct front *front, struct peer *peer, struct text content, bool ends)
{
    struct feeding *feeding = &peer->as.feeding;
    if (feeding->frames == FRAMES && feeding->is_good && content.len > 0 &&
        !bytes_append(&peer->content, content.data, content.len))
        return false;
    if (!ends || !peer->is_last_frame)
        return true;
    feeding->is_good = feeding->is_good && feeding->frames == FRAMES;
    feeding->frames = 0;
    feeding->is_whole = true;
    feed_hand_over(front, peer); /* else it is tried again before anything more is read */
    return true;
}
