/* The unit of work: what one group does, decided on what is in memory and in the tables, and made
 * true by one entry of the journal. */
#include "store/lmdb/inside.h"

#include "domain/base/crash_point.h"
#include "store/lmdb/coarse_clock.h"

#include <assert.h>
#include <errno.h>

#define FULL_MS 1000u                   /* after an entry for which there was no room */
#define FULL_ROOM ((uint64_t)64 * 1024) /* that there has to be then */

static void clear(struct unit_memory *memory)
{
    arena_reset(memory->arena);
    entry_clear(&memory->entry);
    memory->events = 0;
}

static enum store_result unit_begin_(struct unit_of_work *unit, uint64_t now_ms)
{
    struct lmdb_store *store = store_of_unit(unit);
    store->open = &store->memory[store->open == &store->memory[0]]; /* by turns */
    assert(store->open != store->sent);
    store->arena = store->open->arena;
    clear(store->open);
    product_cache_trim(store->cache);
    store->now_ms = now_ms;
    store->cause = ENOMEM; /* of a failure that nobody says more of */
    enum store_result result = store_catch_up(store);
    return result == STORE_OK ? store_turn_rounds(store) : result;
}

/* A product that was added and has no event yet is as good as none. */
static bool is_there(const struct cached_product *cached)
{
    return product_totals(cached->product)->version > 0;
}

static enum store_result product_(struct unit_of_work *unit, struct text sku, struct product **out)
{
    struct cached_product *cached = NULL;
    enum store_result result = store_product(store_of_unit(unit), sku, &cached);
    if (result == STORE_OK && !is_there(cached))
        result = STORE_NOT_FOUND;
    if (result == STORE_OK)
        *out = cached->product;
    return result;
}

static enum store_result add_product(struct unit_of_work *unit, struct text sku,
                                     struct product **out)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct cached_product *cached = product_cache_find(store->cache, sku);
    if (cached == NULL) {
        struct product *product = product_new(sku);
        if (product == NULL)
            return STORE_FAILED;
        cached = product_cache_add(store->cache, product);
        if (cached == NULL) {
            product_destroy(&product);
            return STORE_FAILED;
        }
    }
    assert(!is_there(cached));
    *out = cached->product;
    return STORE_OK;
}

static enum store_result batch_(struct unit_of_work *unit, struct text ref,
                                struct product **product, const struct batch **batch)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct key key = key_of(ref);
    struct text value;
    struct text sku;
    enum store_result result = tables_get(&store->tables, TABLE_REFS, key_text(&key), &value);
    if (result != STORE_OK)
        return result;
    if (!record_get_text(key_text(&key), value, &sku) || sku.len > SKU_MAX_BYTES)
        return STORE_DAMAGED;
    struct cached_product *cached = NULL;
    result = store_product(store, sku, &cached);
    if (result == STORE_NOT_FOUND)
        result = STORE_DAMAGED;
    if (result == STORE_OK)
        result = store_need_batch(store, cached->product, ref);
    if (result != STORE_OK)
        return result;
    *product = cached->product;
    *batch = product_batch(cached->product, ref);
    return STORE_OK;
}

static enum store_result line_(struct unit_of_work *unit, struct text orderid, struct text sku,
                               struct order_line *out)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct order_line line;
    enum store_result result = store_line(store, orderid, sku, &line);
    if (result != STORE_OK)
        return result;
    if (!order_line_waits(&line)) {
        struct cached_product *cached = NULL;
        result = store_product(store, sku, &cached);
        if (result == STORE_OK)
            result = store_need_batch(store, cached->product, line.batchref);
    }
    if (result == STORE_OK)
        *out = line;
    return result == STORE_NOT_FOUND ? STORE_DAMAGED : result;
}

static enum store_result newest_lines(struct unit_of_work *unit, const struct product *product,
                                      const struct batch *batch, uint32_t units,
                                      struct order_line **out, size_t *count)
{
    return store_newest_lines(store_of_unit(unit), batch, product_sku(product), units, out, count);
}

/* ---- appending ---- */

/* What was refused for want of room will be again, before it is done and has to be taken back; now
 * and then it is tried all the same, as that makes the room. */
static bool is_full(struct lmdb_store *store)
{
    return store->full_ms != 0 && coarse_ms() - store->full_ms < FULL_MS &&
           !journal_has_room(store->journal, store->open->entry.len + FULL_ROOM);
}

/* What an event gets from its place behind all others. */
static void complete(struct lmdb_store *store, const struct product *product, struct event *event)
{
    const struct meta *meta = &store->meta;
    event->seq = meta->last_seq + 1;
    event->prev = meta->last_of_type[event->type];
    event->time_ms = store->now_ms > meta->last_time_ms ? store->now_ms : meta->last_time_ms;
    event->sku = product_sku(product);
    event->version = product_totals(product)->version + 1;
}

