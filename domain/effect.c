#include "domain/effect.h"

#include <assert.h>

static struct effect on_batch(enum batch_effect what, struct text ref)
{
    return (struct effect){.on_batch = what, .batchref = ref, .line.batchref = text_none()};
}

static struct effect effect_of_batch_created(const struct event *event)
{
    return on_batch(BATCH_NEW, event->as.batch_created.ref);
}

static struct effect effect_of_batch_quantity_changed(const struct event *event)
{
    return on_batch(BATCH_CHANGED, event->as.batch_quantity_changed.ref);
}

static struct effect effect_of_batch_eta_changed(const struct event *event)
{
    return on_batch(BATCH_CHANGED, event->as.batch_eta_changed.ref);
}

static struct effect effect_of_allocated(const struct event *event)
{
    const struct allocated *allocated = &event->as.allocated;
    return (struct effect){.on_line = LINE_PUT,
                           .line = {.orderid = allocated->orderid,
                                    .sku = event->sku,
                                    .qty = allocated->qty,
                                    .batchref = allocated->batchref,
                                    .seq = event->seq},
                           .waited_since = event->line_seq,
                           .on_batch = BATCH_TAKES_LINE,
                           .batchref = allocated->batchref};
}

static struct effect effect_of_deallocated(const struct event *event)
{
    const struct deallocated *deallocated = &event->as.deallocated;
    bool waited = text_is_none(deallocated->batchref);
    return (struct effect){.on_line = LINE_GONE,
                           .line = {.orderid = deallocated->orderid,
                                    .sku = event->sku,
                                    .qty = deallocated->qty,
                                    .batchref = deallocated->batchref,
                                    .seq = event->line_seq},
                           .waited_since = waited ? event->line_seq : 0,
                           .on_batch = waited ? BATCH_UNTOUCHED : BATCH_LOSES_LINE,
                           .batchref = deallocated->batchref};
}

/* Rule 8: a line that was refused is not kept. */
static struct effect effect_of_out_of_stock(const struct event *event)
{
    const struct out_of_stock *refused = &event->as.out_of_stock;
    return (struct effect){.on_line = refused->waiting ? LINE_PUT : LINE_UNTOUCHED,
                           .line = {.orderid = refused->orderid,
                                    .sku = event->sku,
                                    .qty = refused->qty,
                                    .batchref = text_none(),
                                    .seq = event->seq},
                           .batchref = text_none()};
}

struct effect effect_of(const struct event *event)
{
    typedef struct effect of(const struct event *event);
    static of *const effects[MESSAGE_TYPES] = {
#define EVENT(upper, lower, wire) [MESSAGE_##upper] = effect_of_##lower,
#include "domain/messages/messages.def"
    };
    assert(message_is_event(event->type));
    return effects[event->type](event);
}
