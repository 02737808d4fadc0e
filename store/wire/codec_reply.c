/* Replies: the answer to each command and query, and the refusals. */
#include "store/wire/codec_inside.h"

#include <assert.h>

/* ---- the message of a refusal --------------------------------------------------------------*/

#define NAME_SHOWN_MAX ((size_t)255) /* bytes of a name in a message: no valid name is longer */
#define MESSAGE_MAX ((size_t)1024)

struct sentence {
    char data[MESSAGE_MAX];
    size_t len;
};

static void add_string(struct sentence *sentence, const char *string)
{
    size_t len = strlen(string);
    assert(len <= MESSAGE_MAX - sentence->len);
    memcpy(sentence->data + sentence->len, string, len);
    sentence->len += len;
}

/* A stranger may have sent the name: what is no UTF-8 or a control character becomes `?`, and
 * what is too long is cut between two characters. */
static void add_name(struct sentence *sentence, struct text name)
{
    assert(NAME_SHOWN_MAX <= MESSAGE_MAX - sentence->len);
    size_t room = NAME_SHOWN_MAX;
    for (size_t at = 0; at < name.len && room > 0;) {
        size_t bytes = text_character(name.data + at, name.len - at);
        struct text character = {name.data + at, bytes > 0 ? bytes : 1};
        at += character.len;
        if (!text_is_name(character, character.len))
            character = text_of("?");
        if (character.len > room)
            return;
        memcpy(sentence->data + sentence->len, character.data, character.len);
        sentence->len += character.len;
        room -= character.len;
    }
}

static void write_sentence(struct sentence *sentence, const struct reply *reply)
{
    sentence->len = 0;
    add_string(sentence, outcome_info(reply->outcome)->sentence);
    add_name(sentence, reply->about);
    if (!text_is_none(reply->about_more)) {
        add_string(sentence, "/");
        add_name(sentence, reply->about_more);
    }
    if (reply->outcome == OUTCOME_INVALID_FIELD && reply->rule != NULL) {
        add_string(sentence, ": ");
        add_string(sentence, reply->rule);
    }
}

/* ---- what queries add ----------------------------------------------------------------------*/

static void pack_array_pair(struct codec *codec, const char *key, size_t count)
{
    pack_key(codec, key);
    pack_array(codec, count);
}

static void pack_line(struct codec *codec, const struct line_view *line)
{
    pack_map(codec, 3);
    pack_text_pair(codec, "sku", line->sku);
    pack_number_pair(codec, "qty", line->qty);
    pack_text_pair(codec, "batchref", line->batchref);
}

static void pack_line_page(struct codec *codec, const struct line_page *page)
{
    pack_array_pair(codec, "lines", page->count);
    for (size_t i = 0; i < page->count; i++)
        pack_line(codec, &page->rows[i]);
    pack_text_pair(codec, "next", page->next);
}

static void pack_stock_of_batch(struct codec *codec, const struct batch_view *batch)
{
    pack_number_pair(codec, "qty", batch->qty);
    pack_number_pair(codec, "available", batch->available);
    pack_key(codec, "eta");
    pack_date(codec, batch->eta);
}

static void pack_batches(struct codec *codec, const struct batch_view *rows, size_t count)
{
    pack_array_pair(codec, "batches", count);
    for (size_t i = 0; i < count; i++) {
        pack_map(codec, 4);
        pack_text_pair(codec, "ref", rows[i].ref);
        pack_stock_of_batch(codec, &rows[i]);
    }
}

static void pack_stock(struct codec *codec, const struct stock_view *stock)
{
    pack_text_pair(codec, "sku", stock->sku);
    pack_number_pair(codec, "version", stock->version);
    pack_number_pair(codec, "available", stock->available);
    pack_batches(codec, stock->batches, stock->batch_count);
    pack_number_pair(codec, "exhausted", stock->exhausted);
}

static void pack_batch_page(struct codec *codec, const struct batch_page *page)
{
    pack_batches(codec, page->rows, page->count);
    pack_text_pair(codec, "next", page->next);
}

static void pack_batch(struct codec *codec, const struct batch_view *batch)
{
    pack_text_pair(codec, "ref", batch->ref);
    pack_text_pair(codec, "sku", batch->sku);
    pack_stock_of_batch(codec, batch);
}

static void pack_product(struct codec *codec, const struct product_view *product)
{
    pack_map(codec, 4);
    pack_text_pair(codec, "sku", product->sku);
    pack_number_pair(codec, "version", product->version);
    pack_number_pair(codec, "available", product->available);
    pack_number_pair(codec, "batches", product->batches);
}

