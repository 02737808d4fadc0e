#include "node/node.h"

#include "bus/bus.h"
#include "domain/base/crash_point.h"
#include "node/descriptors.h"
#include "node/zmq/event_socket.h"
#include "node/front/front.h"
#include "node/log_notifier.h"
#include "node/zmq/router.h"
#include "node/system_clock.h"
#include "node/zmq/upstream.h"
#include "store/wire/codec.h"
#include "store/lmdb/store.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

#define HEARTBEAT_MS 1000u
#define AHEAD_WAIT_MS 1 /* for the front to take replies */
#define STOPPING_MS_MAX 2000u
#define CLOSING_SECONDS_MAX 1

struct node {
    struct logger *logger;
    struct stats stats;
    struct clock clock;
    struct log_notifier notifier;
    struct lmdb_store *store;
    struct bus *bus;
    struct codec *codec; /* of requests and replies */
    void *context;
    struct front *front;
    struct router *router;
    struct event_socket *events;
    struct upstream *upstream;
    int signal_fd;
    bool must_stop;
    bool has_served;
    char complaint[ERROR_BYTES]; /* why the node must end at once */
    uint64_t started_ms;         /* monotonic, as the next two */
    uint64_t now_ms;             /* at the start of the turn */
    uint64_t heartbeat_ms;       /* when the next one is due */
    size_t last_count;           /* requests of the group that was sent last */
    struct log_limit failure_limit;
    bool tells_groups; /* the log takes what is for debugging */
};

/* ---- bootstrap ---- */

static bool open_store(struct node *node, const struct config *config, char error[ERROR_BYTES])
{
    struct lmdb_store_options options = {.directory = config->directory,
                                         .map_size_bytes = (size_t)config->map_size_gib << 30,
                                         .cache_bytes = (size_t)config->cache_mib << 20,
                                         .check_bytes = (uint64_t)config->check_mib << 20,
                                         .events_behind = (uint64_t)config->events_behind,
                                         .ids_kept = (uint64_t)config->ids_kept};
    node->store = lmdb_store_open(&options, error);
    if (node->store == NULL)
        return false;
    if (lmdb_store_has_cut(node->store))
        log_printf(
            node->logger, LOG_INFO,
            "the journal ended in what had not been written to its end, and was not answered: "
            "it was cut off");
    if (lmdb_store_why_rebuilt(node->store) != NULL)
        log_printf(node->logger, LOG_WARN, "%s: they were made anew from the journal",
                   lmdb_store_why_rebuilt(node->store));
    if (!lmdb_store_was_walked(node->store))
        log_printf(node->logger, LOG_INFO,
                   "the tables are larger than check_mib: allocd --verify looks at all of them");
    return true;
}

/* The node's own sockets first: the front connects to them. Nobody is served before start_serving.
 */
static bool open_sockets(struct node *node, const struct config *config, char error[ERROR_BYTES])
{
    node->context = zmq_ctx_new();
    if (node->context == NULL) {
        snprintf(error, ERROR_BYTES, "cannot start libzmq");
        return false;
    }
    zmq_ctx_set(node->context, ZMQ_IO_THREADS, 0); /* all are inproc */
    node->router = router_new(node->context, error);
    if (node->router != NULL)
        node->events = event_socket_new(node->context, error);
    if (node->events != NULL)
        node->upstream = upstream_new(node->context, config, &node->stats, node->logger, error);
    if (node->upstream != NULL)
        node->front = front_new(node->context, config, node->logger, error);
    CRASH_POINT(commands_bound);
    return node->front != NULL;
}

static bool start_serving(struct node *node, char error[ERROR_BYTES])
{
    if (!front_make_room(node->front, error))
        return false;
    snprintf(error, ERROR_BYTES, "cannot start the front of the sockets");
    event_socket_set_front(node->events, node->front);
    return router_set_front(node->router, node->front) && front_start(node->front);
}

