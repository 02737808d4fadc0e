/* When what changed is written into LMDB, and when it can be forgotten. */
#include "store/lmdb/inside.h"

#include "store/lmdb/coarse_clock.h"

#include <assert.h>

#define RETRY_MS 1000u /* after a round that could not be written, for want of room say */
#define FAR_BEHIND 4u  /* times what a round begins with: then whoever adds more has to wait */

static bool is_behind(const struct lmdb_store *store, unsigned times)
{
    const struct rounds *rounds = &store->rounds;
    uint64_t since = rounds->is_under_way ? rounds->meta.last_seq : store->projected.last_seq;
    return store->meta.last_seq - since >= times * rounds->events ||
           tables_bytes(&store->tables) >= times * rounds->bytes;
}

/* The round is in the tables: the snapshot from now on shows it, and it can go. */
static enum store_result drop_round(struct lmdb_store *store)
{
    struct meta meta;
    enum store_result result = tables_refresh(&store->tables);
    if (result == STORE_OK)
        result = tables_meta(&store->tables, &meta);
    if (result != STORE_OK)
        return result == STORE_NOT_FOUND ? STORE_DAMAGED : result;
    assert(meta.entry == store->rounds.meta.entry && meta.last_seq == store->rounds.meta.last_seq);
    tables_drop_round(&store->tables);
    store->projected = meta;
    store->rounds.is_under_way = false;
    return STORE_OK;
}

/* Takes note of the end of a round, where it has come. */
static enum store_result take_end(struct lmdb_store *store)
{
    enum store_result result;
    if (!projector_take(store->projector, &result))
        return STORE_OK;
    if (result == STORE_OK)
        return drop_round(store);
    store->rounds.retry_ms = coarse_ms() + RETRY_MS;
    store->rounds.trouble = result;
    store->rounds.cause = projector_cause(store->projector);
    return result == STORE_BROKEN ? STORE_BROKEN : STORE_OK;
}

void store_begin_round(struct lmdb_store *store)
{
    struct rounds *rounds = &store->rounds;
    assert(!rounds->is_under_way && store->meta.entry > store->projected.entry);
    tables_begin_round(&store->tables);
    rounds->is_under_way = true;
    rounds->must_wait = store->sent != NULL;
    rounds->meta = store->meta;
    rounds->retry_ms = 0;
    if (!rounds->must_wait)
        projector_begin(store->projector, &rounds->meta);
}

void store_release_round(struct lmdb_store *store)
{
    struct rounds *rounds = &store->rounds;
    if (!rounds->must_wait)
        return;
    rounds->must_wait = false;
    projector_begin(store->projector, &rounds->meta);
}

/* Commands are refused for it. */
static enum store_result told(struct lmdb_store *store)
{
    store->cause = store->rounds.cause;
    return store->rounds.trouble;
}

static void begin_if_due(struct lmdb_store *store)
{
    struct rounds *rounds = &store->rounds;
    if (!rounds->is_under_way && is_behind(store, 1)) {
        store_begin_round(store);
    } else if (rounds->is_under_way && rounds->retry_ms != 0 && coarse_ms() >= rounds->retry_ms) {
        rounds->retry_ms = 0;
        projector_begin(store->projector, &rounds->meta);
    }
}

enum store_result store_turn_rounds(struct lmdb_store *store)
{
    if (store->projector == NULL) /* who only looks writes nothing */
        return STORE_OK;
    enum store_result result = take_end(store);
    if (result != STORE_OK)
        return result;
    begin_if_due(store);
    if (!store->rounds.is_under_way || !is_behind(store, FAR_BEHIND))
        return STORE_OK;
    if (store->rounds.must_wait)
        return STORE_OK;
    if (store->rounds.retry_ms != 0)
        return told(store);
    projector_wait(store->projector);
    result = take_end(store);
    if (result == STORE_OK && store->rounds.is_under_way)
        return told(store);
    if (result == STORE_OK)
        begin_if_due(store);
    return result;
}

enum store_result store_end_round(struct lmdb_store *store)
{
    projector_wait(store->projector);
    return take_end(store);
}
