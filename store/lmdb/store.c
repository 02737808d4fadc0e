#include "store/lmdb/inside.h"

#include "store/hash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define TAIL_EVENTS 256u /* of the log that are looked at when the store is opened */
#define PRODUCTS_PART 4u /* of the cache: products of a round, and as many of the next */
#define LINES_PART 8u    /* of the cache, beside it: lines of a round, and as many of the next */
#define INDEX_SLACK                                                                                \
    ((size_t)65536) /* replies that a unit may add before the oldest are forgotten */

_Static_assert(LMDB_STORE_IDS_MAX + 2 * INDEX_SLACK <= REMEMBERED_INDEX_MAX,
               "the index holds them");

static enum store_result read_meta(struct lmdb_store *store)
{
    struct text value;
    enum store_result result =
        lmdb_get(store->txn, store->env.meta, text_of(LMDB_META_KEY), &value);
    if (result == STORE_OK && !record_get_meta(text_of(LMDB_META_KEY), value, &store->meta))
        result = STORE_DAMAGED;
    if (result == STORE_NOT_FOUND) { /* new, unless there is something in it */
        MDB_stat events;
        bool empty =
            mdb_stat(store->txn, store->env.events, &events) == 0 && events.ms_entries == 0;
        result = empty ? STORE_OK : STORE_DAMAGED;
    }
    store->committed = store->meta;
    return result;
}

/* The log ends where the counters say, and its newest events are whole. */
static enum store_result check_tail(struct lmdb_store *store)
{
    uint64_t last = store->meta.last_seq;
    MDB_stat events;
    if (mdb_stat(store->txn, store->env.events, &events) != 0 || events.ms_entries != last)
        return STORE_DAMAGED;
    enum store_result result = STORE_OK;
    for (uint64_t i = 0; i < TAIL_EVENTS && i < last && result == STORE_OK; i++) {
        struct event event;
        result = lmdb_log_get(store, store->txn, last - i, &event);
    }
    return result;
}

/* Room for all that is stored, which may be more than is to be kept from now on. */
static enum store_result read_remembered(struct lmdb_store *store)
{
    uint64_t stored = store->meta.ids_next - store->meta.ids_first;
    if (store->meta.ids_next < store->meta.ids_first || stored > LMDB_STORE_IDS_MAX + INDEX_SLACK)
        return STORE_DAMAGED;
    uint64_t most = stored > store->ids_kept ? stored : store->ids_kept;
    store->index = remembered_index_new((size_t)most + INDEX_SLACK);
    return store->index != NULL ? lmdb_remembered_open(store) : STORE_FAILED;
}

static bool check(struct lmdb_store *store, const char *directory, char error[ERROR_BYTES])
{
    static const struct {
        enum store_result (*check)(struct lmdb_store *);
        const char *what;
    } checks[] = {
        {read_meta, "its counters"},
        {check_tail, "the end of its event log"},
        {read_remembered, "its remembered replies"},
        {lmdb_fold_replay, "what its tables lack of the log"},
    };
    if (mdb_txn_begin(store->env.env, NULL, MDB_RDONLY, &store->txn) != 0) {
        snprintf(error, ERROR_BYTES, "cannot read the store %s", directory);
        return false;
    }
    enum store_result result = STORE_OK;
    for (size_t i = 0; result == STORE_OK && i < sizeof checks / sizeof *checks; i++) {
        result = checks[i].check(store);
        if (result == STORE_FAILED)
            snprintf(error, ERROR_BYTES, "no memory");
        else if (result != STORE_OK)
            snprintf(error, ERROR_BYTES, "the store %s is damaged: %s cannot be read", directory,
                     checks[i].what);
    }
    mdb_txn_abort(store->txn);
    store->txn = NULL;
    return result == STORE_OK;
}

static bool make_parts(struct lmdb_store *store, const struct lmdb_store_options *options)
{
    store->codec = codec_new();
    store->arena = arena_new();
    bool seeded = hash_new_seed(&store->hash_seed);
    store->cache = product_cache_new(options->cache_bytes, store->hash_seed);
    return lmdb_lines_open(store) && seeded && store->codec != NULL && store->arena != NULL &&
           store->cache != NULL;
}

/* What is ahead of the tables stays in memory: that of one round and of the next one. */
static void set_rounds(struct lmdb_fold *fold, const struct lmdb_store_options *options)
{
    fold->events_in_round = options->events_behind;
    fold->product_bytes_in_round = options->cache_bytes / PRODUCTS_PART + 1;
    fold->line_bytes_in_round = options->cache_bytes / LINES_PART + 1;
}

struct lmdb_store *lmdb_store_open(const struct lmdb_store_options *options,
                                   char error[ERROR_BYTES])
{
    assert(options->ids_kept >= 1 && options->ids_kept <= LMDB_STORE_IDS_MAX);
    struct lmdb_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        snprintf(error, ERROR_BYTES, "no memory");
        return NULL;
    }
    store->unit.ops = &lmdb_unit_ops;
    store->reader.ops = &lmdb_reader_ops;
    store->ids_kept = options->ids_kept;
    store->is_stale = true;
    set_rounds(&store->fold, options);
    store->env.directory_fd = store->env.marker_fd = store->env.place.fd = -1;
    if (!make_parts(store, options))
        snprintf(error, ERROR_BYTES, "no memory");
    else if (lmdb_env_open(&store->env, options->directory, options->map_size_bytes,
                           options->check_bytes, error) &&
             check(store, options->directory, error))
        return store;
    lmdb_store_close(&store);
    return NULL;
}

bool lmdb_store_was_walked(const struct lmdb_store *store)
{
    return store->env.is_new || store->env.checked != LMDB_PAGES_METAS;
}

bool lmdb_store_has_finished_commit(const struct lmdb_store *store)
{
    return store->env.has_finished_commit;
}

bool lmdb_store_is_in_place(struct lmdb_store *store, char error[ERROR_BYTES])
{
    return lmdb_env_is_in_place(&store->env, error);
}

void lmdb_store_close(struct lmdb_store **store)
{
    struct lmdb_store *s = *store;
    if (s == NULL)
        return;
    if (s->cache != NULL)
        unit_rollback(&s->unit);
    if (s->read_txn != NULL)
        mdb_txn_abort(s->read_txn);
    lmdb_env_close(&s->env);
    product_cache_destroy(&s->cache);
    remembered_index_destroy(&s->index);
    codec_destroy(&s->codec);
    arena_destroy(&s->arena);
    lazy_order_release(&s->fold.round);
    lmdb_lines_close(s);
    free(s->added.items);
    free(s->outdated.items);
    free(s);
    *store = NULL;
}

struct unit_of_work *lmdb_store_unit(struct lmdb_store *store)
{
    return &store->unit;
}

struct reader *lmdb_store_reader(struct lmdb_store *store)
{
    return &store->reader;
}