static bool make_bus(struct node *node, char error[ERROR_BYTES])
{
    log_notifier_init(&node->notifier, node->logger);
    node->clock = (struct clock){system_clock_now_ms, system_clock_monotonic_us};
    struct bus_parts parts = {.unit = lmdb_store_unit(node->store),
                              .reader = lmdb_store_reader(node->store),
                              .publisher = event_socket_publisher(node->events),
                              .notifier = &node->notifier.port,
                              .clock = &node->clock,
                              .logger = node->logger,
                              .stats = &node->stats};
    node->bus = bus_new(&parts);
    node->codec = codec_new();
    if (node->bus != NULL && node->codec != NULL)
        return true;
    snprintf(error, ERROR_BYTES, "no memory");
    return false;
}

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void node_block_signals(void)
{
    sigset_t set = stop_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);  /* there is nothing to be read again yet */
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a full disk */
}

static bool watch_signals(struct node *node, char error[ERROR_BYTES])
{
    sigset_t set = stop_signals();
    node->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (node->signal_fd >= 0)
        return true;
    snprintf(error, ERROR_BYTES, "cannot watch for signals");
    return false;
}

struct node *node_new(const struct config *config, struct node_log *log, char error[ERROR_BYTES])
{
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        snprintf(error, ERROR_BYTES, "no memory");
        return NULL;
    }
    node->logger = &log->port;
    node->tells_groups = log->level >= LOG_DEBUG;
    node->signal_fd = -1;
    node->started_ms = node->now_ms = node->heartbeat_ms = monotonic_ms();
    size_t upstreams = config->upstream.count; /* connections that are made later */
    if (!watch_signals(node, error) ||
        !descriptors_suffice(DESCRIPTORS_OF_SETUP + upstreams, error) ||
        !open_sockets(node, config, error) || !open_store(node, config, error) ||
        !make_bus(node, error) || !descriptors_suffice(upstreams, error) ||
        !start_serving(node, error))
        node_destroy(&node);
    return node;
}

static void leave(int number)
{
    (void)number;
    _exit(EXIT_SUCCESS);
}

/* All is committed, sent and closed but for libzmq. If it does not survive its own end (4.3.4 has
 * known faults there), or does not come to it, that is nobody's trouble any more. */
static void let_libzmq_fail(void)
{
    signal(SIGABRT, leave);
    signal(SIGSEGV, leave);
    signal(SIGALRM, leave);
    alarm(CLOSING_SECONDS_MAX);
}

void node_destroy(struct node **node)
{
    struct node *n = *node;
    if (n == NULL)
        return;
    bus_destroy(&n->bus);
    if (n->front != NULL)
        front_stop(n->front);
    CRASH_POINT(before_close);
    lmdb_store_close(&n->store);
    CRASH_POINT(after_close);
    if (n->has_served)
        let_libzmq_fail();
    router_destroy(&n->router);
    front_destroy(&n->front);
    upstream_destroy(&n->upstream);
    event_socket_destroy(&n->events);
    if (n->context != NULL)
        zmq_ctx_term(n->context);
    alarm(0);
    codec_destroy(&n->codec);
    if (n->signal_fd >= 0)
        close(n->signal_fd);
    free(n);
    *node = NULL;
}

const char *node_commands(const struct node *node)
{
    return front_commands(node->front);
}

const char *node_complaint(const struct node *node)
{
    return node->complaint;
}

const char *node_events(const struct node *node)
{
    return front_events(node->front);
}

/* ---- a group: what waits is read, handled, committed, answered and published ---- */

/* Of a command that came from upstream. */
static void *upstream_origin(struct node *node)
{
    return node->upstream;
}

static void read_upstream(struct node *node)
{
    struct request request;
    while (!bus_group_is_full(node->bus) && upstream_next(node->upstream, node->now_ms, &request))
        bus_handle(node->bus, &request, upstream_origin(node));
}

static void refuse(struct node *node, enum arrival arrival, void *origin)
{
    struct reply refusal = {.outcome = OUTCOME_TOO_LARGE};
    if (arrival == ARRIVAL_NOT_ONE_BODY) {
        refusal.outcome = OUTCOME_MALFORMED;
        refusal.about = text_of("not exactly one body frame");
    }
    bus_refuse(node->bus, &refusal, origin);
}

static bool long_queries_must_wait(const struct node *node)
{
    return bus_long_queries_must_wait(node->bus) || router_is_ahead(node->router);
}

/* True: it is part of the group. A query is not where nobody waits for its reply, or where it has
 * to wait for a later group itself. */
