/* Stored records: golden samples of each, which must stay readable for ever, and damaged ones,
 * which must never be taken for good. */
#include "store/hash.h"
#include "store/lmdb/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct meta a_meta = {
    .journal = 0x0123456789abcdef,
    .entry = 200,
    .last_seq = 300,
    .last_time_ms = 1700000000000,
    .last_of_type = {[MESSAGE_ALLOCATED] = 299, [MESSAGE_BATCH_CREATED] = 300},
    .products = 2,
    .waiting_lines = 1,
    .ids_first = 5,
    .ids_next = 9};
static const struct product_totals some_totals = {7, 300, 3, 2, 1000000000000, 1};
static const struct batch some_batch = {{"b1", 2}, 12, {20261122}, 1000000000, 999999999};
static const struct order_line some_line = {{"o1", 2}, {"RED-CHAIR", 9}, 10, {"b1", 2}, 299};

static struct text record_text(const struct record *record)
{
    return (struct text){(const char *)record->bytes, record->len};
}

/* ---- the samples: each kind writes one record and says whether bytes read as the same ---- */

static const uint64_t seq = 299;
static const uint64_t number = 7;

static struct record put_meta(void)
{
    struct record record;
    record_put_meta(&record, text_of("meta"), &a_meta);
    return record;
}

static bool same_meta(struct text value)
{
    struct meta got;
    return record_get_meta(text_of("meta"), value, &got) && memcmp(&got, &a_meta, sizeof got) == 0;
}

static bool same_figures(const struct batch *got)
{
    return got->age == some_batch.age && got->eta.yyyymmdd == some_batch.eta.yyyymmdd &&
           got->qty == some_batch.qty && got->allocated == some_batch.allocated;
}

static struct record put_product(void)
{
    struct record record;
    record_put_product(&record, text_of("RED-CHAIR"),
                       &(struct product_record){some_totals, some_batch});
    return record;
}

static bool same_product(struct text value)
{
    struct product_record got;
    return record_get_product(text_of("RED-CHAIR"), value, &got) &&
           memcmp(&got.totals, &some_totals, sizeof some_totals) == 0 &&
           text_equal(got.carried.ref, some_batch.ref) && same_figures(&got.carried);
}

/* One of whose batches none has stock carries none. */
static struct product_record exhausted_product(void)
{
    struct product_record product = {some_totals, {.ref = text_none()}};
    product.totals.open = 0;
    product.totals.available = 0;
    return product;
}

static struct record put_exhausted(void)
{
    struct product_record product = exhausted_product();
    struct record record;
    record_put_product(&record, text_of("RED-CHAIR"), &product);
    return record;
}

static bool same_exhausted(struct text value)
{
    struct product_record expected = exhausted_product();
    struct product_record got;
    return record_get_product(text_of("RED-CHAIR"), value, &got) &&
           memcmp(&got.totals, &expected.totals, sizeof got.totals) == 0 &&
           text_is_none(got.carried.ref);
}

static struct record put_batch(void)
{
    struct record record;
    struct key key = key_of_two(text_of("RED-CHAIR"), some_batch.ref);
    record_put_batch(&record, key_text(&key), &some_batch);
    return record;
}

static bool same_batch(struct text value)
{
    struct batch got;
    struct key key = key_of_two(text_of("RED-CHAIR"), text_of("b1"));
    return record_get_batch(key_text(&key), value, &got) && text_is_none(got.ref) &&
           same_figures(&got);
}

static struct record put_ref(void)
{
    struct record record;
    record_put_text(&record, text_of("b1"), text_of("RED-CHAIR"));
    return record;
}

static bool same_ref(struct text value)
{
    struct text got;
    return record_get_text(text_of("b1"), value, &got) && text_equal(got, text_of("RED-CHAIR"));
}

static struct record put_use(void)
{
    struct record record;
    struct key key = key_of_use(text_of("RED-CHAIR"), some_batch.eta, some_batch.age);
    record_put_text(&record, key_text(&key), some_batch.ref);
    return record;
}

static bool same_use(struct text value)
{
    struct text got;
    struct key key = key_of_use(text_of("RED-CHAIR"), some_batch.eta, some_batch.age);
    return record_get_text(key_text(&key), value, &got) && text_equal(got, some_batch.ref);
}

static struct record put_line_of(const struct order_line *line)
{
    struct record record;
    struct key key = key_of_two(line->orderid, line->sku);
    record_put_line(&record, key_text(&key), line);
    return record;
}

