/* Catching up: what the journal has and the tables lack is applied to them, at a start, and when a
 * group was lost. The tables may have some of it already (store/lmdb/projector.h). */
#include "store/lmdb/inside.h"

#include "domain/base/crash_point.h"

void store_forget(struct lmdb_store *store)
{
    store->is_stale = true;
    product_cache_clear(store->cache);
}

/* Whether the line that the event takes out of those that wait is among them. */
static bool has_waiting(const struct product *product, const struct effect *effect)
{
    struct waiting_line line;
    uint64_t since = effect->waited_since;
    return since > 0 && product_next_waiting(product, since - 1, &line) && line.seq == since;
}

/* False: the event cannot have happened to the product as it is. */
static bool may_apply(const struct product *product, const struct event *event,
                      const struct effect *effect)
{
    if (event->version != product_totals(product)->version + 1)
        return false;
    bool waited = effect->waited_since != 0 ||
                  (effect->on_line == LINE_GONE && order_line_waits(&effect->line));
    if (waited && !has_waiting(product, effect))
        return false;
    const struct batch *batch =
        effect->on_batch != BATCH_UNTOUCHED ? product_batch(product, effect->batchref) : NULL;
    switch (effect->on_batch) {
    case BATCH_UNTOUCHED:
        return true;
    case BATCH_NEW:
        return batch == NULL;
    case BATCH_CHANGED:
        return batch != NULL;
    case BATCH_TAKES_LINE:
        return batch != NULL && batch_available(batch) >= effect->line.qty;
    case BATCH_LOSES_LINE:
        return batch != NULL && batch->allocated >= effect->line.qty;
    }
    return false;
}

/* The product of an event; its first event makes it. */
static enum store_result product_of(struct lmdb_store *store, const struct event *event,
                                    struct cached_product **out)
{
    enum store_result result = store_product(store, event->sku, out);
    if (result != STORE_NOT_FOUND)
        return result;
    if (event->version != 1)
        return STORE_DAMAGED;
    struct product *product = product_new(event->sku);
    if (product == NULL)
        return STORE_FAILED;
    *out = product_cache_add(store->cache, product);
    if (*out == NULL)
        product_destroy(&product);
    return *out != NULL ? STORE_OK : STORE_FAILED;
}

static enum store_result apply_to_product(struct lmdb_store *store, const struct event *event,
                                          const struct effect *effect)
{
    struct cached_product *cached = NULL;
    enum store_result result = product_of(store, event, &cached);
    if (result != STORE_OK)
        return result;
    if (event->seq <= product_totals(cached->product)->last_seq) /* its tables have it */
        return effect->on_batch == BATCH_NEW ? store_follow_ref(store, effect->batchref, event->sku)
                                             : STORE_OK;
    if (effect->on_batch != BATCH_UNTOUCHED && effect->on_batch != BATCH_NEW)
        result = store_need_batch(store, cached->product, effect->batchref);
    if (result != STORE_OK)
        return result;
    if (!may_apply(cached->product, event, effect))
        return STORE_DAMAGED;
    return store_apply(store, cached, event, effect);
}

static enum store_result follow_event(struct lmdb_store *store, uint64_t seq,
                                      const struct entry_event *item)
{
    struct event event;
    if (!codec_decode_event(store->codec, item->body, &event) || event.seq != seq)
        return STORE_DAMAGED;
    event.line_seq = item->line_seq;
    struct effect effect = effect_of(&event);
    enum store_result result = apply_to_product(store, &event, &effect);
    if (result == STORE_OK)
        result = store_follow_lines(store, &effect);
    store_count(&store->meta, &event, &effect);
    CRASH_POINT(replaying);
    return result;
}

static enum store_result follow_entry(struct lmdb_store *store, const struct journal_entry *entry)
{
    struct text rest = entry->body;
    struct entry_item item;
    uint64_t seq = entry->first_seq;
    enum store_result result = STORE_OK;
    while (result == STORE_OK && entry_next(&rest, &item)) {
        if (item.kind == ENTRY_EVENT)
            result = follow_event(store, seq++, &item.as.event);
        else
            result = store_follow_reply(store, &item.as.reply);
    }
    if (result == STORE_OK && (rest.len > 0 || seq != entry->first_seq + entry->events))
        result = STORE_DAMAGED;
    if (result != STORE_OK)
        return result;
    store->meta.entry = entry->number;
    result = store_evict_replies(store);
    store_settle_replies(store, store->open, true);
    store->committed = store->meta;
    return result;
}

static enum store_result follow_journal(struct lmdb_store *store)
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    enum store_result result =
        store_noted(store, journal_read_begin(store->journal, JOURNAL_BY_NUMBER,
                                              store->meta.entry + 1, &cursor));
    while (result == STORE_OK &&
           (result = store_noted(store, journal_read_next(cursor, &entry))) == STORE_OK) {
        arena_reset(store->arena);
        product_cache_trim(store->cache);
        if (entry.number != store->meta.entry + 1 || entry.first_seq != store->meta.last_seq + 1)
            result = STORE_DAMAGED;
        if (result == STORE_OK)
            result = follow_entry(store, &entry);
        if (result == STORE_OK)
            result = store_turn_rounds(store);
        if (result == STORE_FULL) /* what is read need not be written; no more is taken in */
            result = STORE_OK;
    }
    journal_read_end(&cursor);
    return result == STORE_NOT_FOUND ? STORE_OK : result;
}

/* From the tables alone: the counters as they are there. */
static enum store_result begin_at_tables(struct lmdb_store *store)
{
    if (store->rounds.is_under_way) { /* it may have failed with some slices written */
        projector_wait(store->projector);
        enum store_result ended = STORE_OK;
        (void)projector_take(store->projector, &ended);
        store->rounds.is_under_way = store->rounds.must_wait = false;
        if (ended == STORE_BROKEN)
            return STORE_BROKEN;
    }
    tables_forget(&store->tables);
    enum store_result result = tables_refresh(&store->tables);
    if (result == STORE_OK)
        result = tables_meta(&store->tables, &store->projected);
    if (result == STORE_NOT_FOUND) {
        store->projected = (struct meta){.entry = 0};
        result = STORE_OK;
    }
    store->meta = store->committed = store->projected;
    store->meta.journal = store->committed.journal = store->journal_id;
    bool is_of_it = store->projected.entry == 0 || store->projected.journal == store->journal_id;
    if (result == STORE_OK &&
        (!is_of_it || store->projected.entry > journal_newest(store->journal)))
        result = STORE_DAMAGED;
    return result;
}

enum store_result store_catch_up(struct lmdb_store *store)
{
    if (!store->is_stale)
        return STORE_OK;
    const struct meta known = store->committed;
    store_forget(store);
    enum store_result result = begin_at_tables(store);
    if (result == STORE_OK)
        result = follow_journal(store);
    store->is_stale = result != STORE_OK;
    if (store->is_stale) /* for want of memory, say: the journal ends where it did all the same */
        store->meta = store->committed = known;
    return result;
}
