/* Requests: what is read, what is refused and why, sizes and cuts. */
#include "store/wire/scan.h"
#include "tests/support/bodies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define FOUR "'Allocated','Allocated','Allocated','Allocated'"

static const struct {
    const char *body;
    const char *canonical;
    const char *id;
} good[] = {
    {"{'type':'CreateBatch','ref':'b','sku':'s','qty':5}",
     "{'type':'CreateBatch','ref':'b','sku':'s','qty':5}", NULL},
    {"{'id':'i','eta':'2024-02-29','qty':1000000000,'sku':'s','ref':'b','type':'CreateBatch'}",
     "{'type':'CreateBatch','ref':'b','sku':'s','qty':1000000000,'eta':'2024-02-29'}", "i"},
    {"{'type':'CreateBatch','ref':'b','sku':'s','qty':5,'eta':nil,'id':nil}",
     "{'type':'CreateBatch','ref':'b','sku':'s','qty':5}", NULL},
    {"{'type':'Allocate','qty':1,'orderid':'o','sku':'s','id':'\xc3\xa9'}",
     "{'type':'Allocate','orderid':'o','sku':'s','qty':1}", "\xc3\xa9"},
    {"{'type':'ChangeBatchQuantity','ref':'b','qty':0}",
     "{'type':'ChangeBatchQuantity','ref':'b','qty':0}", NULL},
    {"{'type':'ChangeBatchEta','ref':'b','eta':nil}",
     "{'type':'ChangeBatchEta','ref':'b','eta':nil}", NULL},
    {"{'eta':'0001-01-01','type':'ChangeBatchEta','ref':'b'}",
     "{'type':'ChangeBatchEta','ref':'b','eta':'0001-01-01'}", NULL},
    {"{'type':'Deallocate','orderid':'o','sku':'s'}",
     "{'type':'Deallocate','orderid':'o','sku':'s'}", NULL},
    {"{'type':'GetAllocations','orderid':'o'}",
     "{'type':'GetAllocations','orderid':'o','limit':1000}", NULL},
    {"{'type':'GetAllocations','orderid':'o','after':'s','limit':7,'id':'q'}",
     "{'type':'GetAllocations','orderid':'o','after':'s','limit':7}", "q"},
    {"{'type':'GetStock','sku':'s'}", "{'type':'GetStock','sku':'s'}", NULL},
    {"{'type':'ListBatches','sku':'s','limit':10000,'after':'b'}",
     "{'type':'ListBatches','sku':'s','after':'b','limit':10000}", NULL},
    {"{'type':'GetBatch','ref':'b'}", "{'type':'GetBatch','ref':'b'}", NULL},
    {"{'type':'ListProducts','after':nil,'limit':nil}", "{'type':'ListProducts','limit':1000}",
     NULL},
    {"{'type':'GetEvents'}", "{'type':'GetEvents','after':0,'limit':1000}", NULL},
    {"{'type':'GetEvents','types':nil,'sku':nil,'after':nil}",
     "{'type':'GetEvents','after':0,'limit':1000}", NULL},
    {"{'type':'GetEvents','types':['OutOfStock','Allocated','OutOfStock'],'sku':'s',"
     "'after':<cfffffffffffffffff>}",
     "{'type':'GetEvents','after':18446744073709551615,'limit':1000,"
     "'types':['Allocated','OutOfStock'],'sku':'s'}",
     NULL},
    {"{'type':'GetEvents','types':[" FOUR "," FOUR "," FOUR "," FOUR "]}",
     "{'type':'GetEvents','after':0,'limit':1000,'types':['Allocated']}", NULL},
    {"{'type':'GetStats'}", "{'type':'GetStats'}", NULL},
    {"{'type':'Ping','id':'i'}", "{'type':'Ping'}", "i"},
    /* Clumsy encodings: map32; keys as str8, str16 and str32; a signed integer of 8 bytes. */
    {"<df00000004d90474797065da0008416c6c6f63617465db00000003717479d30000000000000005>"
     "'orderid'<d9016f>'sku''s'",
     "{'type':'Allocate','orderid':'o','sku':'s','qty':5}", NULL},
};