static struct record put_line(void)
{
    return put_line_of(&some_line);
}

static bool same_line(struct text value)
{
    struct order_line got;
    struct key key = key_of_two(some_line.orderid, some_line.sku);
    return record_get_line(key_text(&key), value, &got) && got.qty == some_line.qty &&
           got.seq == some_line.seq && text_equal(got.batchref, some_line.batchref);
}

static struct record put_line_that_waits(void)
{
    struct order_line line = some_line;
    line.batchref = text_none();
    return put_line_of(&line);
}

static bool same_line_that_waits(struct text value)
{
    struct order_line got;
    struct key key = key_of_two(some_line.orderid, some_line.sku);
    return record_get_line(key_text(&key), value, &got) && got.qty == some_line.qty &&
           got.seq == some_line.seq && text_is_none(got.batchref);
}

static struct record put_held(void)
{
    struct record record;
    struct key key = key_of_held(some_batch.ref, seq);
    record_put_text(&record, key_text(&key), text_of("o1"));
    return record;
}

static bool same_held(struct text value)
{
    struct text got;
    struct key key = key_of_held(some_batch.ref, seq);
    return record_get_text(key_text(&key), value, &got) && text_equal(got, text_of("o1"));
}

static struct record put_waiting(void)
{
    struct record record;
    struct waiting_line line = {text_of("o1"), 10, seq};
    struct key key = key_of_waiting(text_of("RED-CHAIR"), seq);
    record_put_waiting(&record, key_text(&key), &line);
    return record;
}

static bool same_waiting(struct text value)
{
    struct waiting_line got;
    struct key key = key_of_waiting(text_of("RED-CHAIR"), seq);
    return record_get_waiting(key_text(&key), value, &got) && got.qty == 10 &&
           text_equal(got.orderid, text_of("o1"));
}

static struct remembered a_reply(struct text batchref)
{
    return (struct remembered){text_of("id-1"), UINT64_MAX - 1, OUTCOME_DONE, true, seq, batchref};
}

static struct record put_reply(struct text batchref)
{
    struct record record;
    struct remembered remembered = a_reply(batchref);
    struct key key = key_of_number(number);
    record_put_remembered(&record, key_text(&key), &remembered);
    return record;
}

static bool same_reply(struct text value, struct text batchref)
{
    struct remembered expected = a_reply(batchref);
    struct remembered got;
    struct key key = key_of_number(number);
    return record_get_remembered(key_text(&key), value, &got) && text_equal(got.id, expected.id) &&
           got.request == expected.request && got.outcome == expected.outcome && got.duplicate &&
           got.seq == seq && text_is_none(got.batchref) == text_is_none(batchref) &&
           text_equal(got.batchref, batchref);
}

static struct record put_remembered(void)
{
    return put_reply(text_of("b1"));
}

static bool same_remembered(struct text value)
{
    return same_reply(value, text_of("b1"));
}

static struct record put_remembered_without_a_batch(void)
{
    return put_reply(text_none());
}

static bool same_remembered_without_a_batch(struct text value)
{
    return same_reply(value, text_none());
}

static const struct sample {
    const char *name;
    struct record (*put)(void);
    bool (*same)(struct text value);
    const char *golden; /* in hex */
} samples[] = {
    {"meta", put_meta, same_meta,
     "c2ded14f04ef9bafcdf8acd19101c801ac0280d095ffbc31020105090c426174636843726561746564ac0209416c6"
     "c6f6361746564ab02"},
    {"product", put_product, same_product,
     "21c380af0407ac02030280a094a58d1d010c82d2d4098094ebdc03ff93ebdc036231"},
    {"exhausted product", put_exhausted, same_exhausted, "0dbb6df50407ac0203000001"},
    {"batch", put_batch, same_batch, "79e0543b040c82d2d4098094ebdc03ff93ebdc03"},
    {"use", put_use, same_use, "90fc2ba7046231"},
    {"ref", put_ref, same_ref, "c175fbcf045245442d4348414952"},
    {"line", put_line, same_line, "0d481295040aab026231"},
    {"line that waits", put_line_that_waits, same_line_that_waits, "6ae9f603040aab02"},
    {"held line", put_held, same_held, "04fe1e90046f31"},
    {"waiting", put_waiting, same_waiting, "4f670f3d040a6f31"},
    {"remembered", put_remembered, same_remembered,
     "2fba7cf9040469642d31feffffffffffffffff01026f6b01ab026231"},
    {"remembered without a batch", put_remembered_without_a_batch, same_remembered_without_a_batch,
     "9fefff15040469642d31feffffffffffffffff01026f6b01ab02"},
};

