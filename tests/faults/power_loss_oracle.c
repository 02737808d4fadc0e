#include "tests/faults/power_loss_oracle.h"

#include "store/hash.h"
#include "store/journal/file.h"
#include "store/wire/entry.h"
#include "tests/faults/power_loss_inside.h"

#include <assert.h>
#include <msgpack.h>
#include <stdlib.h>

void oracle_init(struct oracle *oracle, const char *directory, const char *copy)
{
    *oracle = (struct oracle){.directory = directory, .copy = copy};
}

void oracle_release(struct oracle *oracle)
{
    free(oracle->entries.items);
    free(oracle->events);
    free(oracle->replies);
    free(oracle->doubts);
    free(oracle->promised);
}

/* Room for one more item. */
static void *with_room(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity > 0 ? 2 * *capacity : 256;
    items = realloc(items, *capacity * size);
    assert(items != NULL);
    return items;
}

static uint64_t hash_of(struct text text)
{
    return text_is_none(text) ? 0 : hash_bytes(text.data, text.len, 0) | 1;
}

/* ---- the run ---- */

void oracle_doubts(struct oracle *oracle, size_t messages)
{
    char error[ERROR_BYTES];
    struct oracle_entries found = {0};
    if (power_loss_read_journal(oracle->directory, &found, NULL, NULL, error) && found.count > 0) {
        oracle->doubts =
            realloc(oracle->doubts, (oracle->doubt_count + 1) * sizeof *oracle->doubts);
        assert(oracle->doubts != NULL);
        oracle->doubts[oracle->doubt_count++] =
            (struct oracle_doubt){found.items[found.count - 1], messages};
    }
    free(found.items);
}

static void learn_event(struct oracle *oracle, uint64_t entry, struct text body)
{
    oracle->events = with_room(oracle->events, oracle->event_count, &oracle->event_capacity,
                               sizeof *oracle->events);
    oracle->events[oracle->event_count++] = (struct oracle_event){hash_of(body), entry};
}

static void learn_reply(struct oracle *oracle, uint64_t entry, const struct entry_reply *reply)
{
    oracle->replies = with_room(oracle->replies, oracle->reply_count, &oracle->reply_capacity,
                                sizeof *oracle->replies);
    oracle->replies[oracle->reply_count++] =
        (struct oracle_reply){.id = hash_of(reply->id),
                              .outcome = reply->outcome,
                              .duplicate = reply->duplicate,
                              .seq = reply->seq,
                              .batchref = hash_of(reply->batchref),
                              .entry = entry};
}

static bool learn_entry(void *context, const struct journal_entry *entry)
{
    struct oracle *oracle = context;
    struct entry_item item;
    struct text rest = entry->body;
    while (entry_next(&rest, &item)) {
        if (item.kind == ENTRY_EVENT)
            learn_event(oracle, entry->number, item.as.event.body);
        else
            learn_reply(oracle, entry->number, &item.as.reply);
    }
    return rest.len == 0 && oracle->event_count == entry->first_seq + entry->events - 1;
}

bool oracle_learn(struct oracle *oracle, FILE *why)
{
    char error[ERROR_BYTES];
    if (power_loss_read_journal(oracle->directory, &oracle->entries, learn_entry, oracle, error))
        return true;
    fprintf(why, "the journal of the run cannot be read: %s\n", error);
    return false;
}

/* What a message says that a store could contradict. */
struct message {
    bool is_reply;
    bool is_event;
    bool has_seq;
    bool duplicate;
    uint64_t seq;
    struct text id;
    struct text error;
    struct text batchref;
};

static struct text text_in(const msgpack_object *value)
{
    if (value->type != MSGPACK_OBJECT_STR)
        return text_none();
    return (struct text){value->via.str.ptr, value->via.str.size};
}

static void read_field(struct message *out, struct text key, const msgpack_object *value)
{
    if (text_equal(key, text_of("ok"))) {
        out->is_reply = true;
    } else if (text_equal(key, text_of("prev"))) {
        out->is_event = true;
    } else if (text_equal(key, text_of("seq")) && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        out->has_seq = true;
        out->seq = value->via.u64;
    } else if (text_equal(key, text_of("duplicate")) && value->type == MSGPACK_OBJECT_BOOLEAN) {
        out->duplicate = value->via.boolean;
    } else if (text_equal(key, text_of("id"))) {
        out->id = text_in(value);
    } else if (text_equal(key, text_of("error"))) {
        out->error = text_in(value);
    } else if (text_equal(key, text_of("batchref"))) {
        out->batchref = text_in(value);
    }
}

