#include "tools/zmq_send/bench/drive.h"

#include "tools/zmq_send/body.h"
#include "tools/zmq_send/clock.h"
#include "tools/zmq_send/report.h"

#include <msgpack.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <zmq.h>

#define BULK 1024u /* requests of one client before the others get a turn */

/* One connection. Replies come in the order of the requests, so that the times at which they were
 * sent are a queue. */
struct client {
    void *socket;
    uint64_t *sent_ns; /* a ring of `inflight` */
    uint64_t sent;
    uint64_t answered;
};

struct run {
    const struct drive *drive;
    struct figures *figures;
    struct client *clients;
    zmq_pollitem_t *items;
    int timer; /* runs off when a request is due that is sent at a rate; -1: there is no rate */
    uint64_t next;
    uint64_t began_ns;
    uint64_t until_ns;
    bool ended; /* nothing more is sent */
    enum status status;
};

double figures_rate(const struct figures *figures)
{
    return figures->seconds > 0 ? (double)figures->replies / figures->seconds : 0;
}

/* ---- replies ---- */

static void count_refusal(struct figures *figures, struct text code)
{
    figures->refused++;
    struct refusals *r = figures->refusals;
    size_t i = 0;
    if (code.len >= CODE_BYTES)
        code.len = CODE_BYTES - 1;
    while (i + 1 < REFUSALS_MAX && r[i].count > 0 && !text_equal(code, text_of(r[i].code)))
        i++;
    if (r[i].count++ == 0) {
        memcpy(r[i].code, code.data, code.len);
        r[i].code[code.len] = '\0';
    }
}

/* The slow way to look at a reply; `figures` may be NULL. False: it is none. */
static bool examine(struct figures *figures, const msgpack_object *reply)
{
    const msgpack_object *ok = body_find(reply, "ok");
    struct text error = body_text(reply, "error");
    if (ok == NULL || ok->type != MSGPACK_OBJECT_BOOLEAN)
        return false;
    if (figures != NULL && !ok->via.boolean && !text_is_none(error))
        count_refusal(figures, error);
    return ok->via.boolean || !text_is_none(error);
}

/* False: time is up, and what is still in flight is only waited for. */
static bool counts(const struct run *run)
{
    return !run->ended || run->drive->count > 0;
}

static bool look_at(struct run *run, struct text body)
{
    static const char done[] = "\xa2ok\xc3"; /* behind the head of a small map */
    if (run->drive->is_echo)
        return body.len > 0;
    if (body.len > sizeof done && memcmp(body.data + 1, done, sizeof done - 1) == 0)
        return true;
    msgpack_unpacked reply;
    const char *why;
    if (!body_unpack(&reply, body.data, body.len, &why))
        return false;
    bool good = examine(counts(run) ? run->figures : NULL, &reply.data);
    msgpack_unpacked_destroy(&reply);
    return good;
}

/* All replies that have come, up to BULK. */
static uint64_t drain(struct run *run, struct client *client)
{
    const struct drive *drive = run->drive;
    uint64_t count = 0;
    uint64_t now = 0;
    zmq_msg_t message;
    zmq_msg_init(&message);
    while (count < BULK && client->answered < client->sent &&
           zmq_msg_recv(&message, client->socket, ZMQ_DONTWAIT) >= 0) {
        if (count++ == 0)
            now = clock_now_ns();
        struct text body = {zmq_msg_data(&message), zmq_msg_size(&message)};
        if (zmq_msg_more(&message) || !look_at(run, body)) {
            complain("a reply broke the protocol");
            run->status = STATUS_BAD_REPLY;
            break;
        }
        uint64_t sent_ns = client->sent_ns[client->answered++ % drive->inflight];
        if (counts(run)) {
            latency_add(&run->figures->latency, now > sent_ns ? now - sent_ns : 0, 1);
            run->figures->replies++;
        }
    }
    zmq_msg_close(&message);
    return count;
}

/* ---- requests ---- */

static bool has_more(const struct run *run)
{
    return !run->ended &&
           (run->drive->count == 0 || run->next < run->drive->first + run->drive->count);
}

/* When request n has to be sent: now, where there is no rate. */
static uint64_t due_ns(const struct run *run, uint64_t n)
{
    const struct drive *drive = run->drive;
    if (!(drive->rate > 0))
        return 0;
    return run->began_ns + (uint64_t)((double)(n - drive->first) * 1e9 / drive->rate);
}

/* What is sent at a rate waits from when it was due: a node that is late makes others wait too. */
static void fill(struct run *run, struct client *client)
{
    const struct drive *drive = run->drive;
    uint64_t now = clock_now_ns();
    for (unsigned i = 0;
         i < BULK && has_more(run) && client->sent - client->answered < drive->inflight; i++) {
        uint64_t due = due_ns(run, run->next);
        if (due > now)
            return;
        struct text body = drive->request(drive->maker, run->next);
        if (zmq_send(client->socket, body.data, body.len, ZMQ_DONTWAIT) < 0)
            return; /* not connected yet, or its buffers are full */
        run->next++;
        client->sent_ns[client->sent++ % drive->inflight] = due > 0 ? due : now;
    }
}

