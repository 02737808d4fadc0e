/* The front's thread: its loop, and what it is made of. */
#include "node/front/inside.h"

#include "node/descriptors.h"
#include "node/system_clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64
#define ACCEPTS_PER_TURN 16u
/* Microseconds of a turn for ... */
#define CALM_US_PER_TURN 500u   /* ... those that send little */
#define BUSY_US_PER_TURN 100u   /* ... those that send much, and again for those that had to wait */
#define EVENTS_US_PER_TURN 300u /* ... sending events to subscribers */
#define EFFORT_PER_TURN 1000u   /* for subscriptions: some 100 microseconds */
#define CONNECTIONS_MAX 65536u
#define LEFT_MAX 8192u    /* connections that ended, and whose requests are under way */
#define UPSTREAM_QUEUE 64 /* messages, at each end */

/* ---- making ---- */

static bool fail(char *error, const char *what)
{
    snprintf(error, ERROR_BYTES, "cannot %s: %s", what, strerror(errno));
    return false;
}

static bool make_memory(struct front *front, const struct config *config)
{
    front->budget = budget_of((size_t)config->max_memory_mib << 20);
    front->backlog = backlog_new(front->budget.backlog);
    front->scratch = malloc(SCRATCH_BYTES);
    front->feed_count = config->upstream.count;
    if (front->feed_count > 0)
        front->feeds = feeds_new(config);
    return front->backlog != NULL && front->scratch != NULL &&
           (front->feed_count == 0 || front->feeds != NULL);
}

