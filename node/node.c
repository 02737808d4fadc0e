#include "node/node.h"

#include "bus/bus.h"
#include "domain/crash_point.h"
#include "node/descriptors.h"
#include "node/event_socket.h"
#include "node/guard.h"
#include "node/log_notifier.h"
#include "node/router.h"
#include "node/system_clock.h"
#include "node/upstream.h"
#include "store/codec.h"
#include "store/lmdb_store.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define HEARTBEAT_MS 1000u

struct node {
    struct logger *logger;
    struct stats stats;
    struct clock clock;
    struct log_notifier notifier;
    struct lmdb_store *store;
    struct bus *bus;
    struct codec *codec; /* of requests and replies */
    void *context;
    struct guard *guard;
    struct router *router;
    struct event_socket *events;
    struct upstream *upstream;
    int signal_fd;
    bool must_stop;
    char complaint[LMDB_STORE_ERROR_BYTES]; /* why the node must end at once */
    uint64_t started_ms;                    /* monotonic, as the next two */
    uint64_t now_ms;                        /* at the start of the turn */
    uint64_t heartbeat_ms;                  /* when the next one is due */
    struct log_limit failure_limit;
    struct log_limit refused_limit;
    struct log_limit cut_limit;
};

/* ---- bootstrap ---- */

static bool open_store(struct node *node, const struct config *config, char *error)
{
    struct lmdb_store_options options = {.directory = config->directory,
                                         .map_size_bytes = (size_t)config->map_size_gib << 30,
                                         .cache_bytes = (size_t)config->cache_mib << 20,
                                         .check_bytes = (uint64_t)config->check_mib << 20,
                                         .events_behind = (uint64_t)config->events_behind,
                                         .ids_kept = (uint64_t)config->ids_kept};
    node->store = lmdb_store_open(&options, error);
    if (node->store != NULL && lmdb_store_has_finished_commit(node->store))
        log_printf(node->logger, LOG_WARN,
                   "a commit was cut off at its last page: all else of it was whole, and it was "
                   "finished; commands that were not answered may have happened");
    if (node->store != NULL && !lmdb_store_was_walked(node->store))
        log_printf(node->logger, LOG_INFO,
                   "the store is larger than check_mib: allocd --verify looks at all of it");
    return node->store != NULL;
}

static bool open_sockets(struct node *node, const struct config *config, char *error)
{
    node->context = zmq_ctx_new();
    if (node->context == NULL) {
        snprintf(error, NODE_ERROR_BYTES, "cannot start libzmq");
        return false;
    }
    struct stats *stats = &node->stats;
    node->guard = guard_new(node->context, config, error);
    if (node->guard != NULL)
        node->router = router_new(node->context, config, node->guard, stats, node->logger, error);
    CRASH_POINT(commands_bound);
    if (node->router != NULL)
        node->events =
            event_socket_new(node->context, config, node->guard, stats, node->logger, error);
    if (node->events != NULL)
        node->upstream = upstream_new(node->context, config, stats, node->logger, error);
    if (node->upstream == NULL)
        return false;
    snprintf(error, NODE_ERROR_BYTES, "cannot start the guard of the sockets");
    return gate_is_in_place() && guard_start(node->guard);
}

static bool make_bus(struct node *node, char *error)
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
    snprintf(error, NODE_ERROR_BYTES, "no memory");
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
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a full disk */
}

static bool watch_signals(struct node *node, char *error)
{
    sigset_t set = stop_signals();
    node->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (node->signal_fd >= 0)
        return true;
    snprintf(error, NODE_ERROR_BYTES, "cannot watch for signals");
    return false;
}

