/* What became of one request. */
#ifndef TOOLS_ZMQ_SEND_ANSWER_H
#define TOOLS_ZMQ_SEND_ANSWER_H

#include "domain/messages/message.h"
#include "tools/zmq_send/body.h"
#include "tools/zmq_send/status.h"

#include <stdio.h>
#include <zmq.h>

enum answer_kind {
    ANSWER_REPLY,         /* the node's body; it may still be nonsense */
    ANSWER_BAD_INPUT,     /* never sent: what was asked for is no request */
    ANSWER_NO_CONNECTION, /* never sent */
    ANSWER_UNKNOWN,       /* sent, and no reply came */
    ANSWER_BAD_REPLY,     /* what came was no reply */
};

struct answer {
    enum answer_kind kind;
    bool repeatable;   /* the request may be sent again without harm */
    zmq_msg_t body;    /* REPLY */
    char message[240]; /* the others: what happened */
    size_t id_len;     /* of the request's id; 0: it had no valid one */
    char id[ID_MAX_BYTES];
};

/* Keeps what of the request is needed to judge its answer. */
void answer_expect(struct answer *answer, struct text request);

void answer_close(struct answer *answer);

/* A reply that keeps the protocol: one msgpack map with a bool `ok` and the id of its request.
 * True: *out is it, for msgpack_unpacked_destroy, and lives as long as the answer. False: the
 * answer is of another kind, or became a BAD_REPLY. */
bool answer_reply(struct answer *answer, msgpack_unpacked *out);

/* The exit status of a reply, or of an answer that is none. */
enum status answer_reply_status(const msgpack_unpacked *reply);
enum status answer_failure_status(const struct answer *answer);

/* Says on stderr what an answer that is no reply means. */
void answer_complain(const struct answer *answer);

/* Writes an answer that is no reply as a line of JSON in the shape of a refusal. */
void answer_write_failure(FILE *out, const struct answer *answer);

#endif
