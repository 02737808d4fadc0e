#include "tools/zmq_send/pipeline.h"

#include "tools/zmq_send/clock.h"
#include "tools/zmq_send/report.h"

#include <assert.h>
#include <stdlib.h>

#define WINDOW 1000u
#define WINDOW_BYTES ((size_t)16 << 20)
#define HELD_BYTES ((size_t)8 << 20) /* of replies: no more is received until they are taken */

enum entry_state {
    ENTRY_WAITING, /* to be sent on the next occasion */
    ENTRY_SENT,    /* on the present connection */
    ENTRY_FINISHED,
};

struct entry {
    enum entry_state state;
    bool was_sent; /* ever, on any connection */
    char *body;
    size_t len;
    int64_t deadline_ms;
    struct answer answer; /* of use once it is FINISHED; `repeatable` from the start */
};

struct pipeline {
    struct transport transport;
    const char *endpoint;
    int64_t timeout_ms;
    struct connection *connection; /* NULL between attempts */
    const char *trouble;           /* why there is none; static text */
    int64_t retry_at_ms;
    int64_t retry_ms;
    bool hopeless;   /* a whole timeout passed in vain: without a connection, fail at once */
    size_t head;     /* of the ring: the oldest request */
    size_t count;    /* requests in it */
    size_t bytes;    /* of their bodies */
    size_t held;     /* bytes of replies in it */
    size_t sent;     /* requests from the head on that this connection need not send any more */
    size_t answered; /* and those of them that it will send no reply to any more */
    size_t strays;
    struct entry ring[WINDOW];
};

struct pipeline *pipeline_new(struct transport transport, const char *endpoint, int64_t timeout_ms)
{
    struct pipeline *pipeline = must_have(calloc(1, sizeof *pipeline));
    pipeline->transport = transport;
    pipeline->endpoint = endpoint;
    pipeline->timeout_ms = timeout_ms;
    pipeline->retry_ms = RETRY_FIRST_MS;
    pipeline->trouble = "nobody answers there";
    return pipeline;
}

void pipeline_destroy(struct pipeline **pipeline)
{
    if (*pipeline == NULL)
        return;
    struct pipeline *old = *pipeline;
    *pipeline = NULL;
    for (; old->count > 0; old->count--, old->head++) {
        struct entry *entry = &old->ring[old->head % WINDOW];
        if (entry->state == ENTRY_FINISHED)
            answer_close(&entry->answer);
        free(entry->body);
    }
    connection_close(&old->connection);
    free(old);
}

bool pipeline_has_room(const struct pipeline *pipeline)
{
    return pipeline->count == 0 || (pipeline->count < WINDOW && pipeline->bytes < WINDOW_BYTES);
}

bool pipeline_is_empty(const struct pipeline *pipeline)
{
    return pipeline->count == 0;
}

size_t pipeline_strays(const struct pipeline *pipeline)
{
    return pipeline->strays;
}

static struct entry *entry_at(struct pipeline *pipeline, size_t offset)
{
    return &pipeline->ring[(pipeline->head + offset) % WINDOW];
}

static bool is_up(const struct pipeline *pipeline)
{
    return pipeline->connection != NULL && pipeline->connection->state == CONNECTION_UP;
}

static void finish(struct pipeline *pipeline, struct entry *entry, enum answer_kind kind)
{
    entry->state = ENTRY_FINISHED;
    entry->answer.kind = kind;
    pipeline->bytes -= entry->len;
    entry->len = 0;
    free(entry->body);
    entry->body = NULL;
}

static void fail(struct pipeline *pipeline, struct entry *entry, enum answer_kind kind,
                 const char *what, const char *why)
{
    struct answer *answer = &entry->answer;
    snprintf(answer->message, sizeof answer->message, "%s%.128s: %s", what, pipeline->endpoint,
             why);
    finish(pipeline, entry, kind);
}

static void fail_unreached(struct pipeline *pipeline, struct entry *entry)
{
    if (entry->was_sent)
        fail(pipeline, entry, ANSWER_UNKNOWN, "the connection was lost after it was sent to ",
             pipeline->trouble);
    else
        fail(pipeline, entry, ANSWER_NO_CONNECTION, "no connection to ", pipeline->trouble);
}

static struct entry *add(struct pipeline *pipeline)
{
    assert(pipeline_has_room(pipeline));
    struct entry *entry = entry_at(pipeline, pipeline->count++);
    *entry = (struct entry){.deadline_ms = clock_now_ms() + pipeline->timeout_ms};
    return entry;
}

