#include "tools/zmq_send/bench/audience.h"

#include "domain/base/text.h"
#include "tools/zmq_send/clock.h"
#include "tools/zmq_send/report.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zmq.h>

#define WELCOME "Welcome/"
#define BULK 1000u       /* events of one subscriber before the others get a turn */
#define PATIENCE_MS 10   /* until it looks whether it has to end */
#define QUIET_MS 300     /* without an event: nothing comes any more */
#define END_MS 10000     /* of listening at the end, as others may have events made without end */
#define DEAF_BUFFER 4096 /* of the kernel */

struct subscriber {
    void *socket;
    bool is_welcome;
    uint64_t events;
    uint64_t gaps;
    uint64_t last_seq; /* 0: of none yet */
};

struct audience {
    void *context; /* of its own: so is its I/O thread */
    pthread_t thread;
    _Atomic bool must_end;
    uint64_t listening;
    uint64_t count; /* the deaf ones, who come last, counted */
    struct subscriber *each;
    zmq_pollitem_t *items;
    struct heard heard;
    bool heard_nonsense;
};

static uint64_t wall_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- bodies: `seq`, `prev`, `type` and `time` stand first, and msgpack-c would take longer than
 * all the rest ---- */

static bool take_bytes(struct text *rest, const char *bytes, size_t len)
{
    if (rest->len < len || (bytes != NULL && memcmp(rest->data, bytes, len) != 0))
        return false;
    *rest = (struct text){rest->data + len, rest->len - len};
    return true;
}

static bool take_number(struct text *rest, uint64_t *out)
{
    unsigned head = rest->len > 0 ? (unsigned char)rest->data[0] : 0xff;
    size_t width = head < 0x80 ? 0 : (size_t)1 << (head & 3); /* 0xcc to 0xcf */
    const char *bytes = rest->data + 1;
    if ((head >= 0x80 && head >> 2 != 0xcc >> 2) || !take_bytes(rest, NULL, 1 + width))
        return false;
    *out = width == 0 ? head : 0;
    for (size_t i = 0; i < width; i++)
        *out = *out << 8 | (unsigned char)bytes[i];
    return true;
}

static bool take_event(struct text body, uint64_t *seq, uint64_t *prev, uint64_t *time_ms)
{
    return take_bytes(&body, NULL, 1) && take_bytes(&body, "\xa3seq", 4) &&
           take_number(&body, seq) && take_bytes(&body, "\xa4prev", 5) &&
           take_number(&body, prev) &&
           take_bytes(&body,
                      "\xa4type\xa9"
                      "Allocated",
                      15) &&
           take_bytes(&body, "\xa4time", 5) && take_number(&body, time_ms);
}

/* ---- listening ---- */

static void hear(struct audience *audience, struct subscriber *subscriber, struct text body,
                 uint64_t now_ns)
{
    uint64_t seq = 0;
    uint64_t prev = 0;
    uint64_t time_ms = 0;
    if (!take_event(body, &seq, &prev, &time_ms)) {
        audience->heard_nonsense = true;
        return;
    }
    subscriber->events++;
    subscriber->gaps += subscriber->last_seq != 0 && prev != subscriber->last_seq;
    subscriber->last_seq = seq;
    uint64_t then_ns = time_ms * 1000000u;
    latency_add(&audience->heard.lag, now_ns > then_ns ? now_ns - then_ns : 0, 1);
}

/* Takes what has come, up to BULK. False: nothing had. */
static bool drain(struct audience *audience, struct subscriber *subscriber)
{
    unsigned count = 0;
    uint64_t now_ns = wall_clock_ns();
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (count < BULK && zmq_msg_recv(&frame, subscriber->socket, ZMQ_DONTWAIT) >= 0) {
        bool is_welcome = *(const char *)zmq_msg_data(&frame) == WELCOME[0];
        while (zmq_msg_more(&frame) && zmq_msg_recv(&frame, subscriber->socket, ZMQ_DONTWAIT) >= 0)
            continue;
        if (is_welcome)
            subscriber->is_welcome = true;
        else
            hear(audience, subscriber, (struct text){zmq_msg_data(&frame), zmq_msg_size(&frame)},
                 now_ns);
        count++;
    }
    zmq_msg_close(&frame);
    return count > 0;
}

/* One turn of all that listen. False: nothing had come. */
static bool listen_once(struct audience *audience)
{
    bool any = false;
    zmq_poll(audience->items, (int)audience->listening, PATIENCE_MS);
    for (uint64_t i = 0; i < audience->listening; i++)
        if (audience->items[i].revents & ZMQ_POLLIN)
            any = drain(audience, &audience->each[i]) || any;
    return any;
}

