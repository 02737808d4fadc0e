#include "store/wire/entry.h"

#include "store/wire/varint.h"

#include <assert.h>
#include <stdlib.h>

#define CAPACITY_AT_FIRST ((size_t)64 * 1024)
#define CAPACITY_KEPT ((size_t)8 * 1024 * 1024)

static bool make_room(struct entry_bytes *entry, size_t more)
{
    size_t capacity = entry->capacity > 0 ? entry->capacity : CAPACITY_AT_FIRST;
    while (capacity - entry->len < more)
        capacity *= 2;
    if (capacity == entry->capacity)
        return true;
    char *data = realloc(entry->data, capacity);
    if (data == NULL)
        return false;
    entry->data = data;
    entry->capacity = capacity;
    return true;
}

static void put_byte(struct entry_bytes *entry, enum entry_kind kind)
{
    entry->data[entry->len++] = (char)kind;
}

static void put_number(struct entry_bytes *entry, uint64_t number)
{
    entry->len += varint_put((unsigned char *)entry->data + entry->len, number);
}

static void put_rest(struct entry_bytes *entry, struct text text)
{
    if (text.len > 0)
        memcpy(entry->data + entry->len, text.data, text.len);
    entry->len += text.len;
}

static void put_text(struct entry_bytes *entry, struct text text)
{
    put_number(entry, text.len);
    put_rest(entry, text);
}

static size_t number_bytes(uint64_t number)
{
    unsigned char bytes[VARINT_MAX_BYTES];
    return varint_put(bytes, number);
}

static size_t text_bytes(struct text text)
{
    return number_bytes(text.len) + text.len;
}

bool entry_add_event(struct entry_bytes *entry, const struct entry_event *event)
{
    size_t len = number_bytes(event->line_seq) + event->body.len;
    if (!make_room(entry, 1 + VARINT_MAX_BYTES + len))
        return false;
    put_byte(entry, ENTRY_EVENT);
    put_number(entry, len);
    put_number(entry, event->line_seq);
    put_rest(entry, event->body);
    return true;
}

bool entry_add_reply(struct entry_bytes *entry, const struct entry_reply *reply)
{
    struct text code = text_of(outcome_info(reply->outcome)->code);
    size_t len = text_bytes(reply->id) + text_bytes(reply->request) + text_bytes(code) +
                 number_bytes(reply->duplicate) + number_bytes(reply->seq) + reply->batchref.len;
    if (!make_room(entry, 1 + VARINT_MAX_BYTES + len))
        return false;
    put_byte(entry, ENTRY_REPLY);
    put_number(entry, len);
    size_t begin = entry->len;
    put_text(entry, reply->id);
    put_text(entry, reply->request);
    put_text(entry, code);
    put_number(entry, reply->duplicate);
    put_number(entry, reply->seq);
    put_rest(entry, reply->batchref); /* absent: empty, as no ref is */
    assert(entry->len - begin == len);
    return true;
}

void entry_clear(struct entry_bytes *entry)
{
    entry->len = 0;
    if (entry->capacity > CAPACITY_KEPT)
        entry_release(entry);
}

void entry_release(struct entry_bytes *entry)
{
    free(entry->data);
    *entry = (struct entry_bytes){.data = NULL};
}

/* ---- reading ---- */

static bool get_event(struct input *in, struct entry_event *out)
{
    out->line_seq = input_number(in);
    out->body = input_rest(in);
    return in->ok;
}

static bool get_reply(struct input *in, struct entry_reply *out)
{
    out->id = input_text(in);
    out->request = input_text(in);
    struct text code = input_text(in);
    out->duplicate = input_number_to(in, 1) != 0;
    out->seq = input_number(in);
    out->batchref = input_rest(in);
    if (out->batchref.len == 0)
        out->batchref = text_none();
    out->outcome = OUTCOME_DONE;
    while (in->ok && out->outcome < OUTCOMES &&
           !text_equal(code, text_of(outcome_info(out->outcome)->code)))
        out->outcome++;
    return in->ok && out->outcome < OUTCOMES;
}

bool entry_next(struct text *rest, struct entry_item *out)
{
    if (rest->len == 0)
        return false;
    struct input in = input_of(*rest);
    uint64_t kind = *in.at++;
    struct text item = input_text(&in);
    if (!in.ok)
        return false;
    struct input content = input_of(item);
    bool is_item = false;
    if (kind == ENTRY_EVENT) {
        out->kind = ENTRY_EVENT;
        is_item = get_event(&content, &out->as.event);
    } else if (kind == ENTRY_REPLY) {
        out->kind = ENTRY_REPLY;
        is_item = get_reply(&content, &out->as.reply);
    }
    if (is_item)
        *rest = input_rest(&in);
    return is_item;
}
