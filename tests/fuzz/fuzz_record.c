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
#define NUMBER ((uint64_t)299)

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
    if (product.totals.open > 0 && text_is_none(product.carried.ref))
        return; /* of version 1, which is written no more */
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
    CHECK(batch.age == again.age && batch.qty == again.qty && batch.newest == again.newest);
}

static void fuzz_line(struct text value)
{
    uint64_t seq;
    uint64_t again;
    struct record record;
    if (!record_get_line(text_of(KEY), value, &seq))
        return;
    record_put_line(&record, text_of(KEY), seq);
    CHECK(record_get_line(text_of(KEY), text_of_record(&record), &again) && again == seq);
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

static void fuzz_event(struct text value)
{
    struct logged_event event;
    struct logged_event again;
    struct record record;
    if (!record_get_event(NUMBER, value, &event) || !record_put_event(&record, NUMBER, &event))
        return;
    CHECK(record_get_event(NUMBER, text_of_record(&record), &again));
    CHECK(again.type == event.type && text_equal(again.body, event.body));
}

static void fuzz_remembered(struct text value)
{
    struct remembered remembered;
    struct remembered again;
    struct record record;
    if (!record_get_remembered(NUMBER, value, &remembered))
        return;
    record_put_remembered(&record, NUMBER, &remembered);
    CHECK(record_get_remembered(NUMBER, text_of_record(&record), &again));
    CHECK(text_equal(again.id, remembered.id) && again.outcome == remembered.outcome);
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
        fuzz_meta, fuzz_product, fuzz_batch, fuzz_line, fuzz_waiting, fuzz_event, fuzz_remembered};
    unsigned char bytes[RECORD_MAX_BYTES];
    const uint64_t number = NUMBER;
    if (size < 1 || size > sizeof bytes - 128) /* what is read has room to be written again */
        return 0;
    size_t kind = data[0] % (sizeof kinds / sizeof *kinds);
    bool by_number = kinds[kind] == fuzz_event || kinds[kind] == fuzz_remembered;
    struct text key =
        by_number ? (struct text){(const char *)&number, sizeof number} : text_of(KEY);
    size_t len = seal(key, bytes, data + 1, size - 1);
    kinds[kind]((struct text){(const char *)bytes, len});
    kinds[kind]((struct text){(const char *)data, size}); /* and without a checksum */
    return 0;
}