void pipeline_add(struct pipeline *pipeline, struct text body)
{
    struct entry *entry = add(pipeline);
    entry->body = must_have(malloc(body.len + 1));
    if (body.len > 0)
        memcpy(entry->body, body.data, body.len);
    entry->len = body.len;
    pipeline->bytes += body.len;
    answer_expect(&entry->answer, body);
    if (pipeline->hopeless && !is_up(pipeline))
        fail_unreached(pipeline, entry);
}

void pipeline_add_bad_input(struct pipeline *pipeline, const char *message)
{
    struct entry *entry = add(pipeline);
    snprintf(entry->answer.message, sizeof entry->answer.message, "%s", message);
    finish(pipeline, entry, ANSWER_BAD_INPUT);
}

bool pipeline_take(struct pipeline *pipeline, struct answer *out)
{
    struct entry *oldest = entry_at(pipeline, 0);
    if (pipeline->count == 0 || oldest->state != ENTRY_FINISHED)
        return false;
    *out = oldest->answer;
    if (out->kind == ANSWER_REPLY) {
        zmq_msg_init(&out->body);
        zmq_msg_move(&out->body, &oldest->answer.body);
        pipeline->held -= zmq_msg_size(&out->body);
    }
    pipeline->head = (pipeline->head + 1) % WINDOW;
    pipeline->count--;
    pipeline->sent -= pipeline->sent > 0;
    pipeline->answered -= pipeline->answered > 0;
    return true;
}

static struct entry *oldest_unfinished(struct pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->count; i++)
        if (entry_at(pipeline, i)->state != ENTRY_FINISHED)
            return entry_at(pipeline, i);
    return NULL;
}

/* The oldest request that this connection owes a reply; NULL where there is none. */
static struct entry *next_to_answer(struct pipeline *pipeline)
{
    while (pipeline->answered < pipeline->sent) {
        struct entry *entry = entry_at(pipeline, pipeline->answered++);
        if (entry->state == ENTRY_SENT)
            return entry;
    }
    return NULL;
}

/* NULL, or what is wrong with it. */
static const char *take_reply(struct pipeline *pipeline, struct frames *reply)
{
    struct entry *entry = next_to_answer(pipeline);
    if (entry == NULL)
        return "a reply came that nothing was asked for";
    zmq_msg_t *body = connection_take_reply(pipeline->connection, reply);
    if (body == NULL)
        return "the frames of a reply are not the envelope of the oldest request and a body";
    zmq_msg_init(&entry->answer.body);
    zmq_msg_move(&entry->answer.body, body);
    pipeline->held += zmq_msg_size(&entry->answer.body);
    finish(pipeline, entry, ANSWER_REPLY);
    return NULL;
}

static void send_waiting(struct pipeline *pipeline)
{
    for (; pipeline->sent < pipeline->count; pipeline->sent++) {
        struct entry *entry = entry_at(pipeline, pipeline->sent);
        if (entry->state != ENTRY_WAITING)
            continue;
        if (!connection_send(pipeline->connection, (struct text){entry->body, entry->len}))
            return;
        entry->state = ENTRY_SENT;
        entry->was_sent = true;
    }
}

/* Gives the connection up: what was sent on it gets no reply any more. */
static void drop_connection(struct pipeline *pipeline, const char *why, int64_t retry_in_ms)
{
    pipeline->trouble = why;
    for (size_t i = 0; i < pipeline->sent; i++) {
        struct entry *entry = entry_at(pipeline, i);
        if (entry->state != ENTRY_SENT)
            continue;
        entry->state = ENTRY_WAITING;
        if (!entry->answer.repeatable)
            fail_unreached(pipeline, entry);
    }
    pipeline->sent = 0;
    pipeline->answered = 0;
    connection_close(&pipeline->connection);
    pipeline->retry_at_ms = clock_now_ms() + retry_in_ms;
}

/* What came belongs to no request, so that nothing that comes after it can be trusted either. Of
 * the requests one has to tell of it. */
static void break_off(struct pipeline *pipeline, const char *why)
{
    struct entry *entry = oldest_unfinished(pipeline);
    if (entry != NULL) {
        fail(pipeline, entry, ANSWER_BAD_REPLY, "the protocol was broken by ", why);
    } else {
        complain("the protocol was broken by %s: %s", pipeline->endpoint, why);
        pipeline->strays++;
    }
    drop_connection(pipeline, "it broke the protocol", pipeline->retry_ms);
}

/* Time in which replies were not received does not count. */
static void grant_time(struct pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->count; i++) {
        struct entry *entry = entry_at(pipeline, i);
        int64_t deadline_ms = clock_now_ms() + pipeline->timeout_ms;
        if (entry->deadline_ms < deadline_ms)
            entry->deadline_ms = deadline_ms;
    }
    pipeline->connection->had_to_wait = false;
}

