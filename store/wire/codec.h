/* The msgpack codec: what requests, replies and events look like as bytes (docs/PROTOCOL.md). Its
 * one home, for the node, the journal and the tools. */
#ifndef STORE_WIRE_CODEC_H
#define STORE_WIRE_CODEC_H

#include "domain/messages/reply.h"
#include "domain/base/arena.h"

#define REQUEST_MAX_BYTES ((size_t)64 * 1024)

/* Reusable memory of a decoder or encoder. */
struct codec;

/* NULL: no memory. */
struct codec *codec_new(void);
void codec_destroy(struct codec **codec);

/* Decodes a request body, strictly. OUTCOME_DONE: *out is filled, its texts point into `body`.
 * Otherwise *refusal is filled (outcome, type, id, about, rule), its texts point into `body` or
 * are static. Never reads beyond `body`, whatever stands there. */
enum outcome codec_decode_request(struct codec *codec, struct text body, struct request *out,
                                  struct reply *refusal);

/* Whether a request body says that it is a command, whatever else is wrong with it: cheap, as next
 * to nothing of it is looked at. */
bool codec_is_command(struct text body);

/* Decodes a BatchQuantityChanged of another node (rule 11): keys that it does not know are
 * ignored, `batchref` stands in for `ref`. False: it is not one. Texts point into `body`. */
bool codec_decode_upstream(struct codec *codec, struct text body,
                           struct change_batch_quantity *out);

/* Encodes a reply. *out lives until the next call with this codec. False: no memory. */
bool codec_encode_reply(struct codec *codec, const struct reply *reply, struct text *out);

/* Encodes an event as it is published and stored. *out lives until the next call with this codec.
 * False: no memory. */
bool codec_encode_event(struct codec *codec, const struct event *event, struct text *out);

/* Decodes what codec_encode_event made; the fields that are not published stay 0. False: it is no
 * such event. Texts point into `body`. */
bool codec_decode_event(struct codec *codec, struct text body, struct event *out);

/* Encodes {seq, time}, the body of Heartbeat and Welcome. As codec_encode_reply. */
bool codec_encode_pulse(struct codec *codec, uint64_t seq, uint64_t time_ms, struct text *out);

/* The canonical bytes of a request without its id: equal for requests of equal type and values,
 * however they were encoded. As codec_encode_reply. */
bool codec_encode_request(struct codec *codec, const struct request *request, struct text *out);

/* Writes the topic `TYPE/SKU/` of an event, with `%` and `/` of the SKU escaped. Returns its
 * length. */
#define TOPIC_MAX_BYTES (20 + 1 + 3 * SKU_MAX_BYTES + 1)
size_t codec_topic(enum message_type type, struct text sku, char out[TOPIC_MAX_BYTES]);

#endif
