/* Subscribers of the event socket: what they ask for, and the events that they get. */
#include "node/front/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define EVENTS_PER_TURN 4096u /* taken from the node */

/* Of one subscriber, each time that it is served. Events that follow each other in the backlog are
 * sent as one run. */
#define RUNS_MAX 64u
#define RUN_BYTES_MAX ((size_t)256 * 1024)
#define LOOKED_AT_MAX 2048u /* events, sent or not */

/* Looking at so many of a subscriber's prefixes takes about as long as anything else that a
 * subscription costs. */
#define PREFIXES_PER_EFFORT 16u

/* Each Welcome goes to all that ever subscribed to it, which takes its time. */
#define WELCOME_INTERVAL_MS 10u
#define SUBSCRIBERS_PER_MS 50u

/* ---- subscriptions ---- */

bool subscriber_must_wait(const struct front *front, const struct peer *peer)
{
    return front->effort_left == 0 || front->has_stopped_reading ||
           peer_is_over_its_share(front, peer);
}

static void spend_effort(struct front *front, const struct subscriber *subscriber)
{
    size_t effort = 1 + subscriber->prefixes.count / PREFIXES_PER_EFFORT;
    front->effort_left -= effort < front->effort_left ? (unsigned)effort : front->effort_left;
}

/* Whether anybody listens, for front_is_heard. */
static void listeners_changed(struct front *front)
{
    atomic_store_explicit(&front->is_heard, front->subscriber_count > 0, memory_order_relaxed);
    subscribers_look_again(front);
}

static bool begin_listening(struct front *front, struct peer *peer)
{
    if (front->subscriber_count == front->subscriber_capacity) {
        size_t capacity = front->subscriber_capacity == 0 ? 64 : 2 * front->subscriber_capacity;
        struct peer **grown = realloc(front->subscribers, capacity * sizeof(struct peer *));
        if (grown == NULL)
            return false;
        front->subscribers = grown;
        front->subscriber_capacity = capacity;
    }
    struct subscriber *subscriber = &peer->as.subscriber;
    subscriber->is_listening = true;
    subscriber->at = front->subscriber_count;
    subscriber->place = backlog_end(front->backlog);
    front->subscribers[front->subscriber_count++] = peer;
    listeners_changed(front);
    return true;
}

static void end_listening(struct front *front, struct peer *peer)
{
    struct subscriber *subscriber = &peer->as.subscriber;
    if (!subscriber->is_listening)
        return;
    subscriber->is_listening = false;
    struct peer *last = front->subscribers[--front->subscriber_count];
    front->subscribers[subscriber->at] = last;
    last->as.subscriber.at = subscriber->at;
    listeners_changed(front);
}

static bool cut_off(struct front *front)
{
    count(&front->counts.subscribers_cut, 1);
    log_limited(front->logger, &front->cut_limit, front->now_ms, LOG_WARN,
                "cut off a subscriber for its subscriptions");
    return false;
}

/* False: no memory, or it has more than it may. */
static bool subscribe(struct front *front, struct peer *peer, struct text prefix)
{
    struct subscriber *subscriber = &peer->as.subscriber;
    spend_effort(front, subscriber);
    if (prefixes_add(&subscriber->prefixes, prefix) == PREFIX_NO_MEMORY ||
        (!subscriber->is_listening && !begin_listening(front, peer)))
        return false;
    if (subscriber->prefixes.memory > (size_t)front->config->max_subscription_kib * 1024)
        return cut_off(front);
    peer_charge(front, peer); /* a read may bring many */
    if (text_equal(prefix, text_of(TOPIC_WELCOME)))
        front->wants_welcome = true;
    return true;
}

static void unsubscribe(struct front *front, struct peer *peer, struct text prefix)
{
    struct subscriber *subscriber = &peer->as.subscriber;
    spend_effort(front, subscriber);
    prefixes_remove(&subscriber->prefixes, prefix);
    if (subscriber->prefixes.count == 0)
        end_listening(front, peer);
}