struct node *node_new(const struct config *config, struct node_log *log,
                      char error[NODE_ERROR_BYTES])
{
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        snprintf(error, NODE_ERROR_BYTES, "no memory");
        return NULL;
    }
    node->logger = &log->port;
    node->signal_fd = -1;
    node->started_ms = node->now_ms = node->heartbeat_ms = monotonic_ms();
    size_t upstreams = config->upstream.count; /* connections that are made later */
    if (!watch_signals(node, error) ||
        !descriptors_suffice(DESCRIPTORS_OF_SETUP + upstreams, error) ||
        !open_store(node, config, error) || !open_sockets(node, config, error) ||
        !make_bus(node, error) || !descriptors_suffice(upstreams, error))
        node_destroy(&node);
    return node;
}

void node_destroy(struct node **node)
{
    struct node *n = *node;
    if (n == NULL)
        return;
    bus_destroy(&n->bus);
    if (n->guard != NULL)
        guard_stop(n->guard);
    upstream_destroy(&n->upstream);
    event_socket_destroy(&n->events);
    router_destroy(&n->router);
    guard_destroy(&n->guard);
    if (n->context != NULL)
        zmq_ctx_term(n->context);
    CRASH_POINT(before_close);
    lmdb_store_close(&n->store);
    CRASH_POINT(after_close);
    codec_destroy(&n->codec);
    if (n->signal_fd >= 0)
        close(n->signal_fd);
    free(n);
    *node = NULL;
}

const char *node_commands(const struct node *node)
{
    return router_endpoint(node->router);
}

const char *node_complaint(const struct node *node)
{
    return node->complaint;
}

const char *node_events(const struct node *node)
{
    return event_socket_endpoint(node->events);
}

/* ---- a group: what waits is read, handled, committed, answered and published ---- */

static size_t read_upstream(struct node *node)
{
    struct request request;
    size_t count = 0;
    while (!bus_group_is_full(node->bus) && upstream_next(node->upstream, node->now_ms, &request)) {
        bus_handle(node->bus, &request);
        count++;
    }
    return count;
}

static void read_request(struct node *node, enum received received, struct text body)
{
    struct request request;
    struct reply refusal = {.outcome = OUTCOME_MALFORMED};
    if (received == RECEIVED_BODY) {
        if (codec_decode_request(node->codec, body, &request, &refusal) == OUTCOME_DONE) {
            bus_handle(node->bus, &request);
            return;
        }
    } else if (body.len > REQUEST_MAX_BYTES) {
        refusal.outcome = OUTCOME_TOO_LARGE;
    } else {
        refusal.about = text_of("not exactly one body frame");
    }
    bus_refuse(node->bus, &refusal);
}

static size_t read_router(struct node *node)
{
    size_t count = 0;
    struct text body;
    enum received received;
    while (!bus_group_is_full(node->bus) &&
           (received = router_receive(node->router, &body)) != RECEIVED_NOTHING) {
        read_request(node, received, body);
        count++;
    }
    return count;
}

