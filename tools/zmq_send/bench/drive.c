#include "tools/zmq_send/bench/drive.h"

#include "tools/zmq_send/body.h"
#include "tools/zmq_send/clock.h"
#include "tools/zmq_send/report.h"

#include <msgpack.h>
#include <stdlib.h>
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
    uint64_t next;
    uint64_t until_ns;
    bool ended; /* nothing more is sent */
    enum status status;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

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
    msgpack_unpacked_init(&reply);
    size_t offset = 0;
    bool good =
        msgpack_unpack_next(&reply, body.data, body.len, &offset) == MSGPACK_UNPACK_SUCCESS &&
        examine(counts(run) ? run->figures : NULL, &reply.data);
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
            now = now_ns();
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

static void fill(struct run *run, struct client *client)
{
    const struct drive *drive = run->drive;
    uint64_t now = now_ns();
    for (unsigned i = 0;
         i < BULK && has_more(run) && client->sent - client->answered < drive->inflight; i++) {
        struct text body = drive->request(drive->maker, run->next);
        if (zmq_send(client->socket, body.data, body.len, ZMQ_DONTWAIT) < 0)
            return; /* not connected yet, or its buffers are full */
        run->next++;
        client->sent_ns[client->sent++ % drive->inflight] = now;
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
    /* 10 ms: a socket that is not connected yet becomes ready for sending without a message. */
    zmq_poll(run->items, (int)run->drive->clients, 10);
}

static void loop(struct run *run)
{
    const struct drive *drive = run->drive;
    uint64_t began_ns = now_ns();
    int64_t quiet_since_ms = clock_now_ms();
    run->until_ns = began_ns + (uint64_t)(drive->seconds * 1e9);
    while (run->status == STATUS_DONE && (has_more(run) || !is_answered(run))) {
        if (turn(run) > 0)
            quiet_since_ms = clock_now_ms();
        else
            wait_for_replies(run, quiet_since_ms);
        if (drive->count == 0 && !run->ended && now_ns() >= run->until_ns) {
            run->ended = true;
            run->figures->seconds += (double)(now_ns() - began_ns) / 1e9;
        }
    }
    if (drive->count > 0)
        run->figures->seconds += (double)(now_ns() - began_ns) / 1e9;
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
    run.items = must_have(calloc(drive->clients, sizeof *run.items));
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
    free(run.clients);
    free(run.items);
    *next = run.next;
    return run.status;
}
