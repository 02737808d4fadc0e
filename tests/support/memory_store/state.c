#include "tests/support/memory_store/inside.h"

static void release_products(struct memory_table *products)
{
    for (size_t i = 0; i < products->count; i++) {
        struct product *product = products->entries[i].value;
        product_destroy(&product);
    }
    memory_table_release(products);
}

void memory_state_release(struct memory_state *state)
{
    release_products(&state->products);
    release_products(&state->added);
    memory_table_release(&state->batches);
    memory_table_release(&state->product_batches);
    memory_table_release(&state->lines);
    memory_table_release(&state->replies);
    memset(state->newest, 0, sizeof state->newest);
}

struct product *memory_state_product(const struct memory_state *state, struct text sku)
{
    return memory_table_find(&state->products, text_empty(), sku);
}

struct product *memory_state_add_product(struct memory_state *state, struct text sku)
{
    struct product *product = memory_table_find(&state->added, text_empty(), sku);
    if (product == NULL)
        product = product_new(sku);
    if (product != NULL &&
        !memory_table_put(&state->added, text_empty(), product_sku(product), product))
        product_destroy(&product);
    return product;
}

/* The first event of a product makes it one of all. */
static bool settle_product(struct memory_state *state, struct product *product)
{
    struct text sku = product_sku(product);
    if (!memory_table_put(&state->products, text_empty(), sku, product))
        return false;
    memory_table_remove(&state->added, text_empty(), sku);
    return true;
}

static bool move_line(struct memory_state *state, const struct effect *effect,
                      struct memory_record *record)
{
    const struct order_line *line = &effect->line;
    if (effect->on_line == LINE_PUT)
        return memory_table_put(&state->lines, line->orderid, line->sku, record);
    if (effect->on_line == LINE_GONE)
        memory_table_remove(&state->lines, line->orderid, line->sku);
    return true;
}

bool memory_state_apply(struct memory_state *state, struct product *product,
                        struct memory_record *record)
{
    const struct event *event = &record->event;
    struct effect effect = effect_of(event);
    bool is_first = product_totals(product)->version == 0;
    if (!product_apply(product, event) || (is_first && !settle_product(state, product)))
        return false;
    state->newest[event->type] = event->seq;
    if (effect.on_batch == BATCH_NEW &&
        (!memory_table_put(&state->batches, text_empty(), effect.batchref, product) ||
         !memory_table_put(&state->product_batches, event->sku, effect.batchref, product)))
        return false;
    return move_line(state, &effect, record);
}

bool memory_state_remember(struct memory_state *state, struct memory_reply *reply)
{
    return memory_table_put(&state->replies, text_empty(), reply->id, reply);
}

bool memory_state_replay(struct memory_state *state, const struct memory_list *records,
                         const struct memory_list *replies)
{
    for (size_t i = 0; i < records->count; i++) {
        struct memory_record *record = records->items[i];
        struct product *product = memory_state_product(state, record->event.sku);
        if (product == NULL)
            product = memory_state_add_product(state, record->event.sku);
        if (product == NULL || !memory_state_apply(state, product, record))
            return false;
    }
    for (size_t i = 0; i < replies->count; i++)
        if (!memory_state_remember(state, replies->items[i]))
            return false;
    return true;
}
