/* Rule 10: the reply to a request with an id is stored with the change that it reports. */
#include "store/lmdb/inside.h"

#include "domain/base/crash_point.h"
#include "store/hash.h"

#include <assert.h>
#include <stdlib.h>

static struct text number_key(const uint64_t *number)
{
    return (struct text){(const char *)number, sizeof *number};
}

static uint64_t id_hash(const struct lmdb_store *store, struct text id)
{
    return hash_bytes(id.data, id.len, store->hash_seed);
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

enum store_result lmdb_remembered_open(struct lmdb_store *store)
{
    struct lmdb_walk walk;
    uint64_t number = store->meta.ids_first;
    enum store_result result =
        lmdb_walk_begin(&walk, store->txn, store->env.remembered, number_key(&number));
    for (; result == STORE_OK && number < store->meta.ids_next; number++) {
        struct remembered found;
        result = lmdb_walk_next(&walk);
        if (result == STORE_OK && !(text_equal(walk.key, number_key(&number)) &&
                                    record_get_remembered(number, walk.value, &found)))
            result = STORE_DAMAGED;
        if (result == STORE_OK)
            remembered_index_add(store->index, id_hash(store, found.id), number);
    }
    lmdb_walk_end(&walk);
    return result;
}

/* The reply remembered for an id. Its texts are LMDB's. */
static enum store_result find(struct lmdb_store *store, const struct asked *asked,
                              struct remembered *out)
{
    uint64_t number;
    size_t cursor = 0;
    while (
        remembered_index_next(store->index, asked->hash, store->meta.ids_next, &cursor, &number)) {
        struct text value;
        enum store_result result =
            lmdb_get(store->txn, store->env.remembered, number_key(&number), &value);
        if (result != STORE_OK || !record_get_remembered(number, value, out))
            return STORE_DAMAGED;
        if (text_equal(out->id, asked->id))
            return STORE_OK;
    }
    return STORE_NOT_FOUND;
}

/* The index is far away: what is needed in any case is done while it comes. */
static bool ask(struct lmdb_store *store, const struct request *request)
{
    struct text canonical;
    store->asked.id = request->id;
    store->asked.hash = id_hash(store, request->id);
    remembered_index_expect(store->index, store->asked.hash);
    return codec_encode_request(store->codec, request, &canonical) &&
           arena_text(store->arena, canonical, &store->asked.canonical);
}

enum store_result lmdb_remembered_recall(struct unit_of_work *unit, const struct request *request,
                                         struct reply *out)
{
    struct lmdb_store *store = store_of_unit(unit);
    struct remembered found;
    if (!ask(store, request))
        return STORE_FAILED;
    enum store_result result = find(store, &store->asked, &found);
    if (result != STORE_OK)
        return result;
    struct text batchref;
    if (!text_equal(store->asked.canonical, found.request))
        return STORE_OTHER;
    if (!arena_text(store->arena, found.batchref, &batchref))
        return STORE_FAILED;
    out->outcome = found.outcome;
    out->duplicate = found.duplicate;
    out->seq = found.seq;
    out->batchref = batchref;
    return STORE_OK;
}

enum store_result lmdb_remembered_put(struct unit_of_work *unit, const struct request *request,
                                      const struct reply *reply)
{
    struct lmdb_store *store = store_of_unit(unit);
    const struct asked *asked = &store->asked;
    assert(text_equal(asked->id, request->id)); /* as unit_remember requires */
    struct remembered remembered = {.id = request->id,
                                    .request = asked->canonical,
                                    .outcome = reply->outcome,
                                    .duplicate = reply->duplicate,
                                    .seq = reply->seq,
                                    .batchref = reply->batchref};
    uint64_t number = store->meta.ids_next;
    struct record record;
    record_put_remembered(&record, number, &remembered);
    int rc = lmdb_append(store->txn, store->env.remembered, &store->remembered_end,
                         number_key(&number), &record);
    if (rc != 0)
        return lmdb_write_result(&store->env, rc);
    if (!add_change(&store->added, asked->hash, number))
        return STORE_FAILED;
    remembered_index_add(store->index, asked->hash, number);
    store->meta.ids_next++;
    CRASH_POINT(reply_remembered);
    return STORE_OK;
}

/* The one that the cursor is at, which has that number. */
static enum store_result evict_one(struct lmdb_store *store, MDB_cursor *cursor, uint64_t number,
                                   MDB_cursor_op move)
{
    MDB_val key = {sizeof number, &number};
    MDB_val value;
    struct remembered found;
    if (mdb_cursor_get(cursor, &key, &value, move) != 0 ||
        !text_equal(lmdb_text(key), number_key(&number)) ||
        !record_get_remembered(number, lmdb_text(value), &found))
        return STORE_DAMAGED;
    if (!add_change(&store->outdated, id_hash(store, found.id), number))
        return STORE_FAILED;
    return lmdb_write_result(&store->env, mdb_cursor_del(cursor, 0));
}

/* From the youngest of those that go to the oldest: what stands last on a page leaves it without
 * moving the others. */
enum store_result lmdb_remembered_evict(struct lmdb_store *store)
{
    uint64_t first = store->meta.ids_first;
    uint64_t end =
        store->meta.ids_next > store->ids_kept ? store->meta.ids_next - store->ids_kept : 0;
    if (end <= first)
        return STORE_OK;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(store->txn, store->env.remembered, &cursor);
    if (rc != 0)
        return lmdb_write_result(&store->env, rc);
    enum store_result result = evict_one(store, cursor, end - 1, MDB_SET_KEY);
    for (uint64_t number = end - 1; result == STORE_OK && number > first; number--)
        result = evict_one(store, cursor, number - 1, MDB_PREV);
    mdb_cursor_close(cursor);
    if (result == STORE_OK)
        store->meta.ids_first = end;
    return result;
}

void lmdb_remembered_settle(struct lmdb_store *store, bool committed)
{
    struct index_changes *gone = committed ? &store->outdated : &store->added;
    for (size_t i = 0; i < gone->count; i++)
        remembered_index_remove(store->index, gone->items[i].hash, gone->items[i].number);
    store->added.count = store->outdated.count = 0;
}
