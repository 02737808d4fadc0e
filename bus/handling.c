#include "bus/dispatch.h"

#include <stdlib.h>

enum store_result handling_refuse(struct handling *h, enum outcome outcome)
{
    h->reply->outcome = outcome;
    return STORE_OK;
}

enum store_result handling_find_line(struct handling *h, struct text orderid, struct text sku,
                                     struct product **product, struct order_line *line,
                                     const struct order_line **existing)
{
    enum store_result result = unit_product(h->parts.unit, sku, product);
    if (result != STORE_OK)
        return result;
    result = unit_line(h->parts.unit, orderid, sku, line);
    *existing = result == STORE_OK ? line : NULL;
    return result == STORE_NOT_FOUND ? STORE_OK : result;
}

enum store_result handling_conclude(struct handling *h, struct product *product,
                                    enum outcome outcome)
{
    if (outcome == OUTCOME_STORAGE_FAILED)
        return STORE_FAILED;
    struct reply *reply = h->reply;
    reply->outcome = outcome;
    reply->duplicate = outcome == OUTCOME_DONE && h->decided.count == 0;
    /* The product's own text may be gone before the reply leaves. */
    if (!text_is_none(reply->batchref) && !arena_text(h->arena, reply->batchref, &reply->batchref))
        return STORE_FAILED;
    return handling_record(h, product);
}

static bool keep_for_publishing(struct handling *h, const struct event *event, struct text body)
{
    struct outbox *outbox = h->outbox;
    struct text sku;
    if (outbox->count == outbox->capacity) {
        size_t capacity = outbox->capacity > 0 ? 2 * outbox->capacity : 1024;
        struct published *items = realloc(outbox->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        outbox->items = items;
        outbox->capacity = capacity;
    }
    struct event *awaited = NULL;
    if (!arena_text(h->arena, event->sku, &sku)) /* the product may be gone by then */
        return false;
    if (dispatch_is_awaited(event->type)) {
        awaited = arena_alloc(h->arena, sizeof *awaited);
        if (awaited == NULL)
            return false;
        *awaited = *event;
        awaited->sku = sku;
    }
    outbox->items[outbox->count++] = (struct published){event->type, sku, body, awaited};
    return true;
}

enum store_result handling_record(struct handling *h, struct product *product)
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < h->decided.count && result == STORE_OK; i++) {
        struct event *event = &h->decided.items[i];
        struct text body;
        event->cause = h->cause;
        result = unit_append(h->parts.unit, product, event, &body);
        if (result == STORE_OK && !keep_for_publishing(h, event, body))
            result = STORE_FAILED;
        if (result == STORE_OK && dispatch_is_handled(event->type))
            result = handling_raise(h, product, event);
    }
    h->decided.count = 0;
    return result;
}

enum store_result handling_raise(struct handling *h, struct product *product,
                                 const struct event *event)
{
    struct queued item = {product, *event};
    return queue_push(&h->queue, &item) ? STORE_OK : STORE_FAILED;
}