static enum store_result append(struct unit_of_work *unit, struct product *product,
                                struct event *event, struct text *body)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct text encoded;
    if (is_full(store))
        return STORE_FULL;
    complete(store, product, event);
    if (!codec_encode_event(store->codec, event, &encoded) ||
        !arena_text(store->arena, encoded, body))
        return STORE_FAILED;
    struct entry_event item = {event->line_seq, *body};
    if (!entry_add_event(&store->open->entry, &item))
        return STORE_FAILED;
    store->open->events++;
    struct effect effect = effect_of(event);
    enum store_result result =
        store_apply(store, product_cache_of(store->cache, product), event, &effect);
    CRASH_POINT(before_line_moves);
    if (result == STORE_OK)
        result = store_follow_lines(store, &effect);
    store_count(&store->meta, event, &effect);
    return result;
}

static uint64_t last_seq(const struct unit_of_work *unit)
{
    return store_of_unit(unit)->meta.last_seq;
}

/* ---- its end ---- */

static enum store_result submit_entry(struct lmdb_store *store, bool here)
{
    struct unit_memory *open = store->open;
    struct journal_entry entry = {.number = store->meta.entry + 1,
                                  .first_seq = store->meta.last_seq + 1 - open->events,
                                  .events = open->events,
                                  .time_ms = store->now_ms,
                                  .body = entry_text(&open->entry)};
    enum store_result result = store_noted(store, journal_submit(store->journal, &entry, here));
    if (result == STORE_OK)
        store->meta.entry = entry.number;
    return result;
}

/* Where there is room again a round need not wait any longer either. */
static void note_full(struct lmdb_store *store, enum store_result result)
{
    if (result == STORE_OK && store->full_ms != 0 && store->rounds.retry_ms != 0)
        store->rounds.retry_ms = coarse_ms();
    store->full_ms = result == STORE_FULL ? coarse_ms() : 0;
}

/* Where it did nothing there is nothing to be written: its queries asked for what is not there. */
static enum store_result submit(struct unit_of_work *unit, bool here)
{
    struct lmdb_store *store = store_of_unit(unit);
    enum store_result result = STORE_OK;
    assert(store->sent == NULL);
    CRASH_POINT(before_commit);
    if (store->open->entry.len > 0) {
        result = store_evict_replies(store);
        if (result == STORE_OK)
            result = submit_entry(store, here);
        note_full(store, result);
    }
    if (result != STORE_OK)
        return result;
    store->sent = store->open;
    store->sent->meta = store->meta;
    return STORE_OK;
}

static bool done(struct unit_of_work *unit, enum store_result *result)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct unit_memory *sent = store->sent;
    uint64_t number = sent->meta.entry;
    *result = STORE_OK;
    if (sent->entry.len > 0 && !journal_done(store->journal, &number, result))
        return false;
    assert(number == sent->meta.entry);
    CRASH_POINT(after_commit);
    note_full(store, store_noted(store, *result));
    if (*result != STORE_OK)
        return true; /* the rest is rollback's */
    store->committed = sent->meta;
    store_settle_replies(store, sent, true);
    entry_clear(&sent->entry);
    sent->events = 0;
    store->sent = NULL;
    store_release_round(store);
    return true;
}

static void wait_(struct unit_of_work *unit)
{
    const struct lmdb_store *store = store_of_unit(unit);
    if (store->sent->entry.len > 0)
        journal_wait(store->journal);
}

static int fd(const struct unit_of_work *unit)
{
    return journal_fd(store_of_unit(unit)->journal);
}

/* What is in memory did not happen. */
static void rollback(struct unit_of_work *unit)
{
    struct lmdb_store *store = store_of_unit(unit);
    bool has_changed = store->sent != NULL || store->open->entry.len > 0;
    store->meta = store->committed;
    if (store->open != store->sent)
        store_settle_replies(store, store->open, false);
    if (store->sent != NULL)
        store_settle_replies(store, store->sent, false);
    for (size_t i = 0; i < sizeof store->memory / sizeof *store->memory; i++) {
        entry_clear(&store->memory[i].entry); /* texts stay: they may be in replies */
        store->memory[i].events = 0;
    }
    store->sent = NULL;
    if (has_changed)
        store_forget(store);
    CRASH_POINT(rolled_back);
}

const struct unit_of_work_ops lmdb_unit_ops = {
    .begin = unit_begin_,
    .product = product_,
    .add_product = add_product,
    .batch = batch_,
    .line = line_,
    .newest_lines = newest_lines,
    .append = append,
    .recall = store_recall,
    .remember = store_remember,
    .last_seq = last_seq,
    .submit = submit,
    .done = done,
    .wait = wait_,
    .fd = fd,
    .rollback = rollback,
};
