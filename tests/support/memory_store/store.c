#include "tests/support/memory_store/inside.h"

#include <stdlib.h>

/* ---- lists ---- */

static bool list_push(struct memory_list *list, void *item)
{
    assert(list->retired == 0);
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        void **items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return true;
}

static void list_roll_back(struct memory_list *list)
{
    list->retired = list->count - list->committed;
    list->count = list->committed;
}

static void list_free_retired(struct memory_list *list)
{
    for (size_t i = 0; i < list->retired; i++)
        free(list->items[list->count + i]);
    list->retired = 0;
}

static void list_release(struct memory_list *list)
{
    list->committed = 0;
    list->retired += list->count;
    list->count = 0;
    list_free_retired(list);
    free(list->items);
}

/* ---- unit of work ---- */

static struct memory_store *store_of(struct unit_of_work *unit)
{
    return (struct memory_store *)(void *)((char *)unit - offsetof(struct memory_store, unit));
}

static void free_retired(struct memory_store *store)
{
    memory_state_release(&store->retired);
    list_free_retired(&store->records);
    list_free_retired(&store->replies);
    arena_reset(store->arena);
}

static enum store_result begin(struct unit_of_work *unit, uint64_t now_ms)
{
    struct memory_store *store = store_of(unit);
    free_retired(store);
    store->now_ms = now_ms;
    if (store->records.count > 0) {
        uint64_t newest = memory_record_at(store, store->records.count)->event.time_ms;
        store->now_ms = newest > now_ms ? newest : now_ms;
    }
    return STORE_OK;
}

static enum store_result find_product(struct unit_of_work *unit, struct text sku,
                                      struct product **out)
{
    struct product *product = memory_state_product(&store_of(unit)->state, sku);
    if (product == NULL)
        return STORE_NOT_FOUND;
    *out = product;
    return STORE_OK;
}

static enum store_result add_product(struct unit_of_work *unit, struct text sku,
                                     struct product **out)
{
    struct memory_state *state = &store_of(unit)->state;
    assert(memory_state_product(state, sku) == NULL);
    struct product *product = memory_state_add_product(state, sku);
    if (product == NULL)
        return STORE_FAILED;
    *out = product;
    return STORE_OK;
}

static enum store_result find_batch(struct unit_of_work *unit, struct text ref,
                                    struct product **product, const struct batch **batch)
{
    struct product *owner = memory_table_find(&store_of(unit)->state.batches, text_empty(), ref);
    if (owner == NULL)
        return STORE_NOT_FOUND;
    *product = owner;
    *batch = product_batch(owner, ref);
    return STORE_OK;
}

static enum store_result find_line(struct unit_of_work *unit, struct text orderid, struct text sku,
                                   struct order_line *out)
{
    const struct memory_record *record =
        memory_table_find(&store_of(unit)->state.lines, orderid, sku);
    if (record == NULL)
        return STORE_NOT_FOUND;
    *out = effect_of(&record->event).line;
    return STORE_OK;
}

/* The newest allocation to a batch, before `seq`, whose line still stands where that event put it;
 * NULL: there is none. */
static const struct event *newest_live(const struct memory_store *store, struct text ref,
                                       uint64_t seq)
{
    while (--seq > 0) {
        const struct memory_record *record = memory_record_at(store, seq);
        const struct event *event = &record->event;
        if (event->type == MESSAGE_ALLOCATED && text_equal(event->as.allocated.batchref, ref) &&
            memory_table_find(&store->state.lines, event->as.allocated.orderid, event->sku) ==
                record)
            return event;
    }
    return NULL;
}

static enum store_result newest_lines(struct unit_of_work *unit, const struct product *product,
                                      const struct batch *batch, uint32_t units,
                                      struct order_line **out, size_t *count)
{
    (void)product;
    struct memory_store *store = store_of(unit);
    struct order_line *lines = NULL;
    size_t found = 0;
    size_t capacity = 0;
    uint64_t seq = store->records.count + 1;
    const struct event *event;
    for (uint64_t held = 0; held < units; held += lines[found++].qty) {
        event = newest_live(store, batch->ref, seq);
        assert(event != NULL); /* the batch holds as much as its lines */
        seq = event->seq;
        lines = arena_grow(store->arena, lines, found, &capacity, sizeof *lines);
        if (lines == NULL)
            return STORE_FAILED;
        lines[found] = effect_of(event).line;
    }
    *out = lines;
    *count = found;
    return STORE_OK;
}

/* What the log gives to an event, whatever the decision knew of it. */
static void complete_event(const struct memory_store *store, const struct product *product,
                           struct event *event)
{
    event->seq = store->records.count + 1;
    event->prev = store->state.newest[event->type];
    event->time_ms = store->now_ms;
    event->sku = product_sku(product);
    event->version = product_totals(product)->version + 1;
}

/* NULL: no memory. */
static struct memory_record *record_new(struct codec *codec, const struct event *event)
{
    struct text body;
    if (!codec_encode_event(codec, event, &body))
        return NULL;
    struct memory_record *record = malloc(sizeof *record + body.len);
    if (record == NULL)
        return NULL;
    memcpy(record->bytes, body.data, body.len);
    record->body = (struct text){record->bytes, body.len};
    if (!codec_decode_event(codec, record->body, &record->event)) {
        free(record);
        return NULL;
    }
    record->event.line_seq = event->line_seq;
    return record;
}

