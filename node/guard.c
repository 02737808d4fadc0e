#include "node/guard.h"

#include "node/memory.h"
#include "node/system_clock.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#define TICK_MS 5u            /* between two looks while there are connections */
#define DESCRIPTORS_SPARED 32 /* for files and sockets of the node itself */

/* Bytes of whole messages that may wait of one connection: enough for the main thread to be busy
 * while the next ones come, but for all together no more than there is room for at the worst. Half
 * of that is for those that send, and half lets all others begin. The few, when much waits. */
#define WHOLE_MAX ((uint64_t)128 * 1024)
#define WHOLE_MIN ((uint64_t)1024)
#define WHOLE_SUBSCRIPTIONS ((uint64_t)32 * 1024) /* each takes many times its bytes */
#define WHOLE_FEW ((uint64_t)4 * 1024)

struct watched {
    struct flow flow;
    struct gate_counts *counts;
    int fd;
    enum guarded guarded;
    bool is_cut;
};

struct guard {
    void *control;  /* to the main thread, ... */
    void *main_end; /* ... which has this end */
    void *monitors[GUARDED_COUNT];
    struct intake intakes[GUARDED_COUNT];
    _Atomic bool must_trim;
    pthread_t thread;
    bool is_started;
    /* All below is the thread's. */
    int fd_limit;
    struct watched *open; /* the connections */
    size_t open_count;
    size_t open_capacity;
    size_t *places; /* by descriptor: 1 + its place in `open`, or 0 */
    size_t places_capacity;
    struct memory_gauge gauge;
    struct growth growth;
    uint64_t cost_max;
    uint64_t whole_max;
    uint64_t whole_idle;
    uint64_t left_over; /* bytes of whole messages whose connections have gone */
    struct intake_mark left_over_mark;
};

static const char *const monitor_endpoints[GUARDED_COUNT] = {
    [GUARDED_COMMANDS] = "inproc://command-connections",
    [GUARDED_EVENTS] = "inproc://event-connections"};

#define CONTROL_ENDPOINT "inproc://guard"

static int descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > GATE_DESCRIPTORS_MAX)
        return GATE_DESCRIPTORS_MAX;
    return (int)limit.rlim_cur - DESCRIPTORS_SPARED;
}

/* A PAIR that loses nothing: reports are small, and a sender that waits would hold up all I/O. */
static void *pair_new(void *context)
{
    void *pair = zmq_socket(context, ZMQ_PAIR);
    if (pair == NULL)
        return NULL;
    socket_set(pair, ZMQ_LINGER, 0);
    socket_set(pair, ZMQ_RCVHWM, 0);
    socket_set(pair, ZMQ_SNDHWM, 0);
    return pair;
}

struct guard *guard_new(void *context, const struct config *config, char error[SOCKET_ERROR_BYTES])
{
    struct guard *guard = calloc(1, sizeof *guard);
    snprintf(error, SOCKET_ERROR_BYTES, "cannot make the guard of the sockets");
    if (guard == NULL)
        return NULL;
    guard->fd_limit = descriptor_limit();
    guard->cost_max = (uint64_t)config->max_waiting_mib * 1024 * 1024;
    guard->whole_max = guard->whole_idle = WHOLE_MIN;
    guard->growth.is_settled = true;
    memory_gauge_open(&guard->gauge);
    guard->main_end = pair_new(context);
    guard->control = pair_new(context);
    for (size_t i = 0; i < GUARDED_COUNT; i++)
        guard->monitors[i] = pair_new(context);
    if (guard->main_end == NULL || guard->control == NULL ||
        zmq_bind(guard->main_end, CONTROL_ENDPOINT) != 0 ||
        zmq_connect(guard->control, CONTROL_ENDPOINT) != 0)
        guard_destroy(&guard);
    return guard;
}

bool guard_watch(struct guard *guard, enum guarded guarded, void *socket)
{
    int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED;
    const char *endpoint = monitor_endpoints[guarded];
    return guard->monitors[guarded] != NULL && zmq_socket_monitor(socket, endpoint, events) == 0 &&
           zmq_connect(guard->monitors[guarded], endpoint) == 0;
}

