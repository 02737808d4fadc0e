#include "store/lmdb/record.h"

#include "store/hash.h"
#include "store/wire/varint.h"

#include <assert.h>

/* ---- keys ---- */

static void add_bytes(struct key *key, const void *data, size_t len)
{
    assert(key->len + len <= sizeof key->bytes);
    memcpy(key->bytes + key->len, data, len);
    key->len += len;
}

static void add_big_endian(struct key *key, uint64_t number, size_t bytes)
{
    unsigned char out[8];
    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)(number >> (8 * (bytes - 1 - i)));
    add_bytes(key, out, bytes);
}

struct key key_of(struct text part)
{
    struct key key;
    key.len = 0;
    add_bytes(&key, part.data, part.len);
    return key;
}

struct key key_prefix(struct text first)
{
    struct key key = key_of(first);
    add_bytes(&key, "", 1);
    return key;
}

struct key key_of_two(struct text first, struct text second)
{
    struct key key = key_prefix(first);
    add_bytes(&key, second.data, second.len);
    return key;
}

struct key key_of_use(struct text sku, struct date eta, uint64_t age)
{
    struct key key = key_prefix(sku);
    add_big_endian(&key, (uint64_t)eta.yyyymmdd, 4);
    add_big_endian(&key, age, 8);
    return key;
}

struct key key_of_waiting(struct text sku, uint64_t seq)
{
    struct key key = key_prefix(sku);
    add_big_endian(&key, seq, 8);
    return key;
}

struct key key_of_held(struct text ref, uint64_t seq)
{
    struct key key = key_prefix(ref);
    add_big_endian(&key, ~seq, 8);
    return key;
}

struct key key_of_number(uint64_t number)
{
    struct key key;
    key.len = 0;
    add_big_endian(&key, number, 8);
    return key;
}

bool key_get_number(struct text bytes, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.len && i < 8; i++)
        number = number << 8 | (unsigned char)bytes.data[i];
    *out = number;
    return bytes.len == 8;
}

/* ---- writing ---- */

static void start(struct record *record)
{
    record->bytes[RECORD_HEAD_BYTES - 1] = RECORD_VERSION;
    record->len = RECORD_HEAD_BYTES;
}

static void put_number(struct record *record, uint64_t number)
{
    assert(record->len + VARINT_MAX_BYTES <= sizeof record->bytes);
    record->len += varint_put(record->bytes + record->len, number);
}

static void put_rest(struct record *record, struct text text)
{
    assert(record->len + text.len <= sizeof record->bytes);
    if (text.len > 0)
        memcpy(record->bytes + record->len, text.data, text.len);
    record->len += text.len;
}

static void put_text(struct record *record, struct text text)
{
    put_number(record, text.len);
    put_rest(record, text);
}

static uint32_t checksum(struct text key, const unsigned char *value, size_t len)
{
    return (uint32_t)hash_bytes(value + 4, len - 4, hash_bytes(key.data, key.len, 0));
}

static void seal(struct record *record, struct text key)
{
    uint32_t sum = checksum(key, record->bytes, record->len);
    for (size_t i = 0; i < 4; i++)
        record->bytes[i] = (unsigned char)(sum >> (8 * i));
}

/* ---- reading ---- */

static bool is_sealed(struct text key, struct text value)
{
    const unsigned char *bytes = (const unsigned char *)value.data;
    if (value.len < RECORD_HEAD_BYTES)
        return false;
    uint32_t sum = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                   (uint32_t)bytes[3] << 24;
    return sum == checksum(key, bytes, value.len);
}

static unsigned char version_of(struct text value)
{
    return (unsigned char)value.data[RECORD_HEAD_BYTES - 1];
}

bool record_is_sound(struct text key, struct text value)
{
    return is_sealed(key, value) && version_of(value) == RECORD_VERSION;
}

static struct input open_record(struct text key, struct text value)
{
    struct input in = input_of(value);
    in.ok = record_is_sound(key, value);
    if (in.ok)
        in.at += RECORD_HEAD_BYTES;
    return in;
}

/* ---- the records ---- */

void record_put_meta(struct record *record, struct text key, const struct meta *meta)
{
    start(record);
    put_number(record, meta->journal);
    put_number(record, meta->entry);
    put_number(record, meta->last_seq);
    put_number(record, meta->last_time_ms);
    put_number(record, meta->products);
    put_number(record, meta->waiting_lines);
    put_number(record, meta->ids_first);
    put_number(record, meta->ids_next);
    for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++) {
        if (meta->last_of_type[type] == 0)
            continue;
        put_text(record, text_of(message_info(type)->name)); /* names stay, numbers may change */
        put_number(record, meta->last_of_type[type]);
    }
    seal(record, key);
}

bool record_get_meta(struct text key, struct text value, struct meta *out)
{
    struct input in = open_record(key, value);
    *out = (struct meta){0};
    out->journal = input_number(&in);
    out->entry = input_number(&in);
    out->last_seq = input_number(&in);
    out->last_time_ms = input_number(&in);
    out->products = input_number(&in);
    out->waiting_lines = input_number(&in);
    out->ids_first = input_number(&in);
    out->ids_next = input_number(&in);
    while (in.ok && in.at < in.end) {
        enum message_type type = message_type_named(input_text(&in));
        out->last_of_type[type] = input_number(&in);
        in.ok = in.ok && message_is_event(type);
    }
    return input_is_done(&in);
}

