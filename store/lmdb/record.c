#include "store/lmdb/record.h"

#include "store/hash.h"

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

/* ---- writing ---- */

static void start_version(struct record *record, unsigned char version)
{
    record->bytes[RECORD_HEAD_BYTES - 1] = version;
    record->len = RECORD_HEAD_BYTES;
}

static void start(struct record *record)
{
    start_version(record, RECORD_VERSION);
}

static void put_number(struct record *record, uint64_t number)
{
    assert(record->len + 10 <= sizeof record->bytes);
    while (number >= 0x80) {
        record->bytes[record->len++] = (unsigned char)(number | 0x80);
        number >>= 7;
    }
    record->bytes[record->len++] = (unsigned char)number;
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

struct input {
    const unsigned char *at;
    const unsigned char *end;
    bool ok; /* false once something did not fit */
};

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
    return is_sealed(key, value) && version_of(value) >= 1 &&
           version_of(value) <= RECORD_META_VERSION;
}

/* Checks the seal, and that the version is one up to `newest`. */
static struct input open_version(struct text key, struct text value, unsigned char newest)
{
    const unsigned char *bytes = (const unsigned char *)value.data;
    struct input in = {bytes, bytes + value.len, false};
    if (!is_sealed(key, value))
        return in;
    in.ok = version_of(value) >= 1 && version_of(value) <= newest;
    in.at += RECORD_HEAD_BYTES;
    return in;
}

static struct input open_record(struct text key, struct text value)
{
    return open_version(key, value, RECORD_VERSION);
}

static uint64_t get_number(struct input *in)
{
    uint64_t number = 0;
    for (unsigned shift = 0; in->ok && shift < 64; shift += 7) {
        if (in->at == in->end)
            break;
        unsigned char byte = *in->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
    }
    in->ok = false;
    return 0;
}

/* A number that has to be at most `max`. */
static uint64_t get_number_to(struct input *in, uint64_t max)
{
    uint64_t number = get_number(in);
    if (number <= max)
        return number;
    in->ok = false;
    return 0;
}

static struct text get_text(struct input *in)
{
    size_t len = get_number_to(in, RECORD_MAX_BYTES);
    if (!in->ok || len > (size_t)(in->end - in->at)) {
        in->ok = false;
        return text_none();
    }
    struct text text = {(const char *)in->at, len};
    in->at += len;
    return text;
}

static struct text get_rest(struct input *in)
{
    struct text text = {(const char *)in->at, (size_t)(in->end - in->at)};
    in->at = in->end;
    return text;
}

static bool is_done(const struct input *in)
{
    return in->ok && in->at == in->end;
}

/* The key of a table by number, as its bytes. */
static struct text number_key(const uint64_t *number)
{
    return (struct text){(const char *)number, sizeof *number};
}

/* ---- the records ---- */

void record_put_meta(struct record *record, struct text key, const struct meta *meta)
{
    start_version(record, RECORD_META_VERSION);
    put_number(record, meta->txn);
    put_number(record, meta->last_seq);
    put_number(record, meta->last_time_ms);
    put_number(record, meta->products);
    put_number(record, meta->waiting_lines);
    put_number(record, meta->ids_first);
    put_number(record, meta->ids_next);
    put_number(record, meta->folded_seq);
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
    struct input in = open_version(key, value, RECORD_META_VERSION);
    *out = (struct meta){0};
    if (in.ok && version_of(value) > 1)
        out->txn = get_number(&in);
    out->last_seq = get_number(&in);
    out->last_time_ms = get_number(&in);
    out->products = get_number(&in);
    out->waiting_lines = get_number(&in);
    out->ids_first = get_number(&in);
    out->ids_next = get_number(&in);
    out->folded_seq = in.ok && version_of(value) > 2 ? get_number(&in) : out->last_seq;
    while (in.ok && in.at < in.end) {
        enum message_type type = message_type_named(get_text(&in));
        out->last_of_type[type] = get_number(&in);
        in.ok = in.ok && message_is_event(type);
    }
    return is_done(&in);
}