void guard_stop(struct guard *guard)
{
    if (!guard->is_started)
        return;
    zmq_send(guard->main_end, "", 0, 0);
    pthread_join(guard->thread, NULL);
    guard->is_started = false;
}

static void close_pair(void *pair)
{
    if (pair != NULL)
        zmq_close(pair);
}

void guard_destroy(struct guard **guard)
{
    struct guard *g = *guard;
    if (g == NULL)
        return;
    guard_stop(g);
    for (size_t i = 0; i < GUARDED_COUNT; i++)
        close_pair(g->monitors[i]);
    close_pair(g->control);
    close_pair(g->main_end);
    memory_gauge_close(&g->gauge);
    free(g->open);
    free(g->places);
    free(g);
    *guard = NULL;
}

/* ---- for the main thread ---- */

void *guard_socket(const struct guard *guard)
{
    return guard->main_end;
}

bool guard_next(struct guard *guard, struct guard_report *report)
{
    return zmq_recv(guard->main_end, report, sizeof *report, ZMQ_DONTWAIT) == (int)sizeof *report;
}

void guard_count_message(struct guard *guard, enum guarded guarded)
{
    intake_count(&guard->intakes[guarded].messages);
}

void guard_count_drain(struct guard *guard, enum guarded guarded)
{
    intake_count(&guard->intakes[guarded].drains);
}

void guard_cut_off(struct guard *guard, int fd)
{
    gate_cut_off(fd);
    atomic_store_explicit(&guard->must_trim, true, memory_order_relaxed);
}

/* ---- the thread: connections come and go ---- */

static void report(struct guard *guard, enum guarded guarded, enum guard_news news, int fd)
{
    struct guard_report report = {.guarded = guarded, .news = news, .fd = fd};
    zmq_send(guard->control, &report, sizeof report, ZMQ_DONTWAIT);
}

/* False: no memory. */
static bool make_room(struct guard *guard, int fd)
{
    if (guard->open_count == guard->open_capacity) {
        size_t capacity = 2 * guard->open_capacity + 64;
        struct watched *open = realloc(guard->open, capacity * sizeof *open);
        if (open == NULL)
            return false;
        guard->open = open;
        guard->open_capacity = capacity;
    }
    if ((size_t)fd >= guard->places_capacity) {
        size_t capacity = 2 * (size_t)fd + 64;
        size_t *places = realloc(guard->places, capacity * sizeof *places);
        if (places == NULL)
            return false;
        memset(places + guard->places_capacity, 0,
               (capacity - guard->places_capacity) * sizeof *places);
        guard->places = places;
        guard->places_capacity = capacity;
    }
    return true;
}

static struct watched *find(struct guard *guard, int fd)
{
    if (fd < 0 || (size_t)fd >= guard->places_capacity || guard->places[fd] == 0)
        return NULL;
    return &guard->open[guard->places[fd] - 1];
}

static void forget(struct guard *guard, struct watched *watched)
{
    struct watched *last = &guard->open[--guard->open_count];
    guard->places[last->fd] = guard->places[watched->fd];
    guard->places[watched->fd] = 0;
    *watched = *last;
}

static void let_read(struct guard *guard, struct watched *watched)
{
    uint64_t whole_max = watched->flow.is_active ? guard->whole_max : guard->whole_idle;
    if (watched->guarded == GUARDED_EVENTS && whole_max > WHOLE_SUBSCRIPTIONS)
        whole_max = WHOLE_SUBSCRIPTIONS;
    int64_t ahead_max = flow_ahead_max(&watched->flow, whole_max);
    gate_set_ahead_max(watched->fd, ahead_max, ahead_max - (int64_t)(whole_max / 2));
}