#define FOR_EACH_SAMPLE(s)                                                                         \
    for (const struct sample *s = samples; s < samples + sizeof samples / sizeof *samples; s++)

static void hex(struct text value, char *out)
{
    for (size_t i = 0; i < value.len; i++)
        snprintf(out + 2 * i, 3, "%02x", (unsigned char)value.data[i]);
}

static void test_golden_samples(void **state)
{
    (void)state;
    FOR_EACH_SAMPLE(s)
    {
        struct record record = s->put();
        char text[2 * RECORD_MAX_BYTES + 1];
        hex(record_text(&record), text);
        if (strcmp(text, s->golden) != 0)
            fail_msg("%s: %s, golden %s", s->name, text, s->golden);
        if (!s->same(record_text(&record)))
            fail_msg("%s does not read as it was written", s->name);
    }
}

static void test_each_flipped_bit_is_seen(void **state)
{
    (void)state;
    FOR_EACH_SAMPLE(s)
    {
        for (size_t bit = 0; bit < 8 * s->put().len; bit++) {
            struct record record = s->put();
            record.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            if (s->same(record_text(&record)))
                fail_msg("%s: bit %zu", s->name, bit);
        }
    }
}

static void test_each_cut_is_seen(void **state)
{
    (void)state;
    FOR_EACH_SAMPLE(s)
    {
        struct record record = s->put();
        for (size_t len = 0; len < record.len; len++)
            if (s->same((struct text){(const char *)record.bytes, len}))
                fail_msg("%s: cut to %zu bytes", s->name, len);
        record.len++;
        record.bytes[record.len - 1] = 0;
        if (s->same(record_text(&record)))
            fail_msg("%s: a byte more", s->name);
    }
}

static void test_under_another_key_it_is_not_read(void **state)
{
    (void)state;
    struct record line = put_line();
    struct key other = key_of_two(text_of("o2"), text_of("RED-CHAIR"));
    struct order_line got;
    assert_false(record_get_line(key_text(&other), record_text(&line), &got));
    struct record reply = put_remembered();
    struct key next = key_of_number(number + 1);
    struct remembered remembered;
    assert_false(record_get_remembered(key_text(&next), record_text(&reply), &remembered));
    assert_false(record_is_sound(key_text(&next), record_text(&reply)));
}

/* Seals the record anew, as store/lmdb/record.c does. */
static struct text sealed(struct record *record, struct text key)
{
    uint64_t sum = hash_bytes(record->bytes + 4, record->len - 4, hash_bytes(key.data, key.len, 0));
    for (size_t i = 0; i < 4; i++)
        record->bytes[i] = (unsigned char)(sum >> (8 * i));
    return record_text(record);
}

/* Versions 1 to 3 were those of stores without a journal; none was ever read by this one. */
static void test_other_versions_are_not_read(void **state)
{
    (void)state;
    struct text key = text_of("b1");
    struct record record = put_ref();
    struct text got;
    for (unsigned version = 0; version < 256; version++) {
        record.bytes[RECORD_HEAD_BYTES - 1] = (unsigned char)version;
        struct text value = sealed(&record, key);
        assert_true(record_is_sound(key, value) == (version == 4));
        assert_true(record_get_text(key, value, &got) == (version == 4));
    }
}

/* What a right seal covers and no writer writes. */
static void test_contents_out_of_bounds_are_not_read(void **state)
{
    (void)state;
    struct text key = text_of("k");
    struct batch batch = {text_none(), 1, {20261122}, 5, 6};
    struct order_line line = some_line;
    struct record record;
    struct batch got_batch;
    struct order_line got_line;
    struct meta got_meta;
    struct remembered got_reply;
    struct product_record product = {some_totals, some_batch};
    struct product_record got_product;
    record_put_batch(&record, key, &batch); /* within a command alone */
    assert_false(record_get_batch(key, record_text(&record), &got_batch));
    batch = (struct batch){text_none(), 1, {99991232}, 5, 5};
    record_put_batch(&record, key, &batch);
    assert_false(record_get_batch(key, record_text(&record), &got_batch));
    line.qty = QTY_MAX + 1;
    record_put_line(&record, key, &line);
    assert_false(record_get_line(key, record_text(&record), &got_line));
    product.carried.allocated = product.carried.qty; /* one without stock is not carried */
    record_put_product(&record, key, &product);
    assert_false(record_get_product(key, record_text(&record), &got_product));
    record_put_meta(&record, key, &a_meta); /* a name of an event that there is not */
    memcpy(record.bytes + record.len, "\001x\001", 3);
    record.len += 3;
    assert_false(record_get_meta(key, sealed(&record, key), &got_meta));
    record_put_remembered(&record, key, &(struct remembered){.id = text_of("i")});
    record.bytes[RECORD_HEAD_BYTES + 4] = '?'; /* in the outcome's code */
    assert_false(record_get_remembered(key, sealed(&record, key), &got_reply));
}