static bool read_request(struct node *node, struct text body, void *origin)
{
    struct request request;
    struct reply refusal;
    if (codec_decode_request(node->codec, body, &request, &refusal) != OUTCOME_DONE) {
        bus_refuse(node->bus, &refusal, origin);
        return true;
    }
    bool is_query = !message_is_command(request.type);
    if (is_query && router_client_is_gone(node->router)) {
        router_drop(node->router);
        return false;
    }
    if (bus_is_long_query(request.type) && long_queries_must_wait(node) &&
        router_defer(node->router))
        return false;
    bus_handle(node->bus, &request, origin);
    return true;
}

static void read_router(struct node *node)
{
    void *origin;
    struct text body;
    enum arrival arrival;
    router_begin_group(node->router);
    while (!bus_group_is_full(node->bus) &&
           (arrival = router_next(node->router, long_queries_must_wait(node), &body, &origin)) !=
               ARRIVAL_NONE) {
        bool is_taken = true;
        if (arrival == ARRIVAL_REQUEST)
            is_taken = read_request(node, body, origin);
        else
            refuse(node, arrival, origin);
        if (is_taken)
            router_take(node->router);
    }
}

static void send_reply(struct node *node, void *origin, const struct reply *reply)
{
    struct text body;
    if (!codec_encode_reply(node->codec, reply, &body))
        body = text_none(); /* no memory; it is done all the same */
    router_reply(node->router, origin, body);
    CRASH_POINT(between_replies);
}

/* Whether what was committed can be told: the store took it, and the next start will find it. */
static bool can_be_told(struct node *node, enum store_result result)
{
    if (result != STORE_BROKEN)
        return lmdb_store_is_in_place(node->store, node->complaint);
    snprintf(node->complaint, sizeof node->complaint, "the disk failed in a commit");
    return false;
}

static void tell_group(struct node *node, enum store_result result)
{
    if (result == STORE_FULL)
        log_limited(node->logger, &node->failure_limit, node->now_ms, LOG_ERROR,
                    "no space left in the store: commands are refused");
    else if (result != STORE_OK)
        log_limited(node->logger, &node->failure_limit, node->now_ms, LOG_ERROR,
                    "the store failed: %s: commands are refused", lmdb_store_cause(node->store));
    if (node->tells_groups)
        log_printf(node->logger, LOG_DEBUG,
                   "a group of %zu requests is committed up to seq %" PRIu64,
                   bus_taken_count(node->bus), bus_last_seq(node->bus));
}

/* Replies and events leave once their group is durable. False: the process must end without a
 * reply. */
static bool answer_group(struct node *node)
{
    enum store_result result;
    if (!bus_take(node->bus, &result))
        return true;
    CRASH_POINT(before_replies);
    if (!can_be_told(node, result))
        return false;
    tell_group(node, result);
    for (size_t i = 0; i < bus_taken_count(node->bus); i++) {
        void *origin = bus_origin(node->bus, i);
        const struct reply *reply = bus_reply(node->bus, i);
        if (origin == upstream_origin(node))
            upstream_outcome(node->upstream, result == STORE_OK, reply->outcome, node->now_ms);
        else
            send_reply(node, origin, reply);
    }
    CRASH_POINT(after_replies);
    bus_publish(node->bus);
    CRASH_POINT(after_events);
    bus_end_group(node->bus);
    router_end_group(node->router);
    upstream_end_group(node->upstream);
    return true;
}

/* One request after another, each alone, are made durable here: another thread would have to be
 * woken for each, and nothing else is to be done meanwhile. */
static void send_group(struct node *node)
{
    size_t count = bus_group_count(node->bus);
    if (bus_has_sent(node->bus) || count == 0)
        return;
    CRASH_POINT(group_handled);
    bus_submit(node->bus, count == 1 && node->last_count == 1);
    router_send_group(node->router);
    upstream_send_group(node->upstream);
    node->last_count = count;
}

/* While one group is made durable, the next one is collected. False: as answer_group. */
static bool serve(struct node *node)
{
    if (!answer_group(node))
        return false;
    if (!node->must_stop)
        read_upstream(node);
    read_router(node);
    send_group(node);
    return answer_group(node);
}

/* ---- the loop ---- */

static uint64_t wall_clock_ms(struct node *node)
{
    return node->clock.now_ms(&node->clock);
}

