/* The event log: its numbers, and then what each event says. */
#include "store/verify/inside.h"

/* Decodes record `seq` of the log. */
static bool decode(struct verify *v, uint64_t seq, struct text value, struct event *out)
{
    struct logged_event logged;
    if (!record_get_event(seq, value, &logged) || !codec_decode_event(v->codec, logged.body, out) ||
        out->type != logged.type || out->seq != seq)
        return false;
    out->line_seq = logged.line_seq;
    out->older_seq = logged.older_seq;
    return true;
}

static void check_event(struct verify *v, const struct event *event)
{
    if (event->prev != v->last_of_type[event->type])
        verify_finding(
            v, "seq %" PRIu64 ": the event of its type before it is %" PRIu64 ", not %" PRIu64,
            event->seq, v->last_of_type[event->type], event->prev);
    if (event->time_ms < v->last_time_ms)
        verify_finding(v, "seq %" PRIu64 ": time goes back", event->seq);
    verify_replies_event(v, event);
    verify_replay(v, event);
    v->last_seq = event->seq;
    v->last_time_ms = event->time_ms;
    v->last_of_type[event->type] = event->seq;
}

/* False: the log cannot be followed beyond this record. */
static bool check_record(struct verify *v, struct text key, struct text value)
{
    uint64_t expected = v->last_seq + 1;
    uint64_t seq = 0;
    struct event event;
    if (key.len == sizeof seq)
        memcpy(&seq, key.data, sizeof seq);
    if (seq != expected) {
        verify_finding(v, "seq %" PRIu64 " follows %" PRIu64, seq, v->last_seq);
        return false;
    }
    if (!decode(v, seq, value, &event)) {
        verify_finding(v, "the record of seq %" PRIu64 " is damaged", seq);
        return false;
    }
    check_event(v, &event);
    return !v->no_memory;
}

void verify_log(struct verify *v)
{
    struct lmdb_walk walk;
    verify_turn_to(v, &v->log_check);
    enum store_result result = lmdb_walk_begin(&walk, v->txn, v->env.events, text_none());
    bool goes_on = true;
    while (result == STORE_OK && goes_on) {
        result = lmdb_walk_next(&walk);
        if (result == STORE_OK)
            goes_on = check_record(v, walk.key, walk.value);
    }
    lmdb_walk_end(&walk);
    if (result == STORE_DAMAGED)
        verify_finding(v, "they cannot be read behind seq %" PRIu64, v->last_seq);
    else if (goes_on)
        verify_replay(v, NULL);
    v->is_replayed = v->check->findings == 0 && !v->no_memory;
    verify_end(v, "1..%" PRIu64, v->last_seq);
}