static void requests_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        print_message("  %s\n", good[i].body);
        struct request request;
        struct reply refusal;
        struct text bytes;
        struct text body = body_of(good[i].body);
        enum outcome outcome = codec_decode_request(codec, body, &request, &refusal);
        assert_int_equal(outcome, OUTCOME_DONE);
        assert_text(request.id, good[i].id);
        assert_true(codec_encode_request(codec, &request, &bytes));
        assert_shows(bytes, good[i].canonical);
        struct text first = body_copy(bytes.data, bytes.len);
        assert_int_equal(codec_decode_request(codec, first, &request, &refusal), OUTCOME_DONE);
        assert_true(text_is_none(request.id));
        assert_true(codec_encode_request(codec, &request, &bytes));
        assert_true(text_equal(first, bytes));
    }
}

/* `type` is that of the refusal, NULL: not known. */
static const struct {
    const char *name;
    const char *body;
    enum outcome outcome;
    const char *about;
    const char *type;
    const char *id;
} refused[] = {
    {"no bytes", "", OUTCOME_MALFORMED, "empty", NULL, NULL},
    {"nil", "nil", OUTCOME_MALFORMED, "not a map", NULL, NULL},
    {"array", "['type','Ping']", OUTCOME_MALFORMED, "not a map", NULL, NULL},
    {"str", "'Ping'", OUTCOME_MALFORMED, "not a map", NULL, NULL},
    {"two maps", "{'type':'Ping'}{}", OUTCOME_MALFORMED, "trailing bytes", NULL, NULL},
    {"trailing nil", "{'type':'Ping','id':'i'}nil", OUTCOME_MALFORMED, "trailing bytes", NULL,
     NULL},
    {"c1 as a body", "<c1>", OUTCOME_MALFORMED, "byte c1", NULL, NULL},
    {"c1 as a value", "{'type':<c1>}", OUTCOME_MALFORMED, "byte c1", NULL, NULL},
    {"c1 as a key", "{'type':'Ping',<c1>:1}", OUTCOME_MALFORMED, "byte c1", NULL, NULL},
    {"key twice", "{'type':'Ping','id':'i','type':'Ping'}", OUTCOME_MALFORMED, "a key twice", NULL,
     NULL},
    {"unknown key twice", "{'x':1,'type':'Ping','x':1}", OUTCOME_MALFORMED, "a key twice", NULL,
     NULL},
    {"key twice in two widths", "{'type':'Ping',<d90178>:1,<a178>:1}", OUTCOME_MALFORMED,
     "a key twice", NULL, NULL},
    {"empty key twice", "{'':1,'type':'Ping','':1}", OUTCOME_MALFORMED, "a key twice", NULL, NULL},
    {"key twice inside", "{'type':'GetStock','sku':{'a':1,'a':1}}", OUTCOME_MALFORMED,
     "a key twice", NULL, NULL},
    {"integer key", "{'type':'Ping',1:1}", OUTCOME_MALFORMED, "a key that is no str", NULL, NULL},
    {"nil key", "{nil:1,'type':'Ping'}", OUTCOME_MALFORMED, "a key that is no str", NULL, NULL},
    {"bin key", "{<c40474797065>:'Ping'}", OUTCOME_MALFORMED, "a key that is no str", NULL, NULL},
    {"array key", "{['type']:'Ping'}", OUTCOME_MALFORMED, "a key that is no str", NULL, NULL},
    {"integer key inside", "{'type':'Ping','x':{1:1}}", OUTCOME_MALFORMED, "a key that is no str",
     NULL, NULL},
    {"array in array", "{'type':'GetEvents','types':[['Allocated']]}", OUTCOME_MALFORMED,
     "too deep", NULL, NULL},
    {"map in array", "{'type':'Ping','x':[{}]}", OUTCOME_MALFORMED, "too deep", NULL, NULL},
    {"empty array in map in map", "{'type':'Ping','x':{'y':[]}}", OUTCOME_MALFORMED, "too deep",
     NULL, NULL},
    {"array32 of 2^32-1", "{'type':<ddffffffff>}", OUTCOME_MALFORMED, "more elements than bytes",
     NULL, NULL},
    {"map32 of 2^32-1", "<dfffffffff>", OUTCOME_MALFORMED, "more elements than bytes", NULL, NULL},
    {"map32 of 2^31", "<df8000000000>", OUTCOME_MALFORMED, "more elements than bytes", NULL, NULL},
    {"map32 inside", "{'type':<df7fffffff>}", OUTCOME_MALFORMED, "more elements than bytes", NULL,
     NULL},
    {"str32 of 2^32-1", "{'type':<dbffffffff50>}", OUTCOME_MALFORMED, "cut short", NULL, NULL},
    {"bin32 of 2^32-1", "{'type':<c6ffffffff50>}", OUTCOME_MALFORMED, "cut short", NULL, NULL},
    {"ext32 of 2^32-1", "{'type':<c9ffffffff0150>}", OUTCOME_MALFORMED, "cut short", NULL, NULL},
    {"str32 key of 2^32-1", "<81dbffffffff50>", OUTCOME_MALFORMED, "cut short", NULL, NULL},
    {"one pair too many", "<82>'type''Ping'", OUTCOME_MALFORMED, "cut short", NULL, NULL},
    {"empty map", "{}", OUTCOME_MALFORMED, "no str type", NULL, NULL},
    {"no type", "{'id':'i','x':1}", OUTCOME_MALFORMED, "no str type", NULL, NULL},
    {"nil type", "{'type':nil,'id':'i'}", OUTCOME_MALFORMED, "no str type", NULL, NULL},
    {"bin type", "{'type':<c40450696e67>}", OUTCOME_MALFORMED, "no str type", NULL, NULL},
    {"array type", "{'type':['Ping']}", OUTCOME_MALFORMED, "no str type", NULL, NULL},

    {"unknown type", "{'type':'Pong','id':'i','x':1}", OUTCOME_UNKNOWN_TYPE, "Pong", NULL, "i"},
    {"empty type", "{'type':''}", OUTCOME_UNKNOWN_TYPE, "", NULL, NULL},
    {"type in lower case", "{'type':'ping'}", OUTCOME_UNKNOWN_TYPE, "ping", NULL, NULL},
    {"type cut off", "{'type':'Pin'}", OUTCOME_UNKNOWN_TYPE, "Pin", NULL, NULL},
    {"event as a request", "{'type':'Allocated','orderid':'o','qty':1,'batchref':'b'}",
     OUTCOME_UNKNOWN_TYPE, "Allocated", NULL, NULL},
    {"empty key first", "{'':1,'type':'Ping'}", OUTCOME_UNKNOWN_FIELD, "", "Ping", NULL},
    {"internal event as a request", "{'type':'StockGrew'}", OUTCOME_UNKNOWN_TYPE, "StockGrew", NULL,
     NULL},
    {"internal event with its fields", "{'type':'AllocationRequired','orderid':'o','qty':1}",
     OUTCOME_UNKNOWN_TYPE, "AllocationRequired", NULL, NULL},
    {"unknown type before bad id", "{'type':'Pong','id':1}", OUTCOME_UNKNOWN_TYPE, "Pong", NULL,
     NULL},

    {"unknown field", "{'type':'Ping','id':'i','x':1}", OUTCOME_UNKNOWN_FIELD, "x", "Ping", "i"},
    {"nil unknown field", "{'type':'Ping','x':nil}", OUTCOME_UNKNOWN_FIELD, "x", "Ping", NULL},
    {"field of another type", "{'type':'Ping','sku':'s'}", OUTCOME_UNKNOWN_FIELD, "sku", "Ping",
     NULL},
    {"first unknown field", "{'b':1,'type':'Ping','a':1}", OUTCOME_UNKNOWN_FIELD, "b", "Ping",
     NULL},
    {"empty key", "{'type':'Ping','':1}", OUTCOME_UNKNOWN_FIELD, "", "Ping", NULL},
    {"key with more", "{'type':'GetStock','sku\x01':1}", OUTCOME_UNKNOWN_FIELD, "sku\x01",
     "GetStock", NULL},
    {"unknown before missing", "{'type':'Allocate','x':1,'id':'i'}", OUTCOME_UNKNOWN_FIELD, "x",
     "Allocate", "i"},
    {"unknown before invalid", "{'type':'GetStock','sku':1,'x':1}", OUTCOME_UNKNOWN_FIELD, "x",
     "GetStock", NULL},
    {"unknown before bad id", "{'type':'Ping','id':1,'x':1}", OUTCOME_UNKNOWN_FIELD, "x", "Ping",
     NULL},

    {"first missing", "{'type':'Allocate','id':'i'}", OUTCOME_MISSING_FIELD, "orderid", "Allocate",
     "i"},
    {"second missing", "{'type':'Allocate','orderid':'o'}", OUTCOME_MISSING_FIELD, "sku",
     "Allocate", NULL},
    {"last missing", "{'type':'Allocate','orderid':'o','sku':'s'}", OUTCOME_MISSING_FIELD, "qty",
     "Allocate", NULL},
    {"missing before invalid", "{'type':'Allocate','orderid':1,'sku':2}", OUTCOME_MISSING_FIELD,
     "qty", "Allocate", NULL},
    {"missing before bad id", "{'type':'GetStock','id':1}", OUTCOME_MISSING_FIELD, "sku",
     "GetStock", NULL},
    {"eta must be sent", "{'type':'ChangeBatchEta','ref':'b'}", OUTCOME_MISSING_FIELD, "eta",
     "ChangeBatchEta", NULL},

    {"nil for a required field", "{'type':'GetStock','sku':nil}", OUTCOME_INVALID_FIELD, "sku",
     "GetStock", NULL},
    {"first invalid in table order", "{'qty':0,'sku':1,'ref':'','type':'CreateBatch','id':'i'}",
     OUTCOME_INVALID_FIELD, "ref", "CreateBatch", "i"},
    {"invalid before bad id", "{'id':1,'type':'GetStock','sku':1}", OUTCOME_INVALID_FIELD, "sku",
     "GetStock", NULL},
    {"bad id", "{'id':1,'type':'GetStock','sku':'s'}", OUTCOME_INVALID_FIELD, "id", "GetStock",
     NULL},
    {"empty id", "{'id':'','type':'Ping'}", OUTCOME_INVALID_FIELD, "id", "Ping", NULL},
    {"long id", "{'id':'i'*321,'type':'Ping'}", OUTCOME_INVALID_FIELD, "id", "Ping", NULL},
    {"id with a control character", "{'id':'a\nb','type':'Ping'}", OUTCOME_INVALID_FIELD, "id",
     "Ping", NULL},
    {"array id", "{'id':['i'],'type':'Ping'}", OUTCOME_INVALID_FIELD, "id", "Ping", NULL},
    {"bin id", "{'id':<c40169>,'type':'Ping'}", OUTCOME_INVALID_FIELD, "id", "Ping", NULL},
};

