/* Stored records: golden samples of each version, which must stay readable for ever, and damaged
 * ones, which must never be taken for good. */
#include "store/lmdb/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct meta a_meta = {
    .txn = 1000,
    .last_seq = 300,
    .last_time_ms = 1700000000000,
    .last_of_type = {[MESSAGE_ALLOCATED] = 299, [MESSAGE_BATCH_CREATED] = 300},
    .products = 2,
    .waiting_lines = 1,
    .ids_first = 5,
    .ids_next = 9,
    .folded_seq = 290};
static const struct product_totals some_totals = {7, 300, 3, 2, 1000000000000, 1};
static const struct batch some_batch = {{"b1", 2}, 12, {20261122}, 1000000000, 999999999, 298};

static struct text record_text(const struct record *record)
{
    return (struct text){(const char *)record->bytes, record->len};
}

/* ---- the samples: each kind writes one record and says whether bytes read as the same ---- */

static const uint64_t seq = 299;

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

/* In versions 1 and 2 tables were never behind the log. */
static bool same_older_meta(struct text value, uint64_t txn)
{
    struct meta expected = a_meta;
    struct meta got;
    expected.txn = txn;
    expected.folded_seq = expected.last_seq;
    return record_get_meta(text_of("meta"), value, &got) &&
           memcmp(&got, &expected, sizeof got) == 0;
}

/* Nor did version 1 say which transaction wrote it. */
static bool same_meta_of_version_1(struct text value)
{
    return same_older_meta(value, 0);
}

static bool same_meta_of_version_2(struct text value)
{
    return same_older_meta(value, a_meta.txn);
}