static void send_reply(struct node *node, size_t index, const struct reply *reply)
{
    struct text body;
    if (codec_encode_reply(node->codec, reply, &body))
        router_reply(node->router, index, body, node->now_ms);
    else
        node->stats.replies_dropped++; /* no memory; it is done all the same */
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

/* False: the process must end without a reply. */
static bool serve_group(struct node *node)
{
    size_t from_upstream = read_upstream(node);
    size_t from_router = read_router(node);
    if (from_upstream + from_router == 0)
        return true;
    CRASH_POINT(group_handled);
    enum store_result result = bus_commit(node->bus);
    CRASH_POINT(before_replies);
    if (!can_be_told(node, result))
        return false;
    if (result != STORE_OK)
        log_limited(node->logger, &node->failure_limit, node->now_ms, LOG_ERROR,
                    result == STORE_FULL ? "no space left in the store: commands are refused"
                                         : "the store failed: commands are refused");
    for (size_t i = 0; i < from_upstream; i++)
        upstream_outcome(node->upstream, result == STORE_OK, bus_reply(node->bus, i)->outcome,
                         node->now_ms);
    for (size_t i = 0; i < from_router; i++)
        send_reply(node, i, bus_reply(node->bus, from_upstream + i));
    CRASH_POINT(after_replies);
    bus_publish(node->bus);
    CRASH_POINT(after_events);
    bus_end_group(node->bus);
    router_end_group(node->router);
    upstream_end_group(node->upstream);
    return true;
}

/* ---- what the guard reports ---- */

static void count_connection(struct node *node, enum guarded guarded, int change)
{
    uint64_t *count = guarded == GUARDED_COMMANDS ? &node->stats.peers : &node->stats.subscribers;
    if (change > 0)
        ++*count;
    else if (*count > 0)
        --*count;
}

static void disconnected(struct node *node, const struct guard_report *report)
{
    count_connection(node, report->guarded, -1);
    if (report->guarded == GUARDED_COMMANDS)
        router_disconnected(node->router, report->fd);
    else
        event_socket_disconnected(node->events, report->fd);
}

static void cut_off(struct node *node, enum guarded guarded)
{
    bool is_client = guarded == GUARDED_COMMANDS;
    ++*(is_client ? &node->stats.peers_flooding : &node->stats.subscribers_cut);
    log_limited(node->logger, &node->cut_limit, node->now_ms, LOG_WARN,
                is_client ? "cut off a client for messages that it did not end"
                          : "cut off a subscriber for more than can be taken in");
}

static void read_reports(struct node *node)
{
    struct guard_report report;
    while (guard_next(node->guard, &report)) {
        switch (report.news) {
        case GUARD_CONNECTED:
            count_connection(node, report.guarded, 1);
            break;
        case GUARD_DISCONNECTED:
            disconnected(node, &report);
            break;
        case GUARD_REFUSED:
            node->stats.peers_refused++;
            log_limited(node->logger, &node->refused_limit, node->now_ms, LOG_WARN,
                        "refused a connection: %zu are open, or what others left is still handled",
                        (size_t)(node->stats.peers + node->stats.subscribers));
            break;
        case GUARD_CUT_OFF:
            cut_off(node, report.guarded);
            break;
        case GUARD_NUDGE:
            break;
        }
    }
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
}

/* Milliseconds until something is due. */
static int time_to_wait(const struct node *node)
{
    if (router_has_parked(node->router))
        return 0;
    uint64_t wait = node->heartbeat_ms > node->now_ms ? node->heartbeat_ms - node->now_ms : 0;
    if (router_has_slow_peers(node->router) && wait > PEERS_CHECK_MS)
        wait = PEERS_CHECK_MS;
    return (int)wait;
}

/* As zmq_poll would, which looks at each socket twice and asks the kernel each time. */
static void wait_for_work(struct node *node)
{
    void *sockets[] = {router_socket(node->router), guard_socket(node->guard),
                       event_socket_socket(node->events), upstream_socket(node->upstream)};
    enum { SOCKETS = sizeof sockets / sizeof *sockets };
    struct pollfd items[SOCKETS + 1] = {{.fd = node->signal_fd, .events = POLLIN}};
    nfds_t count = 1;
    bool has_message = false;
    for (size_t i = 0; i < SOCKETS && sockets[i] != NULL; i++) {
        has_message = has_message || socket_has_message(sockets[i]);
        items[count++] = (struct pollfd){.fd = socket_fd(sockets[i]), .events = POLLIN};
    }
    node->now_ms = monotonic_ms();
    poll(items, count, has_message ? 0 : time_to_wait(node));
    node->must_stop = (items[0].revents & POLLIN) != 0;
    begin_turn(node);
}

bool node_run(struct node *node)
{
    while (!node->must_stop) {
        wait_for_work(node);
        read_reports(node);
        router_check_peers(node->router, node->now_ms);
        if (event_socket_welcomes(node->events, node->now_ms))
            pulse(node, TOPIC_WELCOME);
        if (!node->must_stop && !serve_group(node))
            return false;
        if (node->now_ms >= node->heartbeat_ms) {
            pulse(node, TOPIC_HEARTBEAT);
            node->heartbeat_ms = node->now_ms + HEARTBEAT_MS;
        }
    }
    return true;
}