static void put_figures(struct record *record, const struct batch *batch)
{
    put_number(record, batch->age);
    put_number(record, (uint64_t)batch->eta.yyyymmdd);
    put_number(record, batch->qty);
    put_number(record, batch->allocated);
}

static void get_figures(struct input *in, struct batch *out)
{
    out->age = input_number(in);
    out->eta.yyyymmdd = (int32_t)input_number_to(in, 99991231);
    out->qty = (uint32_t)input_number_to(in, QTY_MAX);
    out->allocated = (uint32_t)input_number_to(in, out->qty);
}

void record_put_product(struct record *record, struct text key,
                        const struct product_record *product)
{
    const struct product_totals *totals = &product->totals;
    assert((totals->open > 0) == !text_is_none(product->carried.ref));
    start(record);
    put_number(record, totals->version);
    put_number(record, totals->last_seq);
    put_number(record, totals->batches);
    put_number(record, totals->open);
    put_number(record, totals->available);
    put_number(record, totals->waiting);
    if (totals->open > 0) {
        put_figures(record, &product->carried);
        put_rest(record, product->carried.ref);
    }
    seal(record, key);
}

bool record_get_product(struct text key, struct text value, struct product_record *out)
{
    struct input in = open_record(key, value);
    struct product_totals *totals = &out->totals;
    totals->version = input_number(&in);
    totals->last_seq = input_number(&in);
    totals->batches = input_number(&in);
    totals->open = input_number(&in);
    totals->available = input_number(&in);
    totals->waiting = input_number(&in);
    out->carried.ref = text_none();
    if (!in.ok || totals->open == 0)
        return input_is_done(&in);
    get_figures(&in, &out->carried);
    out->carried.ref = input_rest(&in);
    return in.ok && batch_available(&out->carried) > 0 && out->carried.ref.len > 0 &&
           out->carried.ref.len <= REF_MAX_BYTES;
}

void record_put_batch(struct record *record, struct text key, const struct batch *batch)
{
    start(record);
    put_figures(record, batch);
    seal(record, key);
}

bool record_get_batch(struct text key, struct text value, struct batch *out)
{
    struct input in = open_record(key, value);
    out->ref = text_none();
    get_figures(&in, out);
    return input_is_done(&in);
}

void record_put_text(struct record *record, struct text key, struct text text)
{
    start(record);
    put_rest(record, text);
    seal(record, key);
}

bool record_get_text(struct text key, struct text value, struct text *out)
{
    struct input in = open_record(key, value);
    if (in.ok)
        *out = input_rest(&in);
    return in.ok;
}

void record_put_line(struct record *record, struct text key, const struct order_line *line)
{
    start(record);
    put_number(record, line->qty);
    put_number(record, line->seq);
    put_rest(record, line->batchref); /* absent: empty, as no ref is */
    seal(record, key);
}

bool record_get_line(struct text key, struct text value, struct order_line *out)
{
    struct input in = open_record(key, value);
    out->qty = (uint32_t)input_number_to(&in, QTY_MAX);
    out->seq = input_number(&in);
    out->batchref = input_rest(&in);
    if (out->batchref.len == 0)
        out->batchref = text_none();
    return in.ok && out->batchref.len <= REF_MAX_BYTES;
}

void record_put_waiting(struct record *record, struct text key, const struct waiting_line *line)
{
    start(record);
    put_number(record, line->qty);
    put_rest(record, line->orderid);
    seal(record, key);
}

bool record_get_waiting(struct text key, struct text value, struct waiting_line *out)
{
    struct input in = open_record(key, value);
    out->qty = (uint32_t)input_number_to(&in, QTY_MAX);
    out->orderid = input_rest(&in);
    return in.ok;
}

void record_put_remembered(struct record *record, struct text key,
                           const struct remembered *remembered)
{
    start(record);
    put_text(record, remembered->id);
    put_number(record, remembered->request);
    put_text(record, text_of(outcome_info(remembered->outcome)->code));
    put_number(record, remembered->duplicate);
    put_number(record, remembered->seq);
    put_rest(record, remembered->batchref); /* absent: empty, as no ref is */
    seal(record, key);
}

bool record_get_remembered(struct text key, struct text value, struct remembered *out)
{
    struct input in = open_record(key, value);
    out->id = input_text(&in);
    out->request = input_number(&in);
    struct text code = input_text(&in);
    out->duplicate = input_number_to(&in, 1) != 0;
    out->seq = input_number(&in);
    out->batchref = input_rest(&in);
    if (out->batchref.len == 0)
        out->batchref = text_none();
    for (enum outcome o = OUTCOME_DONE; in.ok && o < OUTCOMES; o++) {
        if (text_equal(code, text_of(outcome_info(o)->code))) {
            out->outcome = o;
            return true;
        }
    }
    return false;
}
