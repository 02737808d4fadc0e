/* The decisions of domain/product.h. */
#include "domain/product.h"

#include <assert.h>
#include <stdlib.h>

void event_list_release(struct event_list *list)
{
    free(list->items);
    *list = (struct event_list){NULL, 0, 0};
}

/* The new event, NULL: no memory. */
static struct event *append(struct event_list *list, enum message_type type)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 16;
        struct event *items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL)
            return NULL;
        list->items = items;
        list->capacity = capacity;
    }
    struct event *event = &list->items[list->count++];
    *event = (struct event){.type = type};
    return event;
}

enum outcome product_create_batch(const struct create_batch *command, const struct batch *existing,
                                  struct text existing_sku, struct event_list *out)
{
    if (existing != NULL) {
        bool same = text_equal(existing_sku, command->sku) && existing->qty == command->qty &&
                    existing->eta.yyyymmdd == command->eta.yyyymmdd;
        return same ? OUTCOME_DONE : OUTCOME_BATCH_CONFLICT;
    }
    struct event *event = append(out, MESSAGE_BATCH_CREATED);
    if (event == NULL)
        return OUTCOME_STORAGE_FAILED;
    event->as.batch_created.ref = command->ref;
    event->as.batch_created.qty = command->qty;
    event->as.batch_created.eta = command->eta;
    return OUTCOME_DONE;
}

static enum outcome decide_allocated(struct text orderid, uint32_t qty, uint64_t line_seq,
                                     struct text batchref, struct event_list *out)
{
    struct event *event = append(out, MESSAGE_ALLOCATED);
    if (event == NULL)
        return OUTCOME_STORAGE_FAILED;
    event->line_seq = line_seq;
    event->as.allocated.orderid = orderid;
    event->as.allocated.qty = qty;
    event->as.allocated.batchref = batchref;
    return OUTCOME_DONE;
}

static enum outcome decide_out_of_stock(struct text orderid, uint32_t qty, bool waiting,
                                        struct event_list *out)
{
    struct event *event = append(out, MESSAGE_OUT_OF_STOCK);
    if (event == NULL)
        return OUTCOME_STORAGE_FAILED;
    event->as.out_of_stock.orderid = orderid;
    event->as.out_of_stock.qty = qty;
    event->as.out_of_stock.waiting = waiting;
    return OUTCOME_OUT_OF_STOCK;
}

static enum outcome decide_deallocated(const struct order_line *line, struct event_list *out)
{
    struct event *event = append(out, MESSAGE_DEALLOCATED);
    if (event == NULL)
        return OUTCOME_STORAGE_FAILED;
    event->line_seq = line->seq;
    event->as.deallocated.orderid = line->orderid;
    event->as.deallocated.qty = line->qty;
    event->as.deallocated.batchref = line->batchref;
    return OUTCOME_DONE;
}

enum outcome product_allocate(const struct product *product, const struct allocate *command,
                              const struct order_line *existing, struct text *batchref,
                              struct event_list *out)
{
    if (existing != NULL) { /* rule 3: looked at before stock is */
        if (existing->qty != command->qty)
            return OUTCOME_LINE_CONFLICT;
        if (order_line_waits(existing))
            return OUTCOME_OUT_OF_STOCK;
        *batchref = existing->batchref;
        return OUTCOME_DONE;
    }
    const struct batch *batch = product_first_fit(product, command->qty);
    if (batch == NULL) /* rule 8: a line that was refused is not kept */
        return decide_out_of_stock(command->orderid, command->qty, false, out);
    *batchref = batch->ref;
    return decide_allocated(command->orderid, command->qty, 0, batch->ref, out);
}

uint32_t product_units_to_displace(const struct batch *batch, uint32_t qty)
{
    return batch->allocated > qty ? batch->allocated - qty : 0;
}

enum outcome product_change_batch_quantity(const struct product *product,
                                           const struct change_batch_quantity *command,
                                           const struct order_line *newest, size_t newest_count,
                                           struct event_list *out)
{
    const struct batch *batch = product_batch(product, command->ref);
    assert(batch != NULL);
    if (batch->qty == command->qty)
        return OUTCOME_DONE;
    struct event *event = append(out, MESSAGE_BATCH_QUANTITY_CHANGED);
    if (event == NULL)
        return OUTCOME_STORAGE_FAILED;
    event->as.batch_quantity_changed.ref = command->ref;
    event->as.batch_quantity_changed.qty = command->qty;
    uint32_t allocated = batch->allocated;
    for (size_t i = 0; allocated > command->qty; i++) {
        assert(i < newest_count);
        if (decide_deallocated(&newest[i], out) != OUTCOME_DONE)
            return OUTCOME_STORAGE_FAILED;
        allocated -= newest[i].qty;
    }
    return OUTCOME_DONE;
}

enum outcome product_change_batch_eta(const struct product *product,
                                      const struct change_batch_eta *command,
                                      struct event_list *out)
{
    const struct batch *batch = product_batch(product, command->ref);
    assert(batch != NULL);
    if (batch->eta.yyyymmdd == command->eta.yyyymmdd)
        return OUTCOME_DONE;
    struct event *event = append(out, MESSAGE_BATCH_ETA_CHANGED);
    if (event == NULL)
        return OUTCOME_STORAGE_FAILED;
    event->as.batch_eta_changed.ref = command->ref;
    event->as.batch_eta_changed.eta = command->eta;
    return OUTCOME_DONE;
}

enum outcome product_deallocate(const struct order_line *existing, struct event_list *out)
{
    if (existing == NULL)
        return OUTCOME_UNKNOWN_LINE;
    return decide_deallocated(existing, out);
}

enum outcome product_reallocate(const struct product *product, const struct waiting_line *line,
                                struct event_list *out)
{
    const struct batch *batch = product_first_fit(product, line->qty);
    if (batch != NULL)
        return decide_allocated(line->orderid, line->qty, line->seq, batch->ref, out);
    if (line->seq != 0) /* it waits already, and one OutOfStock is enough (rule 7) */
        return OUTCOME_OUT_OF_STOCK;
    return decide_out_of_stock(line->orderid, line->qty, true, out);
}