static bool same_figures(const struct batch *got)
{
    return got->age == some_batch.age && got->eta.yyyymmdd == some_batch.eta.yyyymmdd &&
           got->qty == some_batch.qty && got->allocated == some_batch.allocated &&
           got->newest == some_batch.newest;
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

/* Version 1 carried no batch, though some have stock. */
static bool same_product_of_version_1(struct text value)
{
    struct product_record got;
    return record_get_product(text_of("RED-CHAIR"), value, &got) &&
           memcmp(&got.totals, &some_totals, sizeof some_totals) == 0 &&
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
    return record_get_batch(key_text(&key), value, &got) && same_figures(&got);
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

static struct record put_line(void)
{
    struct record record;
    struct key key = key_of_two(text_of("o1"), text_of("RED-CHAIR"));
    record_put_line(&record, key_text(&key), seq);
    return record;
}

static bool same_line(struct text value)
{
    uint64_t got;
    struct key key = key_of_two(text_of("o1"), text_of("RED-CHAIR"));
    return record_get_line(key_text(&key), value, &got) && got == seq;
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

static struct record put_event(void)
{
    struct record record;
    struct logged_event event = {MESSAGE_ALLOCATED, 250, 240, text_of("body")};
    assert_true(record_put_event(&record, seq, &event));
    return record;
}

static bool same_event(struct text value)
{
    struct logged_event got;
    return record_get_event(seq, value, &got) && got.type == MESSAGE_ALLOCATED &&
           got.line_seq == 250 && got.older_seq == 240 && text_equal(got.body, text_of("body"));
}

static struct record put_remembered(void)
{
    struct record record;
    struct remembered remembered = {text_of("id-1"), text_of("request"), OUTCOME_DONE, true, seq,
                                    text_of("b1")};
    record_put_remembered(&record, seq, &remembered);
    return record;
}

static bool same_remembered(struct text value)
{
    struct remembered got;
    return record_get_remembered(seq, value, &got) && text_equal(got.id, text_of("id-1")) &&
           text_equal(got.request, text_of("request")) && got.outcome == OUTCOME_DONE &&
           got.duplicate && got.seq == seq && text_equal(got.batchref, text_of("b1"));
}

static const struct sample {
    const char *name;
    struct record (*put)(void);
    bool (*same)(struct text value);
    const char *golden; /* in hex */
} samples[] = {
    {"meta", put_meta, same_meta,
     "dcd08f9903e807ac0280d095ffbc3102010509a2020c426174636843726561746564ac0209416c6c6f63617465"
     "64ab02"},
    {"product", put_product, same_product,
     "ac5b98b30207ac02030280a094a58d1d010c82d2d4098094ebdc03ff93ebdc03aa026231"},
    {"batch", put_batch, same_batch, "ec9b6bd5010c82d2d4098094ebdc03ff93ebdc03aa02"},
    {"ref", put_ref, same_ref, "a4ba430e015245442d4348414952"},
    {"line", put_line, same_line, "3e92bdb501ab02"},
    {"waiting", put_waiting, same_waiting, "e53e495d010a6f31"},
    {"event", put_event, same_event, "eb6a1aee0109416c6c6f6361746564fa01f001626f6479"},
    {"remembered", put_remembered, same_remembered,
     "7818efc4010469642d310772657175657374026f6b01ab026231"},
};

#define FOR_EACH_SAMPLE(s)                                                                         \
    for (const struct sample *s = samples; s < samples + sizeof samples / sizeof *samples; s++)

static void hex(struct text value, char *out)
{
    for (size_t i = 0; i < value.len; i++)
        snprintf(out + 2 * i, 3, "%02x", (unsigned char)value.data[i]);
}

/* What earlier versions wrote. */
static const struct {
    const char *name;
    bool (*same)(struct text value);
    const char *golden;
} older_samples[] = {
    {"product, version 1", same_product_of_version_1, "6b2dc4ff0107ac02030280a094a58d1d01"},
    {"meta, version 1", same_meta_of_version_1,
     "548d06f801ac0280d095ffbc31020105090c426174636843726561746564ac0209416c6c6f6361746564ab02"},
    {"meta, version 2", same_meta_of_version_2,
     "d00ca43a02e807ac0280d095ffbc31020105090c426174636843726561746564ac0209416c6c6f6361746564ab0"
     "2"},
};

static void test_older_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof older_samples / sizeof *older_samples; i++) {
        const char *golden = older_samples[i].golden;
        char bytes[RECORD_MAX_BYTES];
        size_t len = strlen(golden) / 2;
        for (size_t at = 0; at < len; at++) {
            const char digits[] = {golden[2 * at], golden[2 * at + 1], '\0'};
            bytes[at] = (char)strtoul(digits, NULL, 16);
        }
        if (!older_samples[i].same((struct text){bytes, len}))
            fail_msg("%s does not read as it was written", older_samples[i].name);
    }
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
    uint64_t got;
    assert_false(record_get_line(key_text(&other), record_text(&line), &got));
    struct record event = put_event();
    struct logged_event logged;
    assert_false(record_get_event(seq + 1, record_text(&event), &logged));
}

static void test_keys_sort_as_they_are_used(void **state)
{
    (void)state;
    struct text sku = text_of("S");
    const struct key ordered[] = {
        key_of_use(sku, date_none(), 2),
        key_of_use(sku, date_none(), 300),
        key_of_use(sku, (struct date){10101}, 1),
        key_of_use(sku, (struct date){20261122}, 1),
        key_of_use(sku, (struct date){20261123}, 0),
        key_of_use(text_of("S1"), date_none(), 0),
    };
    for (size_t i = 1; i < sizeof ordered / sizeof *ordered; i++)
        assert_true(text_compare(key_text(&ordered[i - 1]), key_text(&ordered[i])) < 0);
    struct key early = key_of_waiting(sku, 255);
    struct key late = key_of_waiting(sku, 256);
    assert_true(text_compare(key_text(&early), key_text(&late)) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_samples),
        cmocka_unit_test(test_older_samples),
        cmocka_unit_test(test_each_flipped_bit_is_seen),
        cmocka_unit_test(test_each_cut_is_seen),
        cmocka_unit_test(test_under_another_key_it_is_not_read),
        cmocka_unit_test(test_keys_sort_as_they_are_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