static void requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        print_message("  %s\n", refused[i].name);
        struct request request;
        struct reply refusal;
        enum outcome outcome =
            codec_decode_request(codec, body_of(refused[i].body), &request, &refusal);
        assert_int_equal(outcome, refused[i].outcome);
        assert_int_equal(refusal.outcome, outcome);
        assert_text(refusal.about, refused[i].about);
        assert_text(refusal.id, refused[i].id);
        assert_int_equal(refusal.rule != NULL, outcome == OUTCOME_INVALID_FIELD);
        assert_int_equal(refusal.type, refused[i].type == NULL
                                           ? MESSAGE_NONE
                                           : message_type_named(text_of(refused[i].type)));
    }
}

static enum outcome decode_bytes(struct text body, struct reply *refusal)
{
    struct request request;
    return codec_decode_request(codec, body, &request, refusal);
}

static void cut_requests_are_malformed(void **state)
{
    (void)state;
    struct reply refusal;
    for (size_t i = 0; i < COUNT(good); i++) {
        char whole[512];
        struct text body = body_of(good[i].body);
        assert_true(body.len < sizeof whole);
        memcpy(whole, body.data, body.len);
        for (size_t len = 0; len < body.len; len++)
            assert_int_equal(decode_bytes(body_copy(whole, len), &refusal), OUTCOME_MALFORMED);
        for (unsigned byte = 0; byte < 256; byte++) {
            whole[body.len] = (char)byte;
            assert_int_equal(decode_bytes(body_copy(whole, body.len + 1), &refusal),
                             OUTCOME_MALFORMED);
            assert_text(refusal.about, "trailing bytes");
        }
    }
}