/* No topic begins with a longer prefix. */
static bool may_be_topic(size_t len)
{
    return len <= TOPIC_MAX_BYTES;
}

/* A subscription is a message of one frame, 1 and the prefix, its end 0 and the prefix (RFC 29);
 * since ZMTP 3.1 they are commands. Other messages are passed over, as long as they could be one.
 */
bool subscriber_frame(struct front *front, struct peer *peer, unsigned flags, size_t size)
{
    struct subscriber *subscriber = &peer->as.subscriber;
    subscriber->is_single_frame = (flags & ZMTP_MORE) == 0 && !subscriber->is_in_long_message;
    subscriber->is_in_long_message = (flags & ZMTP_MORE) != 0;
    return may_be_topic(size - (size > 0)) || cut_off(front);
}

static bool take_message(struct front *front, struct peer *peer, struct text message)
{
    if (message.len == 0 || !peer->as.subscriber.is_single_frame)
        return true;
    struct text prefix = {message.data + 1, message.len - 1};
    if (message.data[0] == 1)
        return subscribe(front, peer, prefix);
    if (message.data[0] == 0)
        unsubscribe(front, peer, prefix);
    return true;
}

bool subscriber_content(struct front *front, struct peer *peer, struct text content, bool ends)
{
    struct bytes *kept = &peer->content;
    if (ends && kept->len == 0)
        return take_message(front, peer, content);
    if (!bytes_append(kept, content.data, content.len))
        return false;
    if (!ends)
        return true;
    bool is_fine =
        take_message(front, peer, (struct text){(const char *)bytes_front(kept), kept->len});
    bytes_release(kept);
    return is_fine;
}

bool subscriber_command(struct front *front, struct peer *peer, struct text command)
{
    struct text prefix;
    bool begins = zmtp_command_is(command, "SUBSCRIBE", &prefix);
    if (!begins && !zmtp_command_is(command, "CANCEL", &prefix))
        return true;
    if (!may_be_topic(prefix.len))
        return cut_off(front);
    if (begins)
        return subscribe(front, peer, prefix);
    unsubscribe(front, peer, prefix);
    return true;
}

void subscriber_gone(struct front *front, struct peer *peer)
{
    end_listening(front, peer);
    prefixes_release(&peer->as.subscriber.prefixes);
}

/* ---- Welcome ---- */

/* One Welcome answers all that asked for one before it. Without memory it is asked for again. */
void subscribers_ask_for_welcome(struct front *front)
{
    uint64_t interval_ms = WELCOME_INTERVAL_MS + front->subscriber_count / SUBSCRIBERS_PER_MS;
    if (!front->wants_welcome || front->now_ms - front->welcome_ms < interval_ms)
        return;
    front->wants_welcome = !clients_signal(front, ROUTE_WELCOME);
    front->welcome_ms = front->now_ms;
}

/* ---- events ---- */

bool subscribers_take_events(struct front *front)
{
    for (unsigned i = 0; i < EVENTS_PER_TURN; i++) {
        zmq_msg_t topic;
        zmq_msg_t body;
        struct inner *queue = &front->queues[QUEUE_EVENTS].inner;
        if (!inner_receive(queue, &topic))
            return false;
        bool is_whole = inner_receive(queue, &body); /* messages come whole */
        assert(is_whole);
        struct text name = {zmq_msg_data(&topic), zmq_msg_size(&topic)};
        struct text content = {zmq_msg_data(&body), zmq_msg_size(&body)};
        if (content.len == 0 || !backlog_add(front->backlog, name, content))
            count(&front->counts.events_missed, 1);
        zmq_msg_close(&topic);
        zmq_msg_close(&body);
    }
    return true;
}

/* What a subscriber is to get, as few pieces of the backlog. */
struct runs {
    struct iovec pieces[RUNS_MAX];
    size_t count;
    size_t bytes;
};

