/* The journal: its entries and their numbers, and then what each event says. */
#include "store/verify/inside.h"

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

/* False: the journal cannot be replayed beyond this one. */
static bool take_event(struct verify *v, const struct entry_event *item)
{
    struct event event;
    uint64_t seq = v->last_seq + 1;
    if (!codec_decode_event(v->store->codec, item->body, &event) || event.seq != seq) {
        verify_finding(v, "the event of seq %" PRIu64 " cannot be read", seq);
        return false;
    }
    event.line_seq = item->line_seq;
    check_event(v, &event);
    return !v->no_memory;
}

static bool take_entry(struct verify *v, const struct journal_entry *entry, uint64_t number)
{
    struct text rest = entry->body;
    struct entry_item item;
    bool goes_on = entry->number == number && entry->first_seq == v->last_seq + 1;
    uint64_t end = entry->first_seq + entry->events - 1;
    if (!goes_on)
        verify_finding(
            v, "entry %" PRIu64 " from seq %" PRIu64 " follows %" PRIu64 " up to seq %" PRIu64,
            entry->number, entry->first_seq, number - 1, v->last_seq);
    while (goes_on && entry_next(&rest, &item)) {
        if (item.kind == ENTRY_EVENT)
            goes_on = take_event(v, &item.as.event);
        else
            verify_replies_reply(v, &item.as.reply);
    }
    if (goes_on && (rest.len > 0 || v->last_seq != end)) {
        verify_finding(v, "entry %" PRIu64 " cannot be read to its end", entry->number);
        goes_on = false;
    }
    verify_replies_end_entry(v);
    return goes_on;
}

void verify_log(struct verify *v)
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    uint64_t number = 1;
    bool goes_on = true;
    verify_turn_to(v, &v->log_check);
    enum store_result result =
        journal_read_begin(v->store->journal, JOURNAL_BY_NUMBER, number, &cursor);
    while (result == STORE_OK && goes_on) {
        result = journal_read_next(cursor, &entry);
        if (result == STORE_OK)
            goes_on = take_entry(v, &entry, number++);
    }
    journal_read_end(&cursor);
    if (result == STORE_FAILED)
        v->no_memory = true;
    else if (goes_on && result != STORE_NOT_FOUND)
        verify_finding(v, "it cannot be read behind seq %" PRIu64, v->last_seq);
    else if (goes_on)
        verify_replay(v, NULL);
    v->is_replayed = v->check->findings == 0 && !v->no_memory;
    verify_end(v, "%" PRIu64 " entries, seq 1..%" PRIu64, journal_newest(v->store->journal),
               v->last_seq);
}
