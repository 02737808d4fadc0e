/* Rule 10: the reply to a request with an id is stored with the change that it reports. */
#include "store/lmdb/inside.h"

#include "domain/base/crash_point.h"
#include "store/hash.h"

#include <assert.h>
#include <stdlib.h>

#define INDEX_SLACK ((size_t)65536) /* replies that an entry may add before the oldest go */

_Static_assert(LMDB_STORE_IDS_MAX + 2 * INDEX_SLACK <= REMEMBERED_INDEX_MAX,
               "the index holds them");

static uint64_t id_hash(const struct lmdb_store *store, struct text id)
{
    return hash_bytes(id.data, id.len, store->hash_seed);
}

/* What tells one request from another with the same id, in place of all its bytes. */
static uint64_t request_hash(struct text canonical)
{
    return hash_bytes(canonical.data, canonical.len, 0);
}

static bool add_change(struct index_changes *changes, uint64_t hash, uint64_t number)
{
    if (changes->count == changes->capacity) {
        size_t capacity = changes->capacity > 0 ? 2 * changes->capacity : 1024;
        struct index_change *items = realloc(changes->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        changes->items = items;
        changes->capacity = capacity;
    }
    changes->items[changes->count++] = (struct index_change){hash, number};
    return true;
}

/* ---- opening ---- */

/* A round that was cut short may have forgotten the oldest of them already, and have newer ones
 * than the counters say. */
static enum store_result read_replies(struct lmdb_store *store, const struct meta *meta)
{
    struct remembered_replies *replies = &store->replies;
    struct table_walk walk;
    struct key no_prefix = {.len = 0};
    struct key first = key_of_number(meta->ids_first);
    enum store_result result =
        table_walk_begin(&walk, &store->tables, TABLE_REMEMBERED, &no_prefix, key_text(&first));
    replies->first = replies->next = meta->ids_next;
    while (result == STORE_OK && (result = table_walk_next(&walk)) == STORE_OK) {
        struct remembered found;
        uint64_t number;
        if (!key_get_number(walk.key, &number))
            result = STORE_DAMAGED;
        if (result != STORE_OK || number >= meta->ids_next)
            break;
        if (replies->next == meta->ids_next)
            replies->first = replies->next = number;
        if (number != replies->next || !record_get_remembered(walk.key, walk.value, &found)) {
            result = STORE_DAMAGED;
            break;
        }
        remembered_index_add(replies->index, id_hash(store, found.id), number);
        replies->next++;
    }
    table_walk_end(&walk);
    if (result == STORE_NOT_FOUND)
        result = STORE_OK;
    return result == STORE_OK && replies->next != meta->ids_next ? STORE_DAMAGED : result;
}

/* Room for all that is stored, which may be more than is to be kept from now on. */
enum store_result store_open_replies(struct lmdb_store *store)
{
    struct meta meta = {.entry = 0};
    enum store_result result = tables_meta(&store->tables, &meta);
    if (result != STORE_OK && result != STORE_NOT_FOUND)
        return result;
    uint64_t stored = meta.ids_next - meta.ids_first;
    if (meta.ids_next < meta.ids_first || stored > LMDB_STORE_IDS_MAX + INDEX_SLACK)
        return STORE_DAMAGED;
    uint64_t most = stored > store->replies.kept ? stored : store->replies.kept;
    remembered_index_destroy(&store->replies.index);
    store->replies.index = remembered_index_new((size_t)most + INDEX_SLACK);
    return store->replies.index != NULL ? read_replies(store, &meta) : STORE_FAILED;
}

void store_close_replies(struct lmdb_store *store)
{
    remembered_index_destroy(&store->replies.index);
}

/* ---- recalling ---- */

/* The reply remembered for the id that is asked for. Its texts are the table's. */
static enum store_result find(struct lmdb_store *store, struct remembered *out)
{
    const struct remembered_replies *replies = &store->replies;
    uint64_t number;
    size_t cursor = 0;
    while (remembered_index_next(replies->index, replies->asked_hash, store->meta.ids_next, &cursor,
                                 &number)) {
        struct text value;
        struct key key = key_of_number(number);
        enum store_result result =
            tables_get(&store->tables, TABLE_REMEMBERED, key_text(&key), &value);
        if (result != STORE_OK || !record_get_remembered(key_text(&key), value, out))
            return STORE_DAMAGED;
        if (text_equal(out->id, replies->asked_id))
            return STORE_OK;
    }
    return STORE_NOT_FOUND;
}

/* The index is far away: what is needed in any case is done while it comes. */
static bool ask(struct lmdb_store *store, const struct request *request)
{
    struct remembered_replies *replies = &store->replies;
    struct text canonical;
    replies->asked_id = request->id;
    replies->asked_hash = id_hash(store, request->id);
    remembered_index_expect(replies->index, replies->asked_hash);
    return codec_encode_request(store->codec, request, &canonical) &&
           arena_text(store->arena, canonical, &replies->asked_canonical);
}

enum store_result store_recall(struct unit_of_work *unit, const struct request *request,
                               struct reply *out)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct remembered found;
    struct text batchref;
    if (!ask(store, request))
        return STORE_FAILED;
    enum store_result result = find(store, &found);
    if (result != STORE_OK)
        return result;
    if (request_hash(store->replies.asked_canonical) != found.request)
        return STORE_OTHER;
    if (!arena_text(store->arena, found.batchref, &batchref))
        return STORE_FAILED;
    out->outcome = found.outcome;
    out->duplicate = found.duplicate;
    out->seq = found.seq;
    out->batchref = batchref;
    return STORE_OK;
}