/* False: there is no room for it. */
static bool add_to_runs(struct runs *runs, const struct backlog_event *event)
{
    struct iovec *last = runs->count > 0 ? &runs->pieces[runs->count - 1] : NULL;
    if (last != NULL && (const unsigned char *)last->iov_base + last->iov_len == event->wire) {
        last->iov_len += event->len;
    } else {
        if (runs->count == RUNS_MAX)
            return false;
        /* sendmsg reads it alone. */
        runs->pieces[runs->count++] = (struct iovec){(void *)(uintptr_t)event->wire, event->len};
    }
    runs->bytes += event->len;
    return true;
}

/* Gathers what comes next, and returns the number of the event behind it. */
static uint64_t gather(const struct front *front, const struct subscriber *subscriber,
                       struct runs *runs)
{
    uint64_t number = subscriber->place;
    uint64_t end = backlog_end(front->backlog);
    if (end - number > LOOKED_AT_MAX)
        end = number + LOOKED_AT_MAX;
    for (; number < end && runs->bytes < RUN_BYTES_MAX; number++) {
        struct backlog_event event = backlog_at(front->backlog, number);
        if (prefixes_match(&subscriber->prefixes, event.topic) && !add_to_runs(runs, &event))
            break;
    }
    return number;
}

/* Of what was gathered `sent` bytes went out: the rest of an event that was cut by that is to be
 * sent before all else, whatever becomes of the backlog. */
static void keep_rest(struct front *front, struct peer *peer, size_t sent)
{
    struct subscriber *subscriber = &peer->as.subscriber;
    while (sent > 0) {
        struct backlog_event event = backlog_at(front->backlog, subscriber->place++);
        if (!prefixes_match(&subscriber->prefixes, event.topic))
            continue;
        if (sent < event.len) {
            peer_put(front, peer, event.wire + sent, event.len - sent);
            return;
        }
        sent -= event.len;
    }
}

/* Whose place was in what is gone has missed it. */
static void skip_what_is_gone(struct front *front, struct subscriber *subscriber)
{
    uint64_t first = backlog_first(front->backlog);
    if (subscriber->place >= first)
        return;
    count(&front->counts.events_missed, first - subscriber->place);
    subscriber->place = first;
}

/* Sends it some events. True: it could take more. */
static bool serve(struct front *front, struct peer *peer)
{
    struct subscriber *subscriber = &peer->as.subscriber;
    if (peer->is_blocked || (peer->out.len > 0 && !peer_flush(front, peer)))
        return false;
    skip_what_is_gone(front, subscriber);
    struct runs runs = {.count = 0};
    uint64_t next = gather(front, subscriber, &runs);
    ssize_t sent = 0;
    if (runs.count > 0) {
        struct msghdr message = {.msg_iov = runs.pieces, .msg_iovlen = runs.count};
        sent = sendmsg(peer->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        peer_end(front, peer);
        return false;
    }
    if (sent > 0)
        peer->sent_ms = front->now_ms;
    if (sent == (ssize_t)runs.bytes) {
        subscriber->place = next;
        return next < backlog_end(front->backlog);
    }
    if (sent > 0)
        keep_rest(front, peer, (size_t)sent);
    peer_is_blocked(front, peer);
    return false;
}

void subscribers_look_again(struct front *front)
{
    front->unserved = front->subscriber_count;
}

/* A pass goes over all of them, one after the other, and goes on with the next turn where the time
 * of this one is over. */
bool subscribers_serve(struct front *front)
{
    uint64_t end = backlog_end(front->backlog);
    bool is_more = false;
    if (end != front->served_end)
        subscribers_look_again(front);
    front->served_end = end;
    while (front->unserved > 0) {
        if (front_is_late(front))
            return true;
        front->unserved--;
        front->next_served %= front->subscriber_count;
        struct peer *peer = front->subscribers[front->next_served++];
        if (peer->as.subscriber.place < end)
            is_more = serve(front, peer) || is_more;
    }
    if (is_more)
        subscribers_look_again(front);
    return is_more;
}
