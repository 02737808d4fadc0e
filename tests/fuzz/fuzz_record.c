/* Fuzzes the reading of stored records: whatever stands behind a right checksum must be refused or
 * read without harm, and what was read is written and read again as the same. The first byte of
 * the input says which kind of record it is, the rest is its payload. */
#include "store/hash.h"
#include "store/lmdb/record.h"

#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define KEY "RED-CHAIR"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct text text_of_record(const struct record *record)
{
    return (struct text){(const char *)record->bytes, record->len};
}

static void fuzz_meta(struct text value)
{
    struct meta meta;
    struct meta again;
    struct record record;
    if (!record_get_meta(text_of(KEY), value, &meta))
        return;
    record_put_meta(&record, text_of(KEY), &meta);
    CHECK(record_get_meta(text_of(KEY), text_of_record(&record), &again));
    CHECK(memcmp(&meta, &again, sizeof meta) == 0);
}

static void fuzz_product(struct text value)
{
    struct product_record product;
    struct product_record again;
    struct record record;
    if (!record_get_product(text_of(KEY), value, &product))
        return;
    record_put_product(&record, text_of(KEY), &product);
    CHECK(record_get_product(text_of(KEY), text_of_record(&record), &again));
    CHECK(memcmp(&product.totals, &again.totals, sizeof again.totals) == 0);
    CHECK(text_is_none(again.carried.ref) == text_is_none(product.carried.ref));
    CHECK(text_is_none(again.carried.ref) ||
          (text_equal(again.carried.ref, product.carried.ref) &&
           again.carried.allocated == product.carried.allocated));
}

static void fuzz_batch(struct text value)
{
    struct batch batch;
    struct batch again;
    struct record record;
    if (!record_get_batch(text_of(KEY), value, &batch))
        return;
    CHECK(batch.allocated <= batch.qty);
    record_put_batch(&record, text_of(KEY), &batch);
    CHECK(record_get_batch(text_of(KEY), text_of_record(&record), &again));
    CHECK(batch.age == again.age && batch.qty == again.qty &&
          batch.eta.yyyymmdd == again.eta.yyyymmdd && batch.allocated == again.allocated);
}

static void fuzz_text(struct text value)
{
    struct text text;
    struct text again;
    struct record record;
    if (!record_get_text(text_of(KEY), value, &text))
        return;
    record_put_text(&record, text_of(KEY), text);
    CHECK(record_get_text(text_of(KEY), text_of_record(&record), &again));
    CHECK(text_equal(text, again));
}

static void fuzz_line(struct text value)
{
    struct order_line line;
    struct order_line again;
    struct record record;
    if (!record_get_line(text_of(KEY), value, &line))
        return;
    record_put_line(&record, text_of(KEY), &line);
    CHECK(record_get_line(text_of(KEY), text_of_record(&record), &again));
    CHECK(again.qty == line.qty && again.seq == line.seq);
    CHECK(order_line_waits(&again) == order_line_waits(&line) &&
          text_equal(again.batchref, line.batchref));
}

static void fuzz_waiting(struct text value)
{
    struct waiting_line line;
    struct waiting_line again;
    struct record record;
    if (!record_get_waiting(text_of(KEY), value, &line) || line.orderid.len > REF_MAX_BYTES)
        return;
    record_put_waiting(&record, text_of(KEY), &line);
    CHECK(record_get_waiting(text_of(KEY), text_of_record(&record), &again));
    CHECK(again.qty == line.qty && text_equal(again.orderid, line.orderid));
}

static void fuzz_remembered(struct text value)
{
    struct remembered remembered;
    struct remembered again;
    struct record record;
    if (!record_get_remembered(text_of(KEY), value, &remembered))
        return;
    record_put_remembered(&record, text_of(KEY), &remembered);
    CHECK(record_get_remembered(text_of(KEY), text_of_record(&record), &again));
    CHECK(text_equal(again.id, remembered.id) && again.request == remembered.request &&
          again.outcome == remembered.outcome && again.duplicate == remembered.duplicate &&
          again.seq == remembered.seq && text_equal(again.batchref, remembered.batchref));
}

/* As store/lmdb/record.c seals: the checksum is of the key and of all behind it. */
static size_t seal(struct text key, unsigned char *bytes, const uint8_t *payload, size_t size)
{
    bytes[4] = RECORD_VERSION;
    if (size > 0)
        memcpy(bytes + RECORD_HEAD_BYTES, payload, size);
    uint64_t sum = hash_bytes(bytes + 4, 1 + size, hash_bytes(key.data, key.len, 0));
    for (size_t i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(sum >> (8 * i));
    return RECORD_HEAD_BYTES + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(struct text) = {
        fuzz_meta, fuzz_product, fuzz_batch, fuzz_line, fuzz_waiting, fuzz_text, fuzz_remembered};
    unsigned char bytes[RECORD_MAX_BYTES];
    if (size < 1 || size > sizeof bytes - 128) /* what is read has room to be written again */
        return 0;
    size_t kind = data[0] % (sizeof kinds / sizeof *kinds);
    size_t len = seal(text_of(KEY), bytes, data + 1, size - 1);
    kinds[kind]((struct text){(const char *)bytes, len});
    kinds[kind]((struct text){(const char *)data, size}); /* and without a checksum */
    return 0;
}