static void pack_product_page(struct codec *codec, const struct product_page *page)
{
    pack_array_pair(codec, "products", page->count);
    for (size_t i = 0; i < page->count; i++)
        pack_product(codec, &page->rows[i]);
    pack_text_pair(codec, "next", page->next);
}

static void pack_event_page(struct codec *codec, const struct event_page *page)
{
    pack_array_pair(codec, "events", page->count);
    for (size_t i = 0; i < page->count; i++)
        pack_encoded(codec, page->rows[i].body);
    pack_key(codec, "next");
    if (page->next == 0)
        pack_nil(codec);
    else
        pack_number(codec, page->next);
    pack_number_pair(codec, "head", page->head);
    pack_number_pair(codec, "first", page->first);
}

static void pack_stats(struct codec *codec, const struct stats *stats)
{
#define STAT(name, what) pack_number_pair(codec, #name, stats->name);
#include "domain/messages/stats.def"
}

/* ---- the reply -----------------------------------------------------------------------------*/

#define STATS_COUNT (sizeof(struct stats) / sizeof(uint64_t))

/* The pairs that a done query adds; 0 for all other types. Goes with pack_result. */
/* What a query's reply holds beyond `ok` and `id`: so many pairs, and how they are packed. */
struct result {
    size_t pairs;
    void (*pack)(struct codec *codec, const struct reply *reply);
};

#define RESULT(lower, count, function, member)                                                     \
    static void result_##lower(struct codec *codec, const struct reply *reply)                     \
    {                                                                                              \
        function(codec, &reply->as.member);                                                        \
    }                                                                                              \
    enum { pairs_##lower = count };

RESULT(get_allocations, 2, pack_line_page, lines)
RESULT(get_stock, 5, pack_stock, stock)
RESULT(list_batches, 2, pack_batch_page, batches)
RESULT(get_batch, 5, pack_batch, batch)
RESULT(list_products, 2, pack_product_page, products)
RESULT(get_events, 4, pack_event_page, events)
RESULT(get_stats, STATS_COUNT, pack_stats, stats)

static void result_ping(struct codec *codec, const struct reply *reply)
{
    (void)codec;
    (void)reply;
}

enum { pairs_ping = 0 };

static const struct result results[MESSAGE_TYPES] = {
#define QUERY(upper, lower, wire) [MESSAGE_##upper] = {pairs_##lower, result_##lower},
#include "domain/messages/messages.def"
};

static void pack_id(struct codec *codec, const struct reply *reply)
{
    if (!text_is_none(reply->id))
        pack_text_pair(codec, "id", reply->id);
}

static void pack_done(struct codec *codec, const struct reply *reply, size_t common_pairs)
{
    bool has_batchref = reply->type == MESSAGE_ALLOCATE;
    pack_begin(codec,
               1 + common_pairs + has_batchref + reply->duplicate + results[reply->type].pairs);
    pack_bool_pair(codec, "ok", true);
    pack_id(codec, reply);
    if (has_batchref)
        pack_text_pair(codec, "batchref", reply->batchref);
    if (reply->duplicate)
        pack_bool_pair(codec, "duplicate", true);
    if (results[reply->type].pack != NULL)
        results[reply->type].pack(codec, reply);
}

/* What is remembered for its id comes back as it was, however often it is asked for. */
static bool is_retryable(const struct reply *reply)
{
    const struct outcome_info *info = outcome_info(reply->outcome);
    return info->retryable && !(info->remembered && !text_is_none(reply->id));
}

static void pack_refusal(struct codec *codec, const struct reply *reply, size_t common_pairs)
{
    const struct outcome_info *info = outcome_info(reply->outcome);
    struct sentence sentence;
    write_sentence(&sentence, reply);
    pack_begin(codec, 4 + common_pairs);
    pack_bool_pair(codec, "ok", false);
    pack_text_pair(codec, "error", text_of(info->code));
    pack_text_pair(codec, "message", (struct text){sentence.data, sentence.len});
    pack_bool_pair(codec, "retryable", is_retryable(reply));
    pack_id(codec, reply);
}

bool codec_encode_reply(struct codec *codec, const struct reply *reply, struct text *out)
{
    bool has_seq = message_is_command(reply->type);
    size_t common_pairs = (size_t)!text_is_none(reply->id) + has_seq;
    if (reply->outcome == OUTCOME_DONE)
        pack_done(codec, reply, common_pairs);
    else
        pack_refusal(codec, reply, common_pairs);
    if (has_seq)
        pack_number_pair(codec, "seq", reply->seq);
    return pack_end(codec, out);
}