static enum store_result append(struct unit_of_work *unit, struct product *product,
                                struct event *event, struct text *body)
{
    struct memory_store *store = store_of(unit);
    complete_event(store, product, event);
    struct memory_record *record = record_new(store->codec, event);
    if (record == NULL)
        return STORE_FAILED;
    if (!list_push(&store->records, record)) {
        free(record);
        return STORE_FAILED;
    }
    if (!memory_state_apply(&store->state, product, record))
        return STORE_FAILED;
    *body = record->body;
    return STORE_OK;
}

static enum store_result recall(struct unit_of_work *unit, const struct request *request,
                                struct reply *out)
{
    struct memory_store *store = store_of(unit);
    const struct memory_reply *known =
        memory_table_find(&store->state.replies, text_empty(), request->id);
    if (known == NULL)
        return STORE_NOT_FOUND;
    struct text bytes;
    if (!codec_encode_request(store->codec, request, &bytes))
        return STORE_FAILED;
    if (!text_equal(known->request, bytes))
        return STORE_OTHER;
    out->outcome = known->outcome;
    out->seq = known->seq;
    out->duplicate = known->duplicate;
    out->batchref = known->batchref;
    return STORE_OK;
}

/* Copies `t` to *at and moves on; absent stays absent. */
static struct text put_text(char **at, struct text t)
{
    if (text_is_none(t))
        return t;
    struct text copy = {*at, t.len};
    memcpy(*at, t.data, t.len);
    *at += t.len;
    return copy;
}

/* NULL: no memory. */
static struct memory_reply *reply_new(struct codec *codec, const struct request *request,
                                      const struct reply *reply)
{
    struct text bytes;
    if (!codec_encode_request(codec, request, &bytes))
        return NULL;
    struct memory_reply *kept =
        malloc(sizeof *kept + request->id.len + bytes.len + reply->batchref.len);
    if (kept == NULL)
        return NULL;
    char *at = kept->bytes;
    kept->id = put_text(&at, request->id);
    kept->request = put_text(&at, bytes);
    kept->batchref = put_text(&at, reply->batchref);
    kept->outcome = reply->outcome;
    kept->duplicate = reply->duplicate;
    kept->seq = reply->seq;
    return kept;
}

static enum store_result remember(struct unit_of_work *unit, const struct request *request,
                                  const struct reply *reply)
{
    struct memory_store *store = store_of(unit);
    struct memory_reply *kept = reply_new(store->codec, request, reply);
    if (kept == NULL)
        return STORE_FAILED;
    if (!list_push(&store->replies, kept)) {
        free(kept);
        return STORE_FAILED;
    }
    return memory_state_remember(&store->state, kept) ? STORE_OK : STORE_FAILED;
}

static uint64_t last_seq(const struct unit_of_work *unit)
{
    const struct memory_store *store =
        (const void *)((const char *)unit - offsetof(struct memory_store, unit));
    return store->records.count;
}

static enum store_result submit(struct unit_of_work *unit, bool here)
{
    (void)here;
    struct memory_store *store = store_of(unit);
    store->records.submitted = store->records.count;
    store->replies.submitted = store->replies.count;
    return STORE_OK;
}

static bool done(struct unit_of_work *unit, enum store_result *result)
{
    struct memory_store *store = store_of(unit);
    store->records.committed = store->records.submitted;
    store->replies.committed = store->replies.submitted;
    *result = STORE_OK;
    return true;
}

static void wait_(struct unit_of_work *unit)
{
    (void)unit; /* it is done at any time */
}

static int fd(const struct unit_of_work *unit)
{
    (void)unit;
    return -1;
}

static void rollback(struct unit_of_work *unit)
{
    struct memory_store *store = store_of(unit);
    list_roll_back(&store->records);
    list_roll_back(&store->replies);
    store->retired = store->state;
    memset(&store->state, 0, sizeof store->state);
    /* There is no way back without memory, and no way on. */
    if (!memory_state_replay(&store->state, &store->records, &store->replies))
        abort();
}

static const struct unit_of_work_ops unit_ops = {
    .begin = begin,
    .product = find_product,
    .add_product = add_product,
    .batch = find_batch,
    .line = find_line,
    .newest_lines = newest_lines,
    .append = append,
    .recall = recall,
    .remember = remember,
    .last_seq = last_seq,
    .submit = submit,
    .done = done,
    .wait = wait_,
    .fd = fd,
    .rollback = rollback,
};

/* ---- the store ---- */

struct memory_store *memory_store_new(void)
{
    struct memory_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return NULL;
    store->unit.ops = &unit_ops;
    store->reader.ops = &memory_reader_ops;
    store->codec = codec_new();
    store->arena = arena_new();
    if (store->codec == NULL || store->arena == NULL)
        memory_store_destroy(&store);
    return store;
}

void memory_store_destroy(struct memory_store **store)
{
    if (*store == NULL)
        return;
    memory_state_release(&(*store)->state);
    memory_state_release(&(*store)->retired);
    list_release(&(*store)->records);
    list_release(&(*store)->replies);
    arena_destroy(&(*store)->arena);
    codec_destroy(&(*store)->codec);
    free(*store);
    *store = NULL;
}

struct unit_of_work *memory_store_unit(struct memory_store *store)
{
    return &store->unit;
}

struct reader *memory_store_reader(struct memory_store *store)
{
    return &store->reader;
}