static void put_figures(struct record *record, const struct batch *batch)
{
    assert(batch->allocated <= batch->qty);
    put_number(record, batch->age);
    put_number(record, (uint64_t)batch->eta.yyyymmdd);
    put_number(record, batch->qty);
    put_number(record, batch->allocated);
    put_number(record, batch->newest);
}

static void get_figures(struct input *in, struct batch *out)
{
    out->age = get_number(in);
    out->eta.yyyymmdd = (int32_t)get_number_to(in, 99991231);
    out->qty = (uint32_t)get_number_to(in, QTY_MAX);
    out->allocated = (uint32_t)get_number_to(in, out->qty);
    out->newest = get_number(in);
}

void record_put_product(struct record *record, struct text key,
                        const struct product_record *product)
{
    const struct product_totals *totals = &product->totals;
    assert((totals->open > 0) == !text_is_none(product->carried.ref));
    start_version(record, RECORD_PRODUCT_VERSION);
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
    struct input in = open_version(key, value, RECORD_PRODUCT_VERSION);
    struct product_totals *totals = &out->totals;
    totals->version = get_number(&in);
    totals->last_seq = get_number(&in);
    totals->batches = get_number(&in);
    totals->open = get_number(&in);
    totals->available = get_number(&in);
    totals->waiting = get_number(&in);
    out->carried.ref = text_none();
    if (!in.ok || version_of(value) == 1 || totals->open == 0)
        return is_done(&in);
    get_figures(&in, &out->carried);
    out->carried.ref = get_rest(&in);
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
    return is_done(&in);
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
        *out = get_rest(&in);
    return in.ok;
}

void record_put_line(struct record *record, struct text key, uint64_t seq)
{
    start(record);
    put_number(record, seq);
    seal(record, key);
}

bool record_get_line(struct text key, struct text value, uint64_t *out)
{
    struct input in = open_record(key, value);
    *out = get_number(&in);
    return is_done(&in);
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
    out->qty = (uint32_t)get_number_to(&in, QTY_MAX);
    out->orderid = get_rest(&in);
    return in.ok;
}

bool record_put_event(struct record *record, uint64_t seq, const struct logged_event *event)
{
    const size_t numbers = (size_t)4 * 10;
    const char *name = message_info(event->type)->name;
    if (event->body.len + strlen(name) + numbers > sizeof record->bytes)
        return false;
    start(record);
    put_text(record, text_of(name));
    put_number(record, event->line_seq);
    put_number(record, event->older_seq);
    put_rest(record, event->body);
    seal(record, number_key(&seq));
    return true;
}

bool record_get_event(uint64_t seq, struct text value, struct logged_event *out)
{
    struct input in = open_record(number_key(&seq), value);
    out->type = in.ok ? message_type_named(get_text(&in)) : MESSAGE_NONE;
    out->line_seq = get_number(&in);
    out->older_seq = get_number(&in);
    out->body = get_rest(&in);
    return in.ok && message_is_event(out->type);
}

void record_put_remembered(struct record *record, uint64_t number,
                           const struct remembered *remembered)
{
    start(record);
    put_text(record, remembered->id);
    put_text(record, remembered->request);
    put_text(record, text_of(outcome_info(remembered->outcome)->code));
    put_number(record, remembered->duplicate);
    put_number(record, remembered->seq);
    put_rest(record, remembered->batchref); /* absent: empty, as no ref is */
    seal(record, number_key(&number));
}

bool record_get_remembered(uint64_t number, struct text value, struct remembered *out)
{
    struct input in = open_record(number_key(&number), value);
    out->id = get_text(&in);
    out->request = get_text(&in);
    struct text code = get_text(&in);
    out->duplicate = get_number_to(&in, 1) != 0;
    out->seq = get_number(&in);
    out->batchref = get_rest(&in);
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
