#include "store/lmdb/inside.h"

static struct text seq_key(const uint64_t *seq)
{
    return (struct text){(const char *)seq, sizeof *seq};
}

enum store_result lmdb_log_append(struct lmdb_store *store, struct event *event, struct text *body)
{
    struct meta *meta = &store->meta;
    event->seq = meta->last_seq + 1;
    event->prev = meta->last_of_type[event->type];
    event->time_ms = store->now_ms > meta->last_time_ms ? store->now_ms : meta->last_time_ms;

    struct text encoded;
    if (!codec_encode_event(store->codec, event, &encoded) ||
        !arena_text(store->arena, encoded, body))
        return STORE_FAILED;
    struct logged_event logged = {event->type, event->line_seq, event->older_seq, *body};
    struct record record;
    if (!record_put_event(&record, event->seq, &logged))
        return STORE_FAILED;
    int rc = lmdb_append(store->txn, store->env.events, &store->events_end, seq_key(&event->seq),
                         &record);
    if (rc != 0)
        return lmdb_write_result(&store->env, rc);
    meta->last_seq = event->seq;
    meta->last_of_type[event->type] = event->seq;
    meta->last_time_ms = event->time_ms;
    return STORE_OK;
}

bool lmdb_log_decode(struct lmdb_store *store, uint64_t seq, const struct logged_event *logged,
                     struct event *out)
{
    if (!codec_decode_event(store->codec, logged->body, out) || out->type != logged->type ||
        out->seq != seq)
        return false;
    out->line_seq = logged->line_seq;
    out->older_seq = logged->older_seq;
    return true;
}

enum store_result lmdb_log_get(struct lmdb_store *store, MDB_txn *txn, uint64_t seq,
                               struct event *out)
{
    struct text value;
    struct logged_event logged;
    enum store_result result = lmdb_get(txn, store->env.events, seq_key(&seq), &value);
    if (result == STORE_OK && record_get_event(seq, value, &logged) &&
        lmdb_log_decode(store, seq, &logged, out))
        return STORE_OK;
    return STORE_DAMAGED;
}