static void a_nul_is_part_of_a_name(void **state)
{
    (void)state;
    struct reply refusal;
    assert_int_equal(decode_bytes(body_of("{'type':<a550696e6700>}"), &refusal),
                     OUTCOME_UNKNOWN_TYPE);
    assert_true(text_equal(refusal.about, (struct text){"Ping", 5}));
    assert_int_equal(decode_bytes(body_of("{'type':'GetStock',<a4736b7500>:'s'}"), &refusal),
                     OUTCOME_UNKNOWN_FIELD);
    assert_true(text_equal(refusal.about, (struct text){"sku", 4}));
}

static void size_is_limited(void **state)
{
    (void)state;
    struct reply refusal;
    char notation[64];
    snprintf(notation, sizeof notation, "{'type':'Ping','x':'x'*%zu}", REQUEST_MAX_BYTES - 16);
    struct text body = body_of(notation);
    assert_int_equal(body.len, REQUEST_MAX_BYTES);
    assert_int_equal(decode_bytes(body, &refusal), OUTCOME_UNKNOWN_FIELD);
    snprintf(notation, sizeof notation, "{'type':'Ping','x':'x'*%zu}", REQUEST_MAX_BYTES - 15);
    assert_int_equal(decode_bytes(body_of(notation), &refusal), OUTCOME_TOO_LARGE);
    assert_true(text_is_none(refusal.id) && text_is_none(refusal.about));
    assert_int_equal(refusal.type, MESSAGE_NONE);
}