static void *listen_on(void *argument)
{
    struct audience *audience = argument;
    int64_t began_ms = clock_now_ms();
    int64_t heard_ms = began_ms;
    int64_t until_ms = INT64_MAX;
    while (!audience->heard_nonsense && clock_now_ms() < until_ms) {
        if (listen_once(audience))
            heard_ms = clock_now_ms();
        if (audience->must_end && until_ms == INT64_MAX)
            until_ms = clock_now_ms() + END_MS;
        if (audience->must_end && clock_now_ms() >= heard_ms + QUIET_MS)
            break;
    }
    audience->heard.seconds = (double)(heard_ms - began_ms) / 1000;
    return NULL;
}

/* ---- start and stop ---- */

static void *open_subscriber(const struct audience *audience, const char *endpoint, bool is_deaf)
{
    int none = 0;
    int one = 1;
    int buffer = DEAF_BUFFER;
    void *socket = zmq_socket(audience->context, ZMQ_SUB);
    if (socket == NULL)
        return NULL;
    zmq_setsockopt(socket, ZMQ_RCVHWM, is_deaf ? &one : &none, sizeof one);
    if (is_deaf)
        zmq_setsockopt(socket, ZMQ_RCVBUF, &buffer, sizeof buffer);
    else
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, WELCOME, strlen(WELCOME));
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, AUDIENCE_TOPIC, strlen(AUDIENCE_TOPIC));
    if (zmq_connect(socket, endpoint) == 0)
        return socket;
    zmq_close(socket);
    return NULL;
}

static bool open_subscribers(struct audience *audience, const char *endpoint)
{
    audience->context = zmq_ctx_new();
    if (audience->context == NULL)
        return false;
    zmq_ctx_set(audience->context, ZMQ_MAX_SOCKETS, (int)audience->count + 1);
    for (uint64_t i = 0; i < audience->count; i++) {
        struct subscriber *subscriber = &audience->each[i];
        subscriber->socket = open_subscriber(audience, endpoint, i >= audience->listening);
        if (subscriber->socket == NULL)
            return false;
        audience->items[i] = (zmq_pollitem_t){subscriber->socket, 0, ZMQ_POLLIN, 0};
    }
    return true;
}

/* Whoever got a Welcome gets all events that come after it. */
static bool is_welcome(struct audience *audience, int64_t timeout_ms)
{
    int64_t deadline_ms = clock_now_ms() + timeout_ms;
    uint64_t welcome = 0;
    while (welcome < audience->listening && clock_now_ms() < deadline_ms) {
        listen_once(audience);
        while (welcome < audience->listening && audience->each[welcome].is_welcome)
            welcome++;
    }
    return welcome == audience->listening;
}

static void audience_free(struct audience **audience)
{
    for (uint64_t i = 0; i < (*audience)->count; i++)
        if ((*audience)->each[i].socket != NULL)
            zmq_close((*audience)->each[i].socket);
    if ((*audience)->context != NULL)
        zmq_ctx_term((*audience)->context);
    free((*audience)->each);
    free((*audience)->items);
    free(*audience);
    *audience = NULL;
}

struct audience *audience_start(const char *endpoint, uint64_t listening, uint64_t deaf,
                                int64_t timeout_ms, enum status *status)
{
    struct audience *audience = must_have(calloc(1, sizeof *audience));
    audience->listening = listening;
    audience->count = listening + deaf;
    audience->each = must_have(calloc(audience->count, sizeof *audience->each));
    audience->items = must_have(calloc(audience->count, sizeof *audience->items));
    *status = STATUS_BAD_INPUT;
    if (!open_subscribers(audience, endpoint)) {
        complain("cannot open %llu subscribers to %s: %s", (unsigned long long)audience->count,
                 endpoint, zmq_strerror(zmq_errno()));
    } else if (!is_welcome(audience, timeout_ms)) {
        complain("no welcome for %llu subscribers from %s within %lld ms",
                 (unsigned long long)listening, endpoint, (long long)timeout_ms);
        *status = STATUS_NO_CONNECTION;
    } else if (pthread_create(&audience->thread, NULL, listen_on, audience) != 0) {
        complain("cannot start a thread for subscribers");
    } else {
        *status = STATUS_DONE;
        return audience;
    }
    audience_free(&audience);
    return NULL;
}

static void add_up(const struct audience *audience, struct heard *out)
{
    uint64_t most = 0;
    for (uint64_t i = 0; i < audience->listening; i++)
        if (audience->each[i].events > most)
            most = audience->each[i].events;
    for (uint64_t i = 0; i < audience->listening; i++) {
        out->events += audience->each[i].events;
        out->gaps += audience->each[i].gaps;
        out->lost += most - audience->each[i].events;
    }
    out->seconds += audience->heard.seconds;
    latency_merge(&out->lag, &audience->heard.lag);
}

enum status audience_stop(struct audience **audience, struct heard *out)
{
    (*audience)->must_end = true;
    pthread_join((*audience)->thread, NULL);
    bool heard_nonsense = (*audience)->heard_nonsense;
    add_up(*audience, out);
    audience_free(audience);
    if (heard_nonsense)
        complain("an event broke the protocol");
    return heard_nonsense ? STATUS_BAD_REPLY : STATUS_DONE;
}
