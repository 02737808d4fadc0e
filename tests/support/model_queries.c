/* Queries of the model. */
#include "tests/support/model.h"

#include <assert.h>
#include <stdlib.h>

static void *rows_for(struct model *model, size_t count, size_t size)
{
    void *rows = arena_alloc(model->arena, (count + 1) * size);
    assert(rows != NULL);
    return rows;
}

static bool comes_after(struct text key, struct text after)
{
    return text_is_none(after) || text_compare(key, after) > 0;
}

static int by_sku_of_line(const void *a, const void *b)
{
    return text_compare(((const struct line_view *)a)->sku, ((const struct line_view *)b)->sku);
}

static int by_ref(const void *a, const void *b)
{
    return text_compare(((const struct batch_view *)a)->ref, ((const struct batch_view *)b)->ref);
}

static int by_sku_of_product(const void *a, const void *b)
{
    return text_compare(((const struct product_view *)a)->sku,
                        ((const struct product_view *)b)->sku);
}

static int by_use(const void *a, const void *b)
{
    return model_order_of_use(*(const struct model_batch *const *)a,
                              *(const struct model_batch *const *)b);
}

static void refuse(struct reply *reply, enum outcome outcome, struct text about)
{
    reply->outcome = outcome;
    reply->about = about;
}

static struct batch_view view_of(const struct model *model, const struct model_batch *batch)
{
    return (struct batch_view){batch->ref, batch->sku, batch->qty,
                               (uint32_t)model_available(model, batch), batch->eta};
}

static void get_allocations(struct model *model, const struct get_allocations *query,
                            struct reply *reply)
{
    struct line_page *page = &reply->as.lines;
    bool is_known = false;
    page->rows = rows_for(model, model->line_count, sizeof *page->rows);
    for (size_t i = 0; i < model->line_count; i++) {
        const struct model_line *line = &model->lines[i];
        if (!text_equal(line->orderid, query->orderid))
            continue;
        is_known = true;
        if (comes_after(line->sku, query->after))
            page->rows[page->count++] = (struct line_view){line->sku, line->qty, line->batchref};
    }
    if (!is_known)
        refuse(reply, OUTCOME_UNKNOWN_ORDER, query->orderid);
    qsort(page->rows, page->count, sizeof *page->rows, by_sku_of_line);
    if (page->count > query->limit) {
        page->count = query->limit;
        page->next = page->rows[page->count - 1].sku;
    }
}

static void get_stock(struct model *model, const struct get_stock *query, struct reply *reply)
{
    struct stock_view *stock = &reply->as.stock;
    const struct model_product *product = model_product(model, query->sku);
    if (product == NULL) {
        refuse(reply, OUTCOME_INVALID_SKU, query->sku);
        return;
    }
    const struct model_batch **used =
        rows_for(model, model->batch_count, sizeof(struct model_batch *));
    size_t count = 0;
    *stock = (struct stock_view){.sku = product->sku, .version = product->version};
    for (size_t i = 0; i < model->batch_count; i++) {
        const struct model_batch *batch = &model->batches[i];
        if (!text_equal(batch->sku, query->sku))
            continue;
        uint64_t available = model_available(model, batch);
        stock->available += available;
        if (available > 0)
            used[count++] = batch;
        else
            stock->exhausted++;
    }
    qsort(used, count, sizeof *used, by_use);
    stock->batches = rows_for(model, count, sizeof *stock->batches);
    stock->batch_count = count < 1000 ? count : 1000;
    for (size_t i = 0; i < stock->batch_count; i++)
        stock->batches[i] = view_of(model, used[i]);
}

static void list_batches(struct model *model, const struct list_batches *query, struct reply *reply)
{
    struct batch_page *page = &reply->as.batches;
    if (model_product(model, query->sku) == NULL)
        refuse(reply, OUTCOME_INVALID_SKU, query->sku);
    page->rows = rows_for(model, model->batch_count, sizeof *page->rows);
    for (size_t i = 0; i < model->batch_count; i++) {
        const struct model_batch *batch = &model->batches[i];
        if (text_equal(batch->sku, query->sku) && comes_after(batch->ref, query->after))
            page->rows[page->count++] = view_of(model, batch);
    }
    qsort(page->rows, page->count, sizeof *page->rows, by_ref);
    if (page->count > query->limit) {
        page->count = query->limit;
        page->next = page->rows[page->count - 1].ref;
    }
}

