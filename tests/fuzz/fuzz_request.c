/* Feeds the same bytes to every decoder of messages. What one of them takes must encode, and
 * decode again, to the same canonical bytes. */
#include "store/wire/codec.h"

#include <assert.h>
#include <stdlib.h>

static struct codec *codec;
static struct codec *other; /* so that both encodings live at the same time */

static void check_reply(const struct reply *refusal)
{
    struct text bytes;
    assert(refusal->outcome != OUTCOME_DONE);
    assert((refusal->rule != NULL) == (refusal->outcome == OUTCOME_INVALID_FIELD));
    assert(codec_encode_reply(codec, refusal, &bytes));
}

static void check_request(struct text body)
{
    struct request request;
    struct reply refusal;
    struct text first;
    struct text second;
    if (codec_decode_request(codec, body, &request, &refusal) != OUTCOME_DONE) {
        check_reply(&refusal);
        return;
    }
    assert(text_is_none(request.id) || text_is_name(request.id, ID_MAX_BYTES));
    assert(codec_encode_request(codec, &request, &first));
    assert(codec_decode_request(codec, first, &request, &refusal) == OUTCOME_DONE);
    assert(codec_encode_request(other, &request, &second));
    assert(text_compare(first, second) == 0);
}

static void check_event(struct text body)
{
    struct event event;
    struct text first;
    struct text second;
    if (!codec_decode_event(codec, body, &event))
        return;
    assert(codec_encode_event(codec, &event, &first));
    assert(codec_decode_event(codec, first, &event));
    assert(codec_encode_event(other, &event, &second));
    assert(text_compare(first, second) == 0);
}

static void check_upstream(struct text body)
{
    struct change_batch_quantity change;
    if (!codec_decode_upstream(codec, body, &change))
        return;
    assert(text_is_name(change.ref, REF_MAX_BYTES) && change.qty <= QTY_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (codec == NULL)
        codec = codec_new();
    if (other == NULL)
        other = codec_new();
    if (codec == NULL || other == NULL)
        abort();
    struct text body = {(const char *)data, size};
    check_request(body);
    check_event(body);
    check_upstream(body);
    return 0;
}