/* ---- remembering ---- */

/* Gives the reply its number, and has the table follow. */
static enum store_result add_reply(struct lmdb_store *store, const struct entry_reply *reply,
                                   uint64_t hash)
{
    struct remembered_replies *replies = &store->replies;
    uint64_t number = store->meta.ids_next;
    struct remembered remembered = {.id = reply->id,
                                    .request = request_hash(reply->request),
                                    .outcome = reply->outcome,
                                    .duplicate = reply->duplicate,
                                    .seq = reply->seq,
                                    .batchref = reply->batchref};
    struct key key = key_of_number(number);
    struct record record;
    record_put_remembered(&record, key_text(&key), &remembered);
    enum store_result result =
        tables_put(&store->tables, TABLE_REMEMBERED, key_text(&key), &record);
    if (result != STORE_OK)
        return result;
    store->meta.ids_next++;
    if (number < replies->next) /* the index has it, as this was done before */
        return STORE_OK;
    if (!add_change(&store->open->added, hash, number))
        return STORE_FAILED;
    remembered_index_add(replies->index, hash, number);
    replies->next = number + 1;
    return STORE_OK;
}

enum store_result store_remember(struct unit_of_work *unit, const struct request *request,
                                 const struct reply *reply)
{
    struct lmdb_store *store = store_of_unit(unit);
    const struct remembered_replies *replies = &store->replies;
    assert(text_equal(replies->asked_id, request->id)); /* as unit_remember requires */
    struct entry_reply item = {.id = request->id,
                               .request = replies->asked_canonical,
                               .outcome = reply->outcome,
                               .duplicate = reply->duplicate,
                               .seq = reply->seq,
                               .batchref = reply->batchref};
    if (!entry_add_reply(&store->open->entry, &item))
        return STORE_FAILED;
    enum store_result result = add_reply(store, &item, replies->asked_hash);
    CRASH_POINT(reply_remembered);
    return result;
}

enum store_result store_follow_reply(struct lmdb_store *store, const struct entry_reply *reply)
{
    return add_reply(store, reply, id_hash(store, reply->id));
}

/* ---- forgetting ---- */

/* Takes note of the one that the walk is at. Those that are not in the index any more may be gone
 * from the table, where a round that was cut short had forgotten them. */
static enum store_result outdate_one(struct lmdb_store *store, const struct table_walk *walk,
                                     uint64_t *number)
{
    struct remembered_replies *replies = &store->replies;
    struct remembered found;
    uint64_t expected = *number;
    if (!key_get_number(walk->key, number) || *number < expected ||
        (*number > expected && *number > replies->first) ||
        !record_get_remembered(walk->key, walk->value, &found))
        return STORE_DAMAGED;
    bool is_fine = *number < replies->first ||
                   add_change(&store->open->outdated, id_hash(store, found.id), *number);
    return is_fine ? STORE_OK : STORE_FAILED;
}

/* From the oldest one on, all but those that are kept; *end is the first of these. */
static enum store_result outdate(struct lmdb_store *store, uint64_t *end)
{
    struct table_walk walk;
    struct key no_prefix = {.len = 0};
    struct key first = key_of_number(*end);
    enum store_result result =
        table_walk_begin(&walk, &store->tables, TABLE_REMEMBERED, &no_prefix, key_text(&first));
    while (result == STORE_OK && store->meta.ids_next - *end > store->replies.kept) {
        result = table_walk_next(&walk);
        if (result == STORE_OK)
            result = outdate_one(store, &walk, end);
        if (result == STORE_OK)
            (*end)++;
    }
    table_walk_end(&walk);
    return result == STORE_NOT_FOUND ? STORE_DAMAGED : result;
}

enum store_result store_evict_replies(struct lmdb_store *store)
{
    struct meta *meta = &store->meta;
    if (meta->ids_next - meta->ids_first <= store->replies.kept)
        return STORE_OK;
    uint64_t end = meta->ids_first;
    enum store_result result = outdate(store, &end);
    for (; result == STORE_OK && meta->ids_first < end; meta->ids_first++) {
        struct key key = key_of_number(meta->ids_first);
        result = tables_delete(&store->tables, TABLE_REMEMBERED, key_text(&key));
    }
    return result;
}

void store_settle_replies(struct lmdb_store *store, struct unit_memory *unit, bool is_durable)
{
    struct remembered_replies *replies = &store->replies;
    const struct index_changes *gone = is_durable ? &unit->outdated : &unit->added;
    for (size_t i = 0; i < gone->count; i++)
        remembered_index_remove(replies->index, gone->items[i].hash, gone->items[i].number);
    if (is_durable)
        replies->first += unit->outdated.count;
    else
        replies->next -= unit->added.count;
    unit->added.count = unit->outdated.count = 0;
}