/* ---- the loop ---- */

/* One turn of every client. Returns the number of replies. */
static uint64_t turn(struct run *run)
{
    uint64_t replies = 0;
    for (uint64_t i = 0; i < run->drive->clients && run->status == STATUS_DONE; i++) {
        replies += drain(run, &run->clients[i]);
        fill(run, &run->clients[i]);
    }
    return replies;
}

static bool is_answered(const struct run *run)
{
    for (uint64_t i = 0; i < run->drive->clients; i++)
        if (run->clients[i].answered < run->clients[i].sent)
            return false;
    return true;
}

static void wait_for_replies(struct run *run, int64_t quiet_since_ms)
{
    int64_t deadline_ms = quiet_since_ms + run->drive->timeout_ms;
    if (clock_now_ms() >= deadline_ms) {
        complain("no reply within %lld ms", (long long)run->drive->timeout_ms);
        run->status = STATUS_UNKNOWN;
        return;
    }
    size_t count = (size_t)run->drive->clients;
    uint64_t due = due_ns(run, run->next);
    if (run->timer >= 0 && due > clock_now_ns()) {
        struct itimerspec when = {.it_value = {.tv_sec = (time_t)(due / 1000000000u),
                                               .tv_nsec = (long)(due % 1000000000u)}};
        timerfd_settime(run->timer, TFD_TIMER_ABSTIME, &when, NULL);
        run->items[count++] = (zmq_pollitem_t){NULL, run->timer, ZMQ_POLLIN, 0};
    }
    /* 10 ms: a socket that is not connected yet becomes ready for sending without a message. */
    zmq_poll(run->items, (int)count, 10);
}

static void loop(struct run *run)
{
    const struct drive *drive = run->drive;
    int64_t quiet_since_ms = clock_now_ms();
    run->began_ns = clock_now_ns();
    run->until_ns = run->began_ns + (uint64_t)(drive->seconds * 1e9);
    while (run->status == STATUS_DONE && (has_more(run) || !is_answered(run))) {
        bool answers = turn(run) > 0;
        if (answers || (due_ns(run, run->next) > clock_now_ns() && is_answered(run)))
            quiet_since_ms = clock_now_ms();
        if (!answers)
            wait_for_replies(run, quiet_since_ms);
        if (drive->count == 0 && !run->ended && clock_now_ns() >= run->until_ns) {
            run->ended = true;
            run->figures->seconds += (double)(clock_now_ns() - run->began_ns) / 1e9;
        }
    }
    if (drive->count > 0)
        run->figures->seconds += (double)(clock_now_ns() - run->began_ns) / 1e9;
}

static bool open_clients(struct run *run)
{
    const struct drive *drive = run->drive;
    int none = 0;
    for (uint64_t i = 0; i < drive->clients; i++) {
        struct client *client = &run->clients[i];
        client->sent_ns = must_have(calloc(drive->inflight, sizeof *client->sent_ns));
        client->socket = zmq_socket(drive->context, ZMQ_DEALER);
        if (client->socket == NULL)
            return false;
        zmq_setsockopt(client->socket, ZMQ_SNDHWM, &none, sizeof none);
        zmq_setsockopt(client->socket, ZMQ_RCVHWM, &none, sizeof none);
        zmq_setsockopt(client->socket, ZMQ_LINGER, &none, sizeof none);
        if (zmq_connect(client->socket, drive->endpoint) != 0)
            return false;
        run->items[i] = (zmq_pollitem_t){client->socket, 0, ZMQ_POLLIN, 0};
    }
    return true;
}

enum status drive_run(const struct drive *drive, struct figures *out, uint64_t *next)
{
    struct run run = {.drive = drive, .figures = out, .next = drive->first};
    run.clients = must_have(calloc(drive->clients, sizeof *run.clients));
    run.items = must_have(calloc(drive->clients + 1, sizeof *run.items));
    run.timer = drive->rate > 0 ? timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC) : -1;
    if (open_clients(&run)) {
        loop(&run);
    } else {
        complain("cannot open %llu sockets to %s: %s", (unsigned long long)drive->clients,
                 drive->endpoint, zmq_strerror(zmq_errno()));
        run.status = STATUS_BAD_INPUT;
    }
    for (uint64_t i = 0; i < drive->clients; i++) {
        if (run.clients[i].socket != NULL)
            zmq_close(run.clients[i].socket);
        free(run.clients[i].sent_ns);
    }
    if (run.timer >= 0)
        close(run.timer);
    free(run.clients);
    free(run.items);
    *next = run.next;
    return run.status;
}
