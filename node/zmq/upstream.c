#include "node/zmq/upstream.h"

#include "node/front/front.h"
#include "store/wire/codec.h"

#include <stdlib.h>
#include <zmq.h>

#define RETRY_MS 1000u
#define BAD_PER_TURN 1000u /* messages, before others get a turn */
#define WAITING_MAX 64     /* messages that wait to be read; the next ones wait in the front */

/* A slot holds a message for as long as its command is under way. */
struct slot {
    zmq_msg_t body;
    struct change_batch_quantity command;
};

struct upstream {
    struct inner inner; /* open where there is an endpoint */
    struct codec *codec;
    struct stats *stats;
    struct logger *logger;
    struct log_limit bad_limit;
    struct slot slots[UPSTREAM_GROUP_MAX];
    size_t first; /* slots in use: first .. count - 1 */
    size_t count;
    size_t sent;     /* of these, in the group that was sent, ... */
    size_t taken;    /* ... and, behind them, in the open one */
    bool must_retry; /* the last group was not committed */
    uint64_t retry_at_ms;
};

static bool open_socket(struct upstream *upstream, void *context, const struct config *config)
{
    if (config->upstream.count == 0)
        return true;
    return inner_open(&upstream->inner, context, ZMQ_PULL, INNER_BIND, FRONT_UPSTREAM, WAITING_MAX);
}

struct upstream *upstream_new(void *context, const struct config *config, struct stats *stats,
                              struct logger *logger, char error[ERROR_BYTES])
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (upstream != NULL)
        upstream->codec = codec_new();
    if (upstream == NULL || upstream->codec == NULL) {
        snprintf(error, ERROR_BYTES, "no memory");
        free(upstream);
        return NULL;
    }
    upstream->stats = stats;
    upstream->logger = logger;
    snprintf(error, ERROR_BYTES, "cannot open the upstream socket");
    if (!open_socket(upstream, context, config))
        upstream_destroy(&upstream);
    return upstream;
}

void upstream_destroy(struct upstream **upstream)
{
    if (*upstream == NULL)
        return;
    (*upstream)->must_retry = false;
    (*upstream)->sent = (*upstream)->count - (*upstream)->first;
    upstream_end_group(*upstream);
    inner_close(&(*upstream)->inner);
    codec_destroy(&(*upstream)->codec);
    free(*upstream);
    *upstream = NULL;
}

struct inner *upstream_inner(struct upstream *upstream)
{
    return upstream->must_retry || upstream->inner.socket == NULL ? NULL : &upstream->inner;
}

static void count_bad(struct upstream *upstream, uint64_t now_ms, const char *why)
{
    upstream->stats->upstream_bad++;
    log_limited(upstream->logger, &upstream->bad_limit, now_ms, LOG_WARN,
                "upstream message not carried out: %s", why);
}

void upstream_log_rest(struct upstream *upstream, uint64_t now_ms, bool now)
{
    log_rest(upstream->logger, &upstream->bad_limit, now_ms, now);
}

/* Fills the next slot with a command that makes sense. */
static bool take_new(struct upstream *upstream, uint64_t now_ms)
{
    for (unsigned bad = 0; bad < BAD_PER_TURN; bad++) {
        if (upstream->inner.socket == NULL || upstream->count == UPSTREAM_GROUP_MAX)
            return false;
        struct slot *slot = &upstream->slots[upstream->count];
        if (!inner_receive(&upstream->inner, &slot->body))
            return false;
        upstream->stats->upstream_received++;
        struct text body = {zmq_msg_data(&slot->body), zmq_msg_size(&slot->body)};
        if (body.len > 0 && codec_decode_upstream(upstream->codec, body, &slot->command)) {
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
    size_t next = upstream->first + upstream->sent + upstream->taken;
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

void upstream_send_group(struct upstream *upstream)
{
    upstream->sent = upstream->taken;
    upstream->taken = 0;
}

/* What is to be tried again is taken from the first one on, as soon as no group has any of it. */
void upstream_end_group(struct upstream *upstream)
{
    if (!upstream->must_retry) {
        for (size_t i = 0; i < upstream->sent; i++)
            zmq_msg_close(&upstream->slots[upstream->first++].body);
        if (upstream->first == upstream->count)
            upstream->first = upstream->count = 0;
    }
    upstream->sent = 0;
}