static void get_batch(struct model *model, const struct get_batch *query, struct reply *reply)
{
    const struct model_batch *batch = model_batch(model, query->ref);
    if (batch == NULL)
        refuse(reply, OUTCOME_UNKNOWN_BATCH, query->ref);
    else
        reply->as.batch = view_of(model, batch);
}

static struct product_view product_view_of(const struct model *model,
                                           const struct model_product *product)
{
    struct product_view view = {.sku = product->sku, .version = product->version};
    for (size_t i = 0; i < model->batch_count; i++) {
        if (!text_equal(model->batches[i].sku, product->sku))
            continue;
        view.batches++;
        view.available += model_available(model, &model->batches[i]);
    }
    return view;
}

static void list_products(struct model *model, const struct list_products *query,
                          struct reply *reply)
{
    struct product_page *page = &reply->as.products;
    page->rows = rows_for(model, model->product_count, sizeof *page->rows);
    for (size_t i = 0; i < model->product_count; i++)
        if (comes_after(model->products[i].sku, query->after))
            page->rows[page->count++] = product_view_of(model, &model->products[i]);
    qsort(page->rows, page->count, sizeof *page->rows, by_sku_of_product);
    if (page->count > query->limit) {
        page->count = query->limit;
        page->next = page->rows[page->count - 1].sku;
    }
}

static struct event_view published(struct model *model, const struct event *event)
{
    struct event_view view = {.seq = event->seq};
    struct text body;
    bool is_encoded = codec_encode_event(model->codec, event, &body);
    is_encoded = is_encoded && arena_text(model->arena, body, &view.body);
    assert(is_encoded);
    return view;
}

static void get_events(struct model *model, const struct get_events *query, struct reply *reply)
{
    struct event_page *page = &reply->as.events;
    page->rows = rows_for(model, model->event_count, sizeof *page->rows);
    page->head = model->event_count;
    page->first = model->event_count > 0;
    for (size_t i = 0; i < model->event_count; i++) {
        const struct event *event = &model->events[i];
        bool is_asked_for = event->seq > query->after &&
                            (query->types == 0 || (query->types & type_bit(event->type)) != 0) &&
                            (text_is_none(query->sku) || text_equal(query->sku, event->sku));
        if (!is_asked_for)
            continue;
        if (page->count == query->limit) {
            page->next = page->rows[page->count - 1].seq;
            return;
        }
        page->rows[page->count++] = published(model, event);
    }
}

static void get_stats(const struct model *model, struct reply *reply)
{
    struct stats *stats = &reply->as.stats;
    stats->seq = model->event_count;
    stats->products = model->product_count;
    for (size_t i = 0; i < model->line_count; i++)
        stats->waiting_lines += text_is_none(model->lines[i].batchref);
}

void model_answer_query(struct model *model, const struct request *request, struct reply *reply)
{
    arena_reset(model->arena);
    switch (request->type) {
    case MESSAGE_GET_ALLOCATIONS:
        get_allocations(model, &request->as.get_allocations, reply);
        break;
    case MESSAGE_GET_STOCK:
        get_stock(model, &request->as.get_stock, reply);
        break;
    case MESSAGE_LIST_BATCHES:
        list_batches(model, &request->as.list_batches, reply);
        break;
    case MESSAGE_GET_BATCH:
        get_batch(model, &request->as.get_batch, reply);
        break;
    case MESSAGE_LIST_PRODUCTS:
        list_products(model, &request->as.list_products, reply);
        break;
    case MESSAGE_GET_EVENTS:
        get_events(model, &request->as.get_events, reply);
        break;
    case MESSAGE_GET_STATS:
        get_stats(model, reply);
        break;
    default:
        assert(request->type == MESSAGE_PING);
    }
}