/* False: the frame is no body, or says nothing of what is stored. */
static bool read_message(const msgpack_object *body, struct message *out)
{
    *out = (struct message){0};
    if (body->type != MSGPACK_OBJECT_MAP)
        return false;
    for (uint32_t i = 0; i < body->via.map.size; i++) {
        const msgpack_object_kv *pair = &body->via.map.ptr[i];
        read_field(out, text_in(&pair->key), &pair->val);
    }
    return out->has_seq;
}

static bool is_remembered(const struct message *message)
{
    if (!message->is_reply || text_is_none(message->id))
        return false;
    if (text_is_none(message->error))
        return true;
    for (enum outcome outcome = 0; outcome < OUTCOMES; outcome++)
        if (text_equal(message->error, text_of(outcome_info(outcome)->code)))
            return outcome_info(outcome)->remembered;
    return false;
}

static bool says(const struct oracle_reply *reply, const struct message *message)
{
    bool is_done = reply->outcome == OUTCOME_DONE;
    return reply->seq == message->seq && reply->duplicate == message->duplicate &&
           is_done == text_is_none(message->error) &&
           (is_done || text_equal(message->error, text_of(outcome_info(reply->outcome)->code))) &&
           reply->batchref == hash_of(message->batchref);
}

/* The commands of a run have ids, its queries have none: so each reply with a seq and an id is in
 * the journal. NULL: it is not, or it says something else. */
static const struct oracle_reply *find_reply(const struct oracle *oracle,
                                             const struct message *message)
{
    uint64_t id = hash_of(message->id);
    for (size_t i = oracle->reply_count; i > 0; i--) {
        const struct oracle_reply *reply = &oracle->replies[i - 1];
        if (reply->id == id)
            return says(reply, message) ? reply : NULL;
    }
    return NULL;
}

/* All that is stored was told of by now: so what was found when the write had failed is what was
 * refused, and must not be in the journal of the run. */
static bool take_refusal(const struct oracle *oracle, uint64_t promised, FILE *why)
{
    for (size_t i = 0; i < oracle->doubt_count; i++) {
        const struct oracle_entry *entry = &oracle->doubts[i].entry;
        if (oracle->doubts[i].messages <= oracle->message_count && entry->number > promised &&
            entry->number <= oracle->entries.count &&
            oracle_entry_equal(entry, &oracle->entries.items[entry->number - 1])) {
            fprintf(why, "entry %" PRIu64 " was refused, and is there all the same\n",
                    entry->number);
            return false;
        }
    }
    return true;
}

static bool is_of_storage(const struct message *message)
{
    return message->is_reply &&
           (text_equal(message->error, text_of(outcome_info(OUTCOME_STORAGE_FULL)->code)) ||
            text_equal(message->error, text_of(outcome_info(OUTCOME_STORAGE_FAILED)->code)));
}

/* Requires: the last entry of `promised` is free. */
static bool take_message(struct oracle *oracle, const struct message *message, struct text body,
                         FILE *why)
{
    uint64_t *promised = &oracle->promised[oracle->message_count - 1];
    if (message->seq > oracle->event_count ||
        (message->is_event &&
         (message->seq == 0 || oracle->events[message->seq - 1].hash != hash_of(body)))) {
        fprintf(why, "a message left with seq %" PRIu64 ", which is not stored as it was told\n",
                message->seq);
        return false;
    }
    if (message->seq > 0 && oracle->events[message->seq - 1].entry > *promised)
        *promised = oracle->events[message->seq - 1].entry;
    if (is_of_storage(message))
        return take_refusal(oracle, *promised, why);
    if (!is_remembered(message))
        return true;
    const struct oracle_reply *reply = find_reply(oracle, message);
    if (reply == NULL)
        fprintf(why, "the reply to %.*s is not stored as it was told\n", TEXT_ARG(message->id));
    else if (reply->entry > *promised)
        *promised = reply->entry;
    return reply != NULL;
}

bool oracle_learn_sent(struct oracle *oracle, const unsigned char *frame, size_t len, FILE *why)
{
    size_t count = oracle->message_count;
    if (count % 1024 == 0)
        oracle->promised = realloc(oracle->promised, (count + 1024) * sizeof *oracle->promised);
    assert(oracle->promised != NULL);
    oracle->promised[count] = count > 0 ? oracle->promised[count - 1] : 0;
    oracle->message_count++;

    msgpack_unpacked body;
    struct message message;
    bool good = true;
    msgpack_unpacked_init(&body);
    size_t end = 0;
    if (msgpack_unpack_next(&body, (const char *)frame, len, &end) == MSGPACK_UNPACK_SUCCESS &&
        end == len && read_message(&body.data, &message))
        good = take_message(oracle, &message, (struct text){(const char *)frame, len}, why);
    msgpack_unpacked_destroy(&body);
    return good;
}