static void receive(struct pipeline *pipeline)
{
    struct frames reply;
    while (pipeline->held < HELD_BYTES && connection_receive(pipeline->connection, &reply)) {
        const char *why = take_reply(pipeline, &reply);
        frames_close(&reply);
        if (why != NULL) {
            break_off(pipeline, why);
            return;
        }
    }
    if (pipeline->held >= HELD_BYTES || pipeline->connection->had_to_wait)
        grant_time(pipeline);
}

static void lose_connection(struct pipeline *pipeline)
{
    if (pipeline->connection->is_broken) {
        break_off(pipeline, pipeline->connection->why);
        return;
    }
    bool refused = pipeline->connection->refused;
    drop_connection(pipeline, pipeline->connection->why, pipeline->retry_ms);
    pipeline->retry_ms =
        pipeline->retry_ms * 2 < RETRY_MAX_MS ? pipeline->retry_ms * 2 : RETRY_MAX_MS;
    if (!refused)
        return;
    pipeline->hopeless = true;
    for (size_t i = 0; i < pipeline->count; i++)
        if (entry_at(pipeline, i)->state == ENTRY_WAITING)
            fail_unreached(pipeline, entry_at(pipeline, i));
}

/* Whether this attempt has lasted long enough. */
static bool is_overdue(const struct pipeline *pipeline)
{
    return pipeline->connection->state == CONNECTION_OPENING &&
           clock_now_ms() >= pipeline->connection->opened_ms + CONNECTION_ATTEMPT_MS;
}

static void use_connection(struct pipeline *pipeline)
{
    connection_update(pipeline->connection);
    receive(pipeline); /* after the update: what came before the connection ended still counts */
    if (pipeline->connection == NULL || pipeline->held >= HELD_BYTES)
        return;
    if (pipeline->connection->state == CONNECTION_DOWN || is_overdue(pipeline)) {
        lose_connection(pipeline);
    } else if (is_up(pipeline)) {
        pipeline->retry_ms = RETRY_FIRST_MS;
        pipeline->hopeless = false;
        send_waiting(pipeline);
    }
}

static void expire(struct pipeline *pipeline)
{
    struct entry *entry;
    while ((entry = oldest_unfinished(pipeline)) != NULL && entry->deadline_ms <= clock_now_ms()) {
        if (entry->state == ENTRY_WAITING) {
            pipeline->hopeless = pipeline->hopeless || !entry->was_sent;
            fail_unreached(pipeline, entry);
            continue;
        }
        /* Its reply may still come, and would be taken for that of the next one. */
        fail(pipeline, entry, ANSWER_UNKNOWN, "timed out waiting for a reply from ",
             "none came in time");
        drop_connection(pipeline, "it did not answer in time", 0);
    }
}

static void advance(struct pipeline *pipeline)
{
    if (pipeline->connection != NULL)
        use_connection(pipeline);
    expire(pipeline);
    if (pipeline->connection != NULL || clock_now_ms() < pipeline->retry_at_ms)
        return;
    const char *why = NULL;
    pipeline->connection =
        connection_open(pipeline->transport, ZMQ_DEALER, pipeline->endpoint, &why);
    if (pipeline->connection == NULL)
        drop_connection(pipeline, why, RETRY_MAX_MS);
}

/* When to look again, even if nothing happens; -1: no need to. */
static long next_look_ms(struct pipeline *pipeline)
{
    if (pipeline->count > 0 && entry_at(pipeline, 0)->state == ENTRY_FINISHED)
        return 0;
    struct entry *entry = oldest_unfinished(pipeline);
    long wait_ms = entry == NULL ? -1 : clock_wait_ms(entry->deadline_ms);
    long other_ms = -1;
    if (pipeline->connection == NULL)
        other_ms = clock_wait_ms(pipeline->retry_at_ms);
    else if (pipeline->connection->state == CONNECTION_OPENING)
        other_ms = clock_wait_ms(pipeline->connection->opened_ms + CONNECTION_ATTEMPT_MS);
    return other_ms >= 0 && (wait_ms < 0 || other_ms < wait_ms) ? other_ms : wait_ms;
}

void pipeline_wait(struct pipeline *pipeline, zmq_pollitem_t *also)
{
    advance(pipeline);
    zmq_pollitem_t items[CONNECTION_POLL_ITEMS + 1];
    int count = 0;
    if (pipeline->connection != NULL) {
        bool can_send = is_up(pipeline) && pipeline->sent < pipeline->count;
        connection_poll_items(pipeline->connection, can_send, items);
        count = CONNECTION_POLL_ITEMS;
    }
    if (also != NULL)
        items[count++] = *also;
    if (zmq_poll(items, count, next_look_ms(pipeline)) > 0 && also != NULL)
        also->revents = items[count - 1].revents;
    advance(pipeline);
}
