#include "tests/support/build.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- reading ---- */

/* Takes the next word off a line; absent at the end. */
static struct text next_word(const char **line)
{
    size_t len = strcspn(*line, " ");
    struct text word = {*line, len};
    *line += len;
    if (**line == ' ')
        ++*line;
    return len > 0 ? word : text_none();
}

static bool is_dash(struct text word)
{
    return text_equal(word, text_of("-"));
}

static uint64_t read_number(struct text word)
{
    uint64_t number = 0;
    assert(word.len > 0);
    for (size_t i = 0; i < word.len; i++) {
        assert(word.data[i] >= '0' && word.data[i] <= '9');
        number = number * 10 + (uint64_t)(word.data[i] - '0');
    }
    return number;
}

/* Event types with commas between them. */
static field_TYPES read_types(struct text word)
{
    field_TYPES types = 0;
    while (word.len > 0) {
        const char *comma = memchr(word.data, ',', word.len);
        size_t len = comma != NULL ? (size_t)(comma - word.data) : word.len;
        enum message_type type = message_type_named((struct text){word.data, len});
        assert(message_is_event(type));
        types |= type_bit(type);
        len += comma != NULL;
        word = (struct text){word.data + len, word.len - len};
    }
    return types;
}

static void read_field(const struct field *field, struct text word, void *as)
{
    void *to = (char *)as + field->offset;
    switch (field->kind) {
    case KIND_SKU:
    case KIND_REF:
        *(struct text *)to = is_dash(word) ? text_none() : word;
        break;
    case KIND_QTY:
    case KIND_QTY_OR_ZERO:
    case KIND_LIMIT:
        *(uint32_t *)to = (uint32_t)read_number(word);
        break;
    case KIND_SEQ:
        *(uint64_t *)to = read_number(word);
        break;
    case KIND_TYPES:
        *(field_TYPES *)to = read_types(word);
        break;
    case KIND_FLAG:
        *(bool *)to = !is_dash(word);
        break;
    case KIND_ETA: {
        bool is_date = is_dash(word) || date_parse(word, to);
        assert(is_date);
        break;
    }
    default:
        assert(false);
    }
}

/* Takes `NAME=` off the front of a word. */
static bool take_name(struct text *word, const char *name)
{
    size_t len = strlen(name);
    if (word->len <= len || memcmp(word->data, name, len) != 0 || word->data[len] != '=')
        return false;
    *word = (struct text){word->data + len + 1, word->len - len - 1};
    return true;
}

/* The field that a word names, or the one whose turn it is. */
static const struct field *field_of(const struct message_info *info, struct text *word,
                                    size_t *turn)
{
    for (size_t i = 0; i < info->field_count; i++)
        if (take_name(word, info->fields[i].name))
            return &info->fields[i];
    assert(*turn < info->field_count);
    return &info->fields[(*turn)++];
}

static enum message_type read_message(const char *line, void *as, struct text *id)
{
    enum message_type type = message_type_named(next_word(&line));
    assert(type != MESSAGE_NONE);
    const struct message_info *info = message_info(type);
    for (size_t i = 0; i < info->field_count; i++)
        if (info->fields[i].kind == KIND_LIMIT) /* as a decoded request has it */
            *(field_LIMIT *)(void *)((char *)as + info->fields[i].offset) = LIMIT_DEFAULT;
    size_t turn = 0;
    for (struct text word; !text_is_none(word = next_word(&line));) {
        if (take_name(&word, "id"))
            *id = word;
        else
            read_field(field_of(info, &word, &turn), word, as);
    }
    return type;
}

struct request build_request(const char *line)
{
    struct request request;
    memset(&request, 0, sizeof request);
    request.type = read_message(line, &request.as, &request.id);
    assert(!message_is_event(request.type));
    return request;
}

struct event build_event(const char *line)
{
    struct event event;
    memset(&event, 0, sizeof event);
    event.type = read_message(line, &event.as, &event.cause);
    assert(message_is_event(event.type));
    return event;
}

/* ---- writing ---- */

void notation_clear(struct notation *out)
{
    out->len = 0;
    if (out->text != NULL)
        out->text[0] = '\0';
}

void notation_release(struct notation *out)
{
    free(out->text);
    *out = (struct notation){NULL, 0, 0};
}

const char *notation_text(const struct notation *out)
{
    return out->text != NULL ? out->text : "";
}

void notation_add(struct notation *out, const char *format, ...)
{
    for (;;) {
        va_list args;
        va_start(args, format);
        size_t room = out->capacity - out->len;
        int len = vsnprintf(room > 0 ? out->text + out->len : NULL, room, format, args);
        va_end(args);
        assert(len >= 0);
        if ((size_t)len < room) {
            out->len += (size_t)len;
            return;
        }
        out->capacity = 2 * (out->capacity + (size_t)len + 1);
        out->text = realloc(out->text, out->capacity);
        assert(out->text != NULL);
    }
}

static void add_text(struct notation *out, const char *before, struct text t)
{
    if (text_is_none(t))
        notation_add(out, "%s-", before);
    else
        notation_add(out, "%s%.*s", before, TEXT_ARG(t));
}

static void add_date(struct notation *out, const char *before, struct date date)
{
    char text[DATE_TEXT_LEN + 1] = "-";
    if (!date_is_none(date))
        date_format(date, text);
    notation_add(out, "%s%s", before, text);
}