static void pulse(struct node *node, const char *topic)
{
    event_socket_pulse(node->events, topic, bus_last_seq(node->bus), wall_clock_ms(node));
}

/* Takes in the time and what the statistics say of it. */
static void begin_turn(struct node *node)
{
    node->now_ms = monotonic_ms();
    node->stats.uptime_ms = node->now_ms - node->started_ms;
    node->stats.cpu_us = processor_us();
    front_figures(node->front, &node->stats);
    router_figures(node->router, &node->stats);
    event_socket_figures(node->events, &node->stats);
}

/* Whether the open group takes more: else nothing can be done before the one that was sent is
 * durable. */
static bool can_collect(const struct node *node)
{
    return !bus_has_sent(node->bus) ||
           (!bus_group_is_full(node->bus) && router_has_room(node->router));
}

/* Milliseconds until something is due. What has had its turn in the open group waits for the next.
 */
static int time_to_wait(const struct node *node)
{
    if (!bus_has_sent(node->bus) && router_has_turns(node->router))
        return router_is_ahead(node->router) ? AHEAD_WAIT_MS : 0;
    return (int)(node->heartbeat_ms > node->now_ms ? node->heartbeat_ms - node->now_ms : 0);
}

/* Waits for what there is to wait for, and notes which queues have news. */
static void wait_for_work(struct node *node)
{
    enum { ROUTER, UPSTREAM, QUEUES, SIGNALS = QUEUES, STORE, ITEMS };
    bool collects = can_collect(node);
    bool takes_upstream = collects && !node->must_stop;
    struct inner *queues[QUEUES] = {[ROUTER] = collects ? router_inner(node->router) : NULL,
                                    [UPSTREAM] =
                                        takes_upstream ? upstream_inner(node->upstream) : NULL};
    struct pollfd items[ITEMS];
    bool has_news = false;
    for (size_t i = 0; i < QUEUES; i++) {
        has_news = has_news || (queues[i] != NULL && queues[i]->has_news);
        items[i] = (struct pollfd){.fd = queues[i] != NULL ? queues[i]->fd : -1, .events = POLLIN};
    }
    items[SIGNALS] =
        (struct pollfd){.fd = node->must_stop ? -1 : node->signal_fd, .events = POLLIN};
    items[STORE] =
        (struct pollfd){.fd = bus_has_sent(node->bus) ? unit_fd(lmdb_store_unit(node->store)) : -1,
                        .events = POLLIN};
    node->now_ms = monotonic_ms();
    poll(items, ITEMS, has_news ? 0 : time_to_wait(node));
    for (size_t i = 0; i < QUEUES; i++)
        if (queues[i] != NULL && (items[i].revents & POLLIN) != 0)
            queues[i]->has_news = true;
    node->must_stop = node->must_stop || (items[SIGNALS].revents & POLLIN) != 0;
    begin_turn(node);
}

/* Tells what limited lines left out. */
static void tell_rest(struct node *node, bool now)
{
    log_rest(node->logger, &node->failure_limit, node->now_ms, now);
    log_rest(node->logger, &node->notifier.limit, node->now_ms, now);
    upstream_log_rest(node->upstream, node->now_ms, now);
}

/* False: the store broke. */
static bool turn(struct node *node)
{
    wait_for_work(node);
    if (!serve(node))
        return false;
    if (router_takes_welcome(node->router))
        pulse(node, TOPIC_WELCOME);
    if (node->now_ms >= node->heartbeat_ms) {
        pulse(node, TOPIC_HEARTBEAT);
        node->heartbeat_ms = node->now_ms + HEARTBEAT_MS;
        tell_rest(node, false);
    }
    return true;
}

/* What was read is answered; who has asked for more than that takes in STOPPING_MS_MAX does without
 * the rest. */
static bool finish(struct node *node)
{
    uint64_t end_ms = node->now_ms + STOPPING_MS_MAX;
    front_stop_reading(node->front);
    node->has_served = true;
    while ((!router_is_done(node->router) || bus_has_sent(node->bus) ||
            bus_group_count(node->bus) > 0) &&
           node->now_ms < end_ms)
        if (!turn(node))
            return false;
    tell_rest(node, true);
    return true;
}

bool node_run(struct node *node)
{
    while (!node->must_stop)
        if (!turn(node))
            return false;
    return finish(node);
}