static void connected(struct guard *guard, enum guarded guarded, int fd, uint64_t now_ms)
{
    report(guard, guarded, GUARD_CONNECTED, fd);
    struct gate_counts *counts = gate_counts(fd);
    bool is_room = FLOW_COST_MAX * guard->left_over <= guard->cost_max;
    if (!is_room || fd >= guard->fd_limit || counts == NULL || !make_room(guard, fd)) {
        gate_cut_off(fd);
        report(guard, guarded, GUARD_REFUSED, fd);
        return;
    }
    struct watched *watched = find(guard, fd);
    if (watched == NULL) {
        guard->places[fd] = ++guard->open_count;
        watched = find(guard, fd);
    } /* else the end of the one before is still to be read, from the other monitor */
    *watched = (struct watched){.fd = fd, .guarded = guarded, .counts = counts};
    uint64_t delivered = atomic_load_explicit(&counts->delivered, memory_order_relaxed);
    flow_open(&watched->flow, delivered, now_ms, intake_now(&guard->intakes[guarded]));
    let_read(guard, watched);
}

static void disconnected(struct guard *guard, enum guarded guarded, int fd)
{
    report(guard, guarded, GUARD_DISCONNECTED, fd);
    struct watched *watched = find(guard, fd);
    if (watched == NULL || watched->guarded != guarded)
        return;
    if (watched->flow.waiting > 0) {
        if (guarded == GUARDED_COMMANDS)
            guard->left_over += watched->flow.waiting - watched->flow.unfinished;
        guard->left_over_mark = intake_now(&guard->intakes[GUARDED_COMMANDS]);
        atomic_store_explicit(&guard->must_trim, true, memory_order_relaxed);
        guard->growth.is_settled = false;
    }
    forget(guard, watched);
}

/* What a monitor reports is two frames: event and value, and the endpoint
 * (zmq_socket_monitor(3)). */
static void read_monitor(struct guard *guard, enum guarded guarded, uint64_t now_ms)
{
    unsigned char frame[6];
    char endpoint[256];
    while (zmq_recv(guard->monitors[guarded], frame, sizeof frame, ZMQ_DONTWAIT) ==
           (int)sizeof frame) {
        uint16_t event;
        int32_t value;
        zmq_recv(guard->monitors[guarded], endpoint, sizeof endpoint, ZMQ_DONTWAIT);
        memcpy(&event, frame, sizeof event);
        memcpy(&value, frame + sizeof event, sizeof value);
        if (event == ZMQ_EVENT_ACCEPTED)
            connected(guard, guarded, value, now_ms);
        else if (event == ZMQ_EVENT_DISCONNECTED)
            disconnected(guard, guarded, value);
    }
}

/* ---- the thread: what waits ---- */

struct sums {
    uint64_t waiting;
    uint64_t unfinished;
    size_t active; /* connections */
};

static struct sums look_at_all(struct guard *guard, uint64_t now_ms)
{
    struct intake_mark marks[GUARDED_COUNT];
    for (size_t i = 0; i < GUARDED_COUNT; i++)
        marks[i] = intake_now(&guard->intakes[i]);
    if (intake_has_passed(guard->left_over_mark, marks[GUARDED_COMMANDS], guard->open_count))
        guard->left_over = 0;
    struct sums sums = {.waiting = guard->left_over};
    for (size_t i = 0; i < guard->open_count; i++) {
        struct watched *watched = &guard->open[i];
        struct gate_counts *counts = watched->counts;
        /* What comes in between counts as not taken. */
        uint64_t taken = atomic_load_explicit(&counts->taken, memory_order_relaxed);
        uint64_t delivered = atomic_load_explicit(&counts->delivered, memory_order_relaxed);
        if (watched->is_cut)
            continue;
        bool passed = flow_look(&watched->flow, taken, delivered, now_ms, marks[watched->guarded],
                                guard->open_count);
        if (passed && watched->guarded == GUARDED_EVENTS)
            flow_forgive(&watched->flow);
        sums.waiting += watched->flow.waiting;
        sums.unfinished += watched->flow.unfinished;
        sums.active += watched->flow.is_active;
    }
    return sums;
}