static void expect_in_order(const struct key *keys, size_t count)
{
    for (size_t i = 1; i < count; i++)
        assert_true(text_compare(key_text(&keys[i - 1]), key_text(&keys[i])) < 0);
}

static void test_keys_sort_as_they_are_used(void **state)
{
    (void)state;
    struct text sku = text_of("S");
    const struct key use[] = {
        key_of_use(sku, date_none(), 2),
        key_of_use(sku, date_none(), 300),
        key_of_use(sku, (struct date){10101}, 1),
        key_of_use(sku, (struct date){20261122}, 1),
        key_of_use(sku, (struct date){20261123}, 0),
        key_of_use(text_of("S1"), date_none(), 0),
    };
    expect_in_order(use, sizeof use / sizeof *use);
    const struct key waiting[] = {key_of_waiting(sku, 255), key_of_waiting(sku, 256),
                                  key_of_waiting(text_of("S!"), 1)};
    expect_in_order(waiting, sizeof waiting / sizeof *waiting);
    const struct key held[] = {key_of_held(sku, UINT64_MAX), key_of_held(sku, 256),
                               key_of_held(sku, 255), key_of_held(sku, 0),
                               key_of_held(text_of("S!"), 300)};
    expect_in_order(held, sizeof held / sizeof *held);
    const struct key numbers[] = {key_of_number(0), key_of_number(255), key_of_number(256),
                                  key_of_number(UINT64_MAX)};
    expect_in_order(numbers, sizeof numbers / sizeof *numbers);
}

static void test_keys_are_these_bytes(void **state)
{
    static const char held[] = "b1\0\xff\xff\xff\xff\xff\xff\xfe\xd4"; /* ~299 */
    static const char use[] = "S\0\x01\x35\x29\x02\0\0\0\0\0\0\0\x0c";
    static const char a_number[] = "\0\0\0\0\0\0\x01\x2b";
    (void)state;
    struct key key = key_of_held(text_of("b1"), 299);
    assert_int_equal(key.len, sizeof held - 1);
    assert_memory_equal(key.bytes, held, key.len);
    key = key_of_use(text_of("S"), (struct date){20261122}, 12);
    assert_int_equal(key.len, sizeof use - 1);
    assert_memory_equal(key.bytes, use, key.len);
    key = key_of_number(299);
    assert_int_equal(key.len, sizeof a_number - 1);
    assert_memory_equal(key.bytes, a_number, key.len);
}

static void test_the_number_of_a_key(void **state)
{
    static const uint64_t each[] = {0, 1, 255, 256, 299, (uint64_t)1 << 56, UINT64_MAX};
    (void)state;
    uint64_t got;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        struct key key = key_of_number(each[i]);
        assert_true(key_get_number(key_text(&key), &got));
        assert_true(got == each[i]);
        key = key_of_held(text_of("b1"), each[i]);
        assert_true(key_get_number((struct text){key.bytes + 3, key.len - 3}, &got));
        assert_true(got == ~each[i]);
    }
    char bytes[16] = {0};
    for (size_t len = 0; len <= sizeof bytes; len++)
        assert_true(key_get_number((struct text){bytes, len}, &got) == (len == 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_samples),
        cmocka_unit_test(test_each_flipped_bit_is_seen),
        cmocka_unit_test(test_each_cut_is_seen),
        cmocka_unit_test(test_under_another_key_it_is_not_read),
        cmocka_unit_test(test_other_versions_are_not_read),
        cmocka_unit_test(test_contents_out_of_bounds_are_not_read),
        cmocka_unit_test(test_keys_sort_as_they_are_used),
        cmocka_unit_test(test_keys_are_these_bytes),
        cmocka_unit_test(test_the_number_of_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
