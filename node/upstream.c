#include "node/upstream.h"

#include "store/codec.h"

#include <stdlib.h>

#define TOPIC "BatchQuantityChanged/"
#define RETRY_MS 1000u
#define BAD_PER_TURN 1000u /* messages, before others get a turn */
#define WAITING_MAX 100000 /* messages that wait to be read, for each upstream node */

/* A slot holds a message for as long as its command is under way. */
struct slot {
    zmq_msg_t body;
    struct change_batch_quantity command;
};

struct upstream {
    void *socket; /* NULL: no endpoint */
    struct codec *codec;
    struct stats *stats;
    struct logger *logger;
    struct log_limit bad_limit;
    struct slot slots[UPSTREAM_GROUP_MAX];
    size_t first; /* slots in use: first .. count - 1 */
    size_t count;
    size_t taken;    /* of these, into the group under way */
    bool must_retry; /* the last group was not committed */
    uint64_t retry_at_ms;
};

static bool connect_all(struct upstream *upstream, void *context, const struct config *config,
                        char *error)
{
    if (config->upstream.count == 0)
        return true;
    const char *first = config->upstream.items[0];
    snprintf(error, SOCKET_ERROR_BYTES, "cannot open the upstream socket");
    upstream->socket = socket_new(context, ZMQ_SUB, config, first);
    if (upstream->socket == NULL)
        return false;
    socket_set(upstream->socket, ZMQ_RCVHWM, WAITING_MAX);
    socket_set(upstream->socket, ZMQ_LINGER, 0);
    zmq_setsockopt(upstream->socket, ZMQ_SUBSCRIBE, TOPIC, strlen(TOPIC));
    for (size_t i = 0; i < config->upstream.count; i++) {
        if (endpoint_is_ipv6(config->upstream.items[i]))
            socket_set(upstream->socket, ZMQ_IPV6, 1);
        if (zmq_connect(upstream->socket, config->upstream.items[i]) != 0) {
            snprintf(error, SOCKET_ERROR_BYTES, "cannot connect to upstream %s: %s",
                     config->upstream.items[i], zmq_strerror(zmq_errno()));
            return false;
        }
    }
    return true;
}

struct upstream *upstream_new(void *context, const struct config *config, struct stats *stats,
                              struct logger *logger, char error[SOCKET_ERROR_BYTES])
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (upstream != NULL)
        upstream->codec = codec_new();
    if (upstream == NULL || upstream->codec == NULL) {
        snprintf(error, SOCKET_ERROR_BYTES, "no memory");
        free(upstream);
        return NULL;
    }
    upstream->stats = stats;
    upstream->logger = logger;
    if (!connect_all(upstream, context, config, error))
        upstream_destroy(&upstream);
    return upstream;
}

void upstream_destroy(struct upstream **upstream)
{
    if (*upstream == NULL)
        return;
    (*upstream)->must_retry = false;
    (*upstream)->taken = (*upstream)->count - (*upstream)->first;
    upstream_end_group(*upstream);
    if ((*upstream)->socket != NULL)
        zmq_close((*upstream)->socket);
    codec_destroy(&(*upstream)->codec);
    free(*upstream);
    *upstream = NULL;
}

void *upstream_socket(const struct upstream *upstream)
{
    return upstream->must_retry ? NULL : upstream->socket;
}

static void count_bad(struct upstream *upstream, uint64_t now_ms, const char *why)
{
    upstream->stats->upstream_bad++;
    log_limited(upstream->logger, &upstream->bad_limit, now_ms, LOG_WARN,
                "upstream message not carried out: %s", why);
}

/* Leaves the body of the next message in `body`. False: none waits. */
static bool receive(struct upstream *upstream, zmq_msg_t *body, size_t *frames)
{
    bool more = true;
    for (*frames = 0; more; ++*frames) {
        if (*frames > 0)
            zmq_msg_close(body);
        zmq_msg_init(body);
        if (zmq_msg_recv(body, upstream->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(body);
            return false;
        }
        more = zmq_msg_more(body) != 0;
    }
    return true;
}

/* Fills the next slot with a command that makes sense. */
static bool take_new(struct upstream *upstream, uint64_t now_ms)
{
    for (unsigned bad = 0; bad < BAD_PER_TURN; bad++) {
        if (upstream->socket == NULL || upstream->count == UPSTREAM_GROUP_MAX)
            return false;
        struct slot *slot = &upstream->slots[upstream->count];
        size_t frames;
        if (!receive(upstream, &slot->body, &frames))
            return false;
        upstream->stats->upstream_received++;
        struct text body = {zmq_msg_data(&slot->body), zmq_msg_size(&slot->body)};
        if (frames == 2 && codec_decode_upstream(upstream->codec, body, &slot->command)) {
            upstream->count++;
            return true;
        }
        count_bad(upstream, now_ms, "it is no BatchQuantityChanged with ref and qty");
        zmq_msg_close(&slot->body);
    }
    return false;
}

bool upstream_next(struct upstream *upstream, uint64_t now_ms, struct request *out)
{
    if (upstream->must_retry && now_ms < upstream->retry_at_ms)
        return false;
    size_t next = upstream->first + upstream->taken;
    if (next == upstream->count && (upstream->must_retry || !take_new(upstream, now_ms)))
        return false;
    *out = (struct request){.type = MESSAGE_CHANGE_BATCH_QUANTITY};
    out->as.change_batch_quantity = upstream->slots[next].command;
    upstream->taken++;
    return true;
}

void upstream_outcome(struct upstream *upstream, bool committed, enum outcome outcome,
                      uint64_t now_ms)
{
    upstream->must_retry = !committed;
    if (!committed)
        upstream->retry_at_ms = now_ms + RETRY_MS;
    else if (outcome != OUTCOME_DONE)
        count_bad(upstream, now_ms, outcome_info(outcome)->code);
}

void upstream_end_group(struct upstream *upstream)
{
    if (!upstream->must_retry) {
        for (size_t i = 0; i < upstream->taken; i++)
            zmq_msg_close(&upstream->slots[upstream->first++].body);
        if (upstream->first == upstream->count)
            upstream->first = upstream->count = 0;
    }
    upstream->taken = 0;
}