static struct watched *worst(struct guard *guard)
{
    struct watched *found = NULL;
    for (size_t i = 0; i < guard->open_count; i++) {
        struct watched *watched = &guard->open[i];
        if (!watched->is_cut && watched->flow.unfinished > 0 &&
            (found == NULL || watched->flow.unfinished > found->flow.unfinished))
            found = watched;
    }
    return found;
}

/* Those that have most go first, until the rest costs no more than it may. */
static void cut_worst(struct guard *guard, struct sums sums, uint64_t cost)
{
    assert(sums.waiting > 0); /* where nothing waits, nothing costs */
    uint64_t left = sums.waiting;
    struct watched *watched;
    while (cost * left / sums.waiting > guard->cost_max && (watched = worst(guard)) != NULL) {
        watched->is_cut = true;
        left -= watched->flow.unfinished;
        guard_cut_off(guard, watched->fd);
        report(guard, watched->guarded, GUARD_CUT_OFF, watched->fd);
    }
}

/* Of half of the bytes that there is room for at the worst, for one of so many connections. */
static uint64_t share_of(const struct guard *guard, size_t connections, uint64_t most)
{
    uint64_t share = guard->cost_max / FLOW_COST_MAX / 2 / (connections + 1);
    return share < WHOLE_MIN ? WHOLE_MIN : share > most ? most : share;
}

static void look(struct guard *guard, uint64_t now_ms)
{
    /* libzmq has had a tick to free what those had who were cut off. malloc would keep it. */
    if (atomic_exchange_explicit(&guard->must_trim, false, memory_order_relaxed))
        malloc_trim(0);
    /* Memory first: what comes in between must not look like the node's own growth. */
    uint64_t memory = memory_gauge_read(&guard->gauge);
    struct sums sums = look_at_all(guard, now_ms);
    uint64_t cost = growth_cost(&guard->growth, memory, sums.waiting);
    if (cost > guard->cost_max)
        cut_worst(guard, sums, cost);
    uint64_t most = cost > guard->cost_max / 4 ? WHOLE_FEW : WHOLE_MAX;
    guard->whole_max = share_of(guard, sums.active, most);
    guard->whole_idle = share_of(guard, guard->open_count, most);
    for (size_t i = 0; i < guard->open_count; i++)
        let_read(guard, &guard->open[i]);
    if (sums.waiting > sums.unfinished)
        report(guard, GUARDED_COMMANDS, GUARD_NUDGE, -1);
    guard->growth.is_settled = !atomic_load_explicit(&guard->must_trim, memory_order_relaxed);
}

static long time_to_wait(struct guard *guard)
{
    bool has_work =
        guard->open_count > 0 || atomic_load_explicit(&guard->must_trim, memory_order_relaxed);
    return has_work ? (long)TICK_MS : -1;
}

static void *run(void *argument)
{
    struct guard *guard = argument;
    uint64_t next_look_ms = 0;
    for (;;) {
        zmq_pollitem_t items[] = {{guard->control, 0, ZMQ_POLLIN, 0},
                                  {guard->monitors[GUARDED_COMMANDS], 0, ZMQ_POLLIN, 0},
                                  {guard->monitors[GUARDED_EVENTS], 0, ZMQ_POLLIN, 0}};
        zmq_poll(items, sizeof items / sizeof *items, time_to_wait(guard));
        if (items[0].revents & ZMQ_POLLIN)
            return NULL;
        uint64_t now_ms = monotonic_ms();
        read_monitor(guard, GUARDED_COMMANDS, now_ms);
        read_monitor(guard, GUARDED_EVENTS, now_ms);
        if (now_ms < next_look_ms)
            continue;
        look(guard, now_ms);
        next_look_ms = now_ms + TICK_MS;
    }
}

/* Signals are for the main thread; they are blocked already (node_block_signals). */
bool guard_start(struct guard *guard)
{
    guard->is_started = pthread_create(&guard->thread, NULL, run, guard) == 0;
    return guard->is_started;
}
