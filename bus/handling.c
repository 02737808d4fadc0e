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
    h->reply->outcome = outcome;
    h->reply->duplicate = outcome == OUTCOME_DONE && h->decided.count == 0;
    return handling_record(h, product);
}

static bool keep_for_publishing(struct handling *h, const struct event *event, struct text body)
{
    if (h->published_count == h->published_capacity) {
        size_t capacity = h->published_capacity > 0 ? 2 * h->published_capacity : 1024;
        struct published *published = realloc(h->published, capacity * sizeof *published);
        if (published == NULL)
            return false;
        h->published = published;
        h->published_capacity = capacity;
    }
    struct event *awaited = NULL;
    if (dispatch_is_awaited(event->type)) {
        awaited = arena_alloc(h->arena, sizeof *awaited);
        if (awaited == NULL)
            return false;
        *awaited = *event;
    }
    h->published[h->published_count++] = (struct published){event->type, event->sku, body, awaited};
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
