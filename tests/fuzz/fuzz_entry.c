/* Fuzzes the reading of an entry of the journal: whatever its bytes are, each item lies within
 * them, is written and read again as the same, and what is no item stays where it is. Where an
 * event can be read, so can what --verify and a start make of it. */
#include "domain/effect.h"
#include "store/wire/codec.h"
#include "store/wire/entry.h"

#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct codec *codec;

static void forget(void)
{
    codec_destroy(&codec);
}

static void add(struct entry_bytes *entry, const struct entry_item *item)
{
    CHECK(item->kind == ENTRY_EVENT ? entry_add_event(entry, &item->as.event)
                                    : entry_add_reply(entry, &item->as.reply));
}

static bool is_same_text(struct text a, struct text b)
{
    return text_is_none(a) == text_is_none(b) && text_equal(a, b);
}

static bool is_same(const struct entry_item *a, const struct entry_item *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == ENTRY_EVENT)
        return a->as.event.line_seq == b->as.event.line_seq &&
               text_equal(a->as.event.body, b->as.event.body);
    const struct entry_reply *x = &a->as.reply;
    const struct entry_reply *y = &b->as.reply;
    return text_equal(x->id, y->id) && text_equal(x->request, y->request) &&
           x->outcome == y->outcome && x->duplicate == y->duplicate && x->seq == y->seq &&
           is_same_text(x->batchref, y->batchref);
}

/* What is in the item is decoded as a start does, without harm. */
static void decode(const struct entry_item *item)
{
    struct event event;
    struct request request;
    struct reply refusal;
    if (item->kind == ENTRY_REPLY) {
        codec_decode_request(codec, item->as.reply.request, &request, &refusal);
        return;
    }
    if (!codec_decode_event(codec, item->as.event.body, &event))
        return;
    event.line_seq = item->as.event.line_seq;
    struct effect effect = effect_of(&event);
    CHECK(effect.on_line == LINE_UNTOUCHED || effect.line.orderid.len <= REF_MAX_BYTES);
    CHECK(event.sku.len > 0 && event.sku.len <= SKU_MAX_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text rest = {(const char *)data, size};
    struct entry_item item;
    struct entry_item again;
    struct entry_bytes entry = {.data = NULL};
    if (codec == NULL) {
        codec = codec_new();
        CHECK(codec != NULL);
        atexit(forget);
    }
    size_t before = rest.len;
    while (entry_next(&rest, &item)) {
        CHECK(rest.len < before);
        before = rest.len;
        entry_clear(&entry);
        add(&entry, &item);
        struct text written = entry_text(&entry);
        CHECK(entry_next(&written, &again) && written.len == 0);
        CHECK(is_same(&item, &again));
        decode(&item);
    }
    CHECK(rest.len == before && rest.data + rest.len == (const char *)data + size);
    entry_release(&entry);
    return 0;
}