static bool watch(struct front *front, int fd, struct watch *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(front->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool open_queue(struct front *front, void *context, enum queue which, int type,
                       const char *endpoint, int messages)
{
    front->queues[which].watch.kind = WATCH_INNER;
    struct inner *inner = &front->queues[which].inner;
    return inner_open(inner, context, type, INNER_CONNECT, endpoint, messages) &&
           watch(front, inner->fd, &front->queues[which].watch);
}

/* What waits in a queue is bounded by whoever sends, but for upstream. */
static bool open_queues(struct front *front, void *context)
{
    return open_queue(front, context, QUEUE_REQUESTS, ZMQ_DEALER, FRONT_COMMANDS, 0) &&
           open_queue(front, context, QUEUE_EVENTS, ZMQ_SUB, FRONT_EVENTS, FRONT_EVENTS_QUEUE) &&
           zmq_setsockopt(front->queues[QUEUE_EVENTS].inner.socket, ZMQ_SUBSCRIBE, "", 0) == 0 &&
           (front->feed_count == 0 ||
            open_queue(front, context, QUEUE_UPSTREAM, ZMQ_PUSH, FRONT_UPSTREAM, UPSTREAM_QUEUE));
}

static bool make_inside(struct front *front, void *context, char error[ERROR_BYTES])
{
    front->wake.kind = WATCH_WAKE;
    front->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    front->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (front->epoll_fd < 0 || front->wake_fd < 0 || !watch(front, front->wake_fd, &front->wake))
        return fail(error, "make the front");
    return open_queues(front, context) || fail(error, "reach the node's own sockets");
}

static bool open_listener(struct front *front, size_t which, enum peer_kind kind,
                          const char *endpoint, char error[ERROR_BYTES])
{
    struct accepting *accepting = &front->accepting[which];
    accepting->watch.kind = WATCH_LISTENER;
    accepting->kind = kind;
    if (!listener_open(&accepting->listener, endpoint, front->config->backlog, error))
        return false;
    return watch(front, accepting->listener.fd, &accepting->watch) ||
           fail(error, "wait for connections");
}

struct front *front_new(void *context, const struct config *config, struct logger *logger,
                        char error[ERROR_BYTES])
{
    struct front *front = calloc(1, sizeof *front);
    snprintf(error, ERROR_BYTES, "no memory");
    if (front == NULL)
        return NULL;
    front->config = config;
    front->logger = logger;
    front->epoll_fd = front->wake_fd = -1;
    LIST_INIT(&front->peers);
    TAILQ_INIT(&front->waiting);
    TAILQ_INIT(&front->unsent);
    SLIST_INIT(&front->buried);
    for (size_t i = 0; i < LISTENER_COUNT; i++)
        front->accepting[i].listener.fd = -1;
    front->now_ms = front->tick_ms = monotonic_ms();
    if (!make_memory(front, config) || !make_inside(front, context, error) ||
        !open_listener(front, LISTENER_COMMANDS, PEER_CLIENT, config->commands, error) ||
        !open_listener(front, LISTENER_EVENTS, PEER_SUBSCRIBER, config->events, error))
        front_destroy(&front);
    return front;
}

static void close_descriptor(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* Requests that were never answered are forgotten. */
static void end_all(struct front *front)
{
    for (uint32_t i = 0; front->slots != NULL && i < front->slot_count; i++) {
        struct peer *peer = front->slots[i];
        if (peer == NULL)
            continue;
        if (peer->kind == PEER_CLIENT)
            peer->as.client.unanswered = 0;
        if (peer->phase == PEER_GONE)
            peer_release(front, peer);
        else
            peer_end(front, peer);
    }
    peers_bury(front);
}

void front_destroy(struct front **front)
{
    struct front *f = *front;
    if (f == NULL)
        return;
    assert(!f->is_started);
    end_all(f);
    for (size_t i = 0; i < LISTENER_COUNT; i++)
        listener_close(&f->accepting[i].listener);
    for (size_t i = 0; i < QUEUE_COUNT; i++)
        inner_close(&f->queues[i].inner);
    close_descriptor(f->wake_fd);
    close_descriptor(f->epoll_fd);
    backlog_destroy(&f->backlog);
    feeds_destroy(f);
    free(f->subscribers);
    free(f->slots);
    free(f->free_slots);
    free((void *)f->states);
    free(f->scratch);
    free(f);
    *front = NULL;
}

/* ---- the loop ---- */

static void refuse(struct front *front)
{
    count(&front->counts.peers_refused, 1);
    log_limited(front->logger, &front->refused_limit, front->now_ms, LOG_WARN,
                "refused a connection: %u are open, of %u that may be",
                (unsigned)front->connections, (unsigned)front->connections_max);
}

static void accept_some(struct front *front, struct accepting *accepting)
{
    unsigned char greeting[ZMTP_GREETING_BYTES];
    size_t len = zmtp_put_greeting(greeting);
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = listener_accept(&accepting->listener);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        struct peer *peer = fd >= 0 ? peer_new(front, accepting->kind, fd, PEER_GREETING) : NULL;
        if (peer != NULL) {
            peer_put(front, peer, greeting, len);
        } else if (fd >= 0) {
            refuse(front);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            /* Out of descriptors, or the like: until the next tick epoll would tell it all the
             * time. */
            accepting->is_paused = true;
            epoll_ctl(front->epoll_fd, EPOLL_CTL_DEL, accepting->listener.fd, NULL);
            return;
        }
    }
}

static void accept_again(struct front *front)
{
    for (size_t i = 0; i < LISTENER_COUNT; i++) {
        struct accepting *accepting = &front->accepting[i];
        if (accepting->is_paused && accepting->listener.fd >= 0)
            accepting->is_paused = !watch(front, accepting->listener.fd, &accepting->watch);
    }
}

static void take_wake(struct front *front)
{
    uint64_t times;
    ssize_t len = read(front->wake_fd, &times, sizeof times);
    (void)len; /* it says nothing but that it is time to look */
    if (front->has_stopped_reading ||
        !atomic_load_explicit(&front->must_stop_reading, memory_order_acquire))
        return;
    for (size_t i = 0; i < LISTENER_COUNT; i++)
        listener_close(&front->accepting[i].listener);
    front->has_stopped_reading = true;
    peers_stop_reading(front);
    front->must_tell_end = true;
}

static void take_event(struct front *front, const struct epoll_event *event)
{
    struct watch *what = event->data.ptr;
    switch (what->kind) {
    case WATCH_PEER:
        peer_ready(front, event->data.ptr, event->events);
        break;
    case WATCH_LISTENER:
        accept_some(front, event->data.ptr);
        break;
    case WATCH_INNER:
        for (size_t i = 0; i < QUEUE_COUNT; i++)
            if (what == &front->queues[i].watch)
                front->queues[i].inner.has_news = true;
        break;
    case WATCH_WAKE:
        take_wake(front);
        break;
    }
}

enum precedence { FIRST, CALM, BUSY };

static enum precedence precedence_of(const struct epoll_event *event)
{
    const struct watch *what = event->data.ptr;
    if (what->kind != WATCH_PEER)
        return FIRST;
    return peer_is_busy(event->data.ptr) ? BUSY : CALM;
}

/* Who sends little comes before those that send much: it waits for no more than a turn. Each sort
 * goes on until its time is over; epoll tells the rest of them again, in turn. */
static void take_events(struct front *front, const struct epoll_event *events, int count)
{
    static const uint64_t us[] = {[CALM] = CALM_US_PER_TURN, [BUSY] = BUSY_US_PER_TURN};
    enum precedence order[EVENTS_PER_TURN];
    for (int i = 0; i < count; i++) {
        order[i] = precedence_of(&events[i]);
        if (order[i] == FIRST)
            take_event(front, &events[i]);
    }
    for (enum precedence now = CALM; now <= BUSY; now++) {
        front->late_us = monotonic_us() + us[now];
        for (int i = 0; i < count && !front_is_late(front); i++)
            if (order[i] == now)
                take_event(front, &events[i]);
    }
}

static bool is_idle(const struct front *front)
{
    bool is_paused = false;
    for (size_t i = 0; i < LISTENER_COUNT; i++)
        is_paused = is_paused || front->accepting[i].is_paused;
    bool has_to_tell = front->cut_limit.suppressed + front->refused_limit.suppressed > 0;
    return LIST_EMPTY(&front->peers) && front->feed_count == 0 && !is_paused &&
           !front->has_to_trim && !has_to_tell;
}

static int time_to_wait(const struct front *front)
{
    if (is_idle(front))
        return -1;
    uint64_t due_ms = front->tick_ms;
    if (front->wants_welcome && due_ms > front->now_ms + 1)
        due_ms = front->now_ms + 1;
    return due_ms > front->now_ms ? (int)(due_ms - front->now_ms) : 0;
}

static void tick_if_due(struct front *front)
{
    if (front->now_ms < front->tick_ms)
        return;
    front->tick_ms = front->now_ms + TICK_MS;
    peers_tick(front);
    feeds_tick(front);
    accept_again(front);
}

/* Without memory it is tried again. */
static void signal_node(struct front *front)
{
    front->must_nudge = front->must_nudge && !clients_signal(front, ROUTE_NUDGE);
    front->must_tell_end = front->must_tell_end && !clients_signal(front, ROUTE_END);
}

/* One turn: what has come, what the node has for its peers, and what is due. True: there is more to
 * do at once. */
static bool turn(struct front *front, int wait_ms)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(front->epoll_fd, events, EVENTS_PER_TURN, wait_ms);
    front->now_ms = monotonic_ms();
    front->effort_left = EFFORT_PER_TURN;
    take_events(front, events, count);
    bool is_more = clients_take_replies(front);
    is_more = subscribers_take_events(front) || is_more;
    front->late_us = monotonic_us() + BUSY_US_PER_TURN;
    is_more = peers_resume(front) || is_more;
    subscribers_ask_for_welcome(front);
    peers_send(front);
    front->late_us = monotonic_us() + EVENTS_US_PER_TURN;
    is_more = subscribers_serve(front) || is_more;
    tick_if_due(front);
    peers_relieve(front);
    signal_node(front);
    peers_bury(front);
    inner_settle(&front->queues[QUEUE_UPSTREAM].inner);
    return front->queues[QUEUE_REQUESTS].inner.has_news ||
           front->queues[QUEUE_EVENTS].inner.has_news || is_more || front->effort_left == 0 ||
           !TAILQ_EMPTY(&front->unsent);
}

static bool is_all_sent(const struct front *front)
{
    for (const struct peer *peer = LIST_FIRST(&front->peers); peer != NULL;
         peer = LIST_NEXT(peer, in_peers))
        if (peer->phase == PEER_OPEN && !peer->has_ended && peer->out.len > 0)
            return false;
    for (size_t i = 0; i < front->subscriber_count; i++)
        if (front->subscribers[i]->as.subscriber.place < backlog_end(front->backlog))
            return false;
    return true;
}

/* What is left is sent, for a while. */
static void finish(struct front *front)
{
    uint64_t end_ms = front->now_ms + FRONT_LINGER_MS;
    bool is_more = true;
    while ((is_more || !is_all_sent(front)) && front->now_ms < end_ms)
        is_more = turn(front, is_more ? 0 : (int)(end_ms - front->now_ms));
    log_rest(front->logger, &front->cut_limit, front->now_ms, true);
    log_rest(front->logger, &front->refused_limit, front->now_ms, true);
}

static void *run(void *argument)
{
    struct front *front = argument;
    bool is_more = true;
    while (!atomic_load_explicit(&front->must_stop, memory_order_acquire))
        is_more = turn(front, is_more ? 0 : time_to_wait(front));
    finish(front);
    return NULL;
}

/* ---- for the main thread ---- */

const char *front_commands(const struct front *front)
{
    return front->accepting[LISTENER_COMMANDS].listener.bound;
}

const char *front_events(const struct front *front)
{
    return front->accepting[LISTENER_EVENTS].listener.bound;
}

bool front_make_room(struct front *front, char error[ERROR_BYTES])
{
    size_t most = descriptors_for_connections();
    if (most > budget_connections_max(&front->budget))
        most = budget_connections_max(&front->budget);
    front->connections_max = most < CONNECTIONS_MAX ? (uint32_t)most : CONNECTIONS_MAX;
    front->slot_count = front->connections_max + LEFT_MAX;
    front->slots = calloc(front->slot_count, sizeof(struct peer *));
    front->free_slots = malloc(front->slot_count * sizeof *front->free_slots);
    front->states = calloc(front->slot_count, sizeof *front->states);
    snprintf(error, ERROR_BYTES, "no memory");
    if (front->slots == NULL || front->free_slots == NULL || front->states == NULL)
        return false;
    for (uint32_t i = 0; i < front->slot_count; i++)
        front->free_slots[front->free_count++] = front->slot_count - 1 - i;
    return true;
}

bool front_start(struct front *front)
{
    front->is_started = pthread_create(&front->thread, NULL, run, front) == 0;
    return front->is_started;
}

/* An eventfd takes a write unless it is close to its end, where it wakes all the same. */
static void wake(struct front *front, _Atomic bool *wish)
{
    uint64_t once = 1;
    atomic_store_explicit(wish, true, memory_order_release);
    ssize_t len = write(front->wake_fd, &once, sizeof once);
    (void)len;
}

void front_stop_reading(struct front *front)
{
    wake(front, &front->must_stop_reading);
}

void front_stop(struct front *front)
{
    if (!front->is_started)
        return;
    wake(front, &front->must_stop);
    pthread_join(front->thread, NULL);
    front->is_started = false;
}

unsigned front_client_state(const struct front *front, uint32_t slot)
{
    assert(slot < front->slot_count);
    return atomic_load_explicit(&front->states[slot], memory_order_relaxed);
}

uint64_t front_reply_bytes(const struct front *front)
{
    return atomic_load_explicit(&front->counts.reply_bytes, memory_order_relaxed);
}

bool front_is_heard(const struct front *front)
{
    return atomic_load_explicit(&front->is_heard, memory_order_relaxed);
}

uint32_t front_slots(const struct front *front)
{
    return front->slot_count;
}

void front_figures(const struct front *front, struct stats *stats)
{
    const struct front_counts *counts = &front->counts;
    stats->peers = atomic_load_explicit(&counts->peers, memory_order_relaxed);
    stats->subscribers = atomic_load_explicit(&counts->subscribers, memory_order_relaxed);
    stats->peers_cut = atomic_load_explicit(&counts->peers_cut, memory_order_relaxed);
    stats->peers_flooding = atomic_load_explicit(&counts->peers_flooding, memory_order_relaxed);
    stats->peers_refused = atomic_load_explicit(&counts->peers_refused, memory_order_relaxed);
    stats->subscribers_cut = atomic_load_explicit(&counts->subscribers_cut, memory_order_relaxed);
    stats->replies_dropped = atomic_load_explicit(&counts->replies_dropped, memory_order_relaxed);
    stats->requests_dropped = atomic_load_explicit(&counts->requests_dropped, memory_order_relaxed);
    stats->events_missed = atomic_load_explicit(&counts->events_missed, memory_order_relaxed);
}