static void add_field(struct notation *out, const struct field *field, const void *as)
{
    const void *from = (const char *)as + field->offset;
    switch (field->kind) {
    case KIND_SKU:
    case KIND_REF:
        add_text(out, " ", *(const struct text *)from);
        break;
    case KIND_SEQ:
        notation_add(out, " %" PRIu64, *(const uint64_t *)from);
        break;
    case KIND_FLAG:
        notation_add(out, " %s", *(const bool *)from ? field->name : "-");
        break;
    case KIND_ETA:
        add_date(out, " ", *(const struct date *)from);
        break;
    default:
        notation_add(out, " %" PRIu32, *(const uint32_t *)from);
    }
}

static void add_message(struct notation *out, enum message_type type, const void *as)
{
    const struct message_info *info = message_info(type);
    notation_add(out, "%s", info->name);
    for (size_t i = 0; i < info->field_count; i++)
        add_field(out, &info->fields[i], as);
}

void notation_add_request(struct notation *out, const struct request *request)
{
    add_message(out, request->type, &request->as);
    if (!text_is_none(request->id))
        add_text(out, " id=", request->id);
}

void notation_add_event(struct notation *out, const struct event *event)
{
    add_message(out, event->type, &event->as);
}

void notation_add_stored_event(struct notation *out, const struct event *event)
{
    notation_add(out, "%" PRIu64 " prev=%" PRIu64, event->seq, event->prev);
    add_text(out, " ", event->sku);
    notation_add(out, " v%" PRIu64 " ", event->version);
    if (!text_is_none(event->cause))
        notation_add(out, "cause=%.*s ", TEXT_ARG(event->cause));
    notation_add_event(out, event);
}

/* ---- replies ---- */

static void add_next(struct notation *out, struct text next)
{
    if (!text_is_none(next))
        add_text(out, " next=", next);
}

static void add_lines(struct notation *out, const struct line_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        add_text(out, " ", page->rows[i].sku);
        notation_add(out, ":%" PRIu32, page->rows[i].qty);
        add_text(out, ":", page->rows[i].batchref);
    }
    add_next(out, page->next);
}

static void add_batch(struct notation *out, const struct batch_view *batch)
{
    add_text(out, " ", batch->ref);
    notation_add(out, ":%" PRIu32 "/%" PRIu32, batch->available, batch->qty);
    add_date(out, ":", batch->eta);
}

static void add_batches(struct notation *out, const struct batch_view *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_batch(out, &rows[i]);
}

static void add_stock(struct notation *out, const struct stock_view *stock)
{
    add_text(out, " ", stock->sku);
    notation_add(out, " v%" PRIu64 " available=%" PRIu64, stock->version, stock->available);
    add_batches(out, stock->batches, stock->batch_count);
    notation_add(out, " exhausted=%" PRIu64, stock->exhausted);
}

static void add_products(struct notation *out, const struct product_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct product_view *row = &page->rows[i];
        add_text(out, " ", row->sku);
        notation_add(out, ":v%" PRIu64 ":%" PRIu64 ":%" PRIu64, row->version, row->available,
                     row->batches);
    }
    add_next(out, page->next);
}

static void add_events(struct notation *out, const struct event_page *page, struct codec *codec)
{
    for (size_t i = 0; i < page->count; i++) {
        struct event event;
        bool is_event = codec_decode_event(codec, page->rows[i].body, &event);
        assert(is_event && event.seq == page->rows[i].seq);
        notation_add(out, " [");
        notation_add_stored_event(out, &event);
        notation_add(out, "]");
    }
    if (page->next != 0)
        notation_add(out, " next=%" PRIu64, page->next);
    notation_add(out, " head=%" PRIu64 " first=%" PRIu64, page->head, page->first);
}

static void add_answer(struct notation *out, const struct reply *reply, struct codec *codec)
{
    switch (reply->type) {
    case MESSAGE_GET_ALLOCATIONS:
        add_lines(out, &reply->as.lines);
        break;
    case MESSAGE_GET_STOCK:
        add_stock(out, &reply->as.stock);
        break;
    case MESSAGE_LIST_BATCHES:
        add_batches(out, reply->as.batches.rows, reply->as.batches.count);
        add_next(out, reply->as.batches.next);
        break;
    case MESSAGE_GET_BATCH:
        add_text(out, " ", reply->as.batch.sku);
        add_batch(out, &reply->as.batch);
        break;
    case MESSAGE_LIST_PRODUCTS:
        add_products(out, &reply->as.products);
        break;
    case MESSAGE_GET_EVENTS:
        add_events(out, &reply->as.events, codec);
        break;
    case MESSAGE_GET_STATS: /* the other figures have tests of their own */
        notation_add(out, " seq=%" PRIu64 " products=%" PRIu64 " waiting_lines=%" PRIu64,
                     reply->as.stats.seq, reply->as.stats.products, reply->as.stats.waiting_lines);
        break;
    default:
        break;
    }
}

void notation_add_reply(struct notation *out, const struct reply *reply, struct codec *codec)
{
    notation_add(out, "%s", outcome_info(reply->outcome)->code);
    if (!text_is_none(reply->about))
        add_text(out, " ", reply->about);
    if (!text_is_none(reply->about_more))
        add_text(out, "/", reply->about_more);
    if (!text_is_none(reply->id))
        add_text(out, " id=", reply->id);
    if (message_is_command(reply->type))
        notation_add(out, " seq=%" PRIu64, reply->seq);
    if (reply->outcome != OUTCOME_DONE)
        return;
    if (reply->type == MESSAGE_ALLOCATE)
        add_text(out, " batchref=", reply->batchref);
    if (reply->duplicate)
        notation_add(out, " duplicate");
    add_answer(out, reply, codec);
}