/* A body of `count` keys of two letters; the last is the same as one before it on demand. */
static struct text make_many_keys(unsigned count, bool has_twins)
{
    body_begin();
    body_put(0xde, count, 2);
    for (unsigned i = 0; i < count; i++) {
        unsigned number = has_twins && i == count - 1 ? (count - 1) / 2 : i;
        body_put(0xa2, number, 2);
        body_put(0xc0, 0, 0);
    }
    return body_end();
}

static void many_keys_are_compared_and_too_many_refused(void **state)
{
    (void)state;
    struct reply refusal;
    for (unsigned count = 2; count <= 64; count++) {
        assert_int_equal(decode_bytes(make_many_keys(count, true), &refusal), OUTCOME_MALFORMED);
        assert_text(refusal.about, "a key twice");
        assert_int_equal(decode_bytes(make_many_keys(count, false), &refusal), OUTCOME_MALFORMED);
        assert_text(refusal.about, "no str type");
    }
    assert_int_equal(decode_bytes(make_many_keys(SCAN_KEYS_MAX, true), &refusal),
                     OUTCOME_MALFORMED);
    assert_text(refusal.about, "a key twice");
    assert_int_equal(decode_bytes(make_many_keys(SCAN_KEYS_MAX + 1, true), &refusal),
                     OUTCOME_MALFORMED);
    assert_text(refusal.about, "too many keys");
}

static void commands_are_told_by_their_type_alone(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool is_command;
    } cases[] = {
        {"\x81\xa4type\xa8"
         "Allocate",
         true},
        {"\x82\xa1x\x92\x01\x81\xa1y\x02\xa4type\xa8"
         "Allocate and more",
         true},
        {"\x81\xa4type\xa4Ping", false},
        {"\x81\xa4type\xa9"
         "Allocated",
         false},
        {"\x81\xa4type\xa8"
         "Alloc",
         false},
        {"\x81\xa4type\x01", false},
        {"\x81\x01\xa8"
         "Allocate",
         false},
        {"\x91\xa8"
         "Allocate",
         false},
        {"\x80", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(codec_is_command(text_of(cases[i].bytes)), cases[i].is_command);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, bodies_set_up, bodies_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(requests_are_read),
        CASE(requests_are_refused),
        CASE(cut_requests_are_malformed),
        CASE(a_nul_is_part_of_a_name),
        CASE(size_is_limited),
        CASE(many_keys_are_compared_and_too_many_refused),
        CASE(commands_are_told_by_their_type_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
