/* Replies: their shapes, and messages about what a stranger sent. */
#include "tests/support/bodies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct batch_view some_batches[] = {
    {.ref = T("b1"), .sku = T("s"), .qty = 10, .available = 3, .eta = {0}},
    {.ref = T("b2"), .sku = T("s"), .qty = 1000000000, .available = 0, .eta = {20110131}},
};
static struct line_view some_lines[] = {
    {.sku = T("s1"), .qty = 1, .batchref = T("b")},
    {.sku = T("s2"), .qty = 2, .batchref = {NULL, 0}},
};
static struct product_view some_products[] = {
    {.sku = T("s"), .version = 4, .available = 5000000000, .batches = 2},
};
static struct event_view some_events[] = {
    {.seq = 1, .body = T("\x81\xa3seq\x01")},
    {.seq = 2, .body = T("\x81\xa3seq\x02")},
};

#define BATCHES                                                                                    \
    "'batches':[{'ref':'b1','qty':10,'available':3,'eta':nil},"                                    \
    "{'ref':'b2','qty':1000000000,'available':0,'eta':'2011-01-31'}]"

static const struct {
    struct reply reply;
    const char *expected;
} replies[] = {
    {{.type = MESSAGE_PING}, "{'ok':true}"},
    {{.type = MESSAGE_PING, .id = T("i"), .seq = 9}, "{'ok':true,'id':'i'}"},
    {{.type = MESSAGE_CREATE_BATCH}, "{'ok':true,'seq':0}"},
    {{.type = MESSAGE_CREATE_BATCH, .id = T("i"), .duplicate = true, .seq = 70000},
     "{'ok':true,'id':'i','duplicate':true,'seq':70000}"},
    {{.type = MESSAGE_ALLOCATE, .batchref = T("b"), .seq = 3},
     "{'ok':true,'batchref':'b','seq':3}"},
    {{.type = MESSAGE_ALLOCATE, .id = T("i"), .batchref = T("b"), .duplicate = true, .seq = 3},
     "{'ok':true,'id':'i','batchref':'b','duplicate':true,'seq':3}"},
    {{.type = MESSAGE_GET_ALLOCATIONS, .as.lines = {some_lines, 2, T("s2")}},
     "{'ok':true,'lines':[{'sku':'s1','qty':1,'batchref':'b'},"
     "{'sku':'s2','qty':2,'batchref':nil}],'next':'s2'}"},
    {{.type = MESSAGE_GET_ALLOCATIONS, .id = T("i")}, "{'ok':true,'id':'i','lines':[],'next':nil}"},
    {{.type = MESSAGE_GET_STOCK, .as.stock = {T("s"), 7, 3, some_batches, 2, 4}},
     "{'ok':true,'sku':'s','version':7,'available':3," BATCHES ",'exhausted':4}"},
    {{.type = MESSAGE_LIST_BATCHES, .as.batches = {some_batches, 2, T("b2")}},
     "{'ok':true," BATCHES ",'next':'b2'}"},
    {{.type = MESSAGE_GET_BATCH,
      .as.batch = {.ref = T("b"), .sku = T("s"), .qty = 5, .available = 4, .eta = {20240229}}},
     "{'ok':true,'ref':'b','sku':'s','qty':5,'available':4,'eta':'2024-02-29'}"},
    {{.type = MESSAGE_LIST_PRODUCTS, .as.products = {some_products, 1, {NULL, 0}}},
     "{'ok':true,'products':[{'sku':'s','version':4,'available':5000000000,'batches':2}],"
     "'next':nil}"},
    {{.type = MESSAGE_GET_EVENTS, .as.events = {some_events, 2, 2, 8, 1}},
     "{'ok':true,'events':[{'seq':1},{'seq':2}],'next':2,'head':8,'first':1}"},
    {{.type = MESSAGE_GET_EVENTS}, "{'ok':true,'events':[],'next':nil,'head':0,'first':0}"},

    {{.outcome = OUTCOME_TOO_LARGE},
     "{'ok':false,'error':'too_large','message':'Request over 64 KiB','retryable':false}"},
    {{.outcome = OUTCOME_MALFORMED, .about = T("a key twice")},
     "{'ok':false,'error':'malformed','message':'Malformed request: a key twice',"
     "'retryable':false}"},
    {{.outcome = OUTCOME_UNKNOWN_TYPE, .about = T("Pong"), .id = T("i"), .seq = 5},
     "{'ok':false,'error':'unknown_type','message':'Unknown type Pong','retryable':false,"
     "'id':'i'}"},
    {{.outcome = OUTCOME_UNKNOWN_FIELD, .type = MESSAGE_PING, .about = T("x")},
     "{'ok':false,'error':'unknown_field','message':'Unknown field x','retryable':false}"},
    {{.outcome = OUTCOME_MISSING_FIELD, .type = MESSAGE_ALLOCATE, .about = T("qty"), .seq = 5},
     "{'ok':false,'error':'missing_field','message':'Missing field qty','retryable':false,"
     "'seq':5}"},
    {{.outcome = OUTCOME_INVALID_FIELD,
      .type = MESSAGE_ALLOCATE,
      .about = T("qty"),
      .rule = "the rule",
      .id = T("i"),
      .seq = 5},
     "{'ok':false,'error':'invalid_field','message':'Invalid field qty: the rule',"
     "'retryable':false,'id':'i','seq':5}"},
    {{.outcome = OUTCOME_INVALID_SKU, .type = MESSAGE_ALLOCATE, .about = T("X"), .seq = 5},
     "{'ok':false,'error':'invalid_sku','message':'Invalid sku X','retryable':false,'seq':5}"},
    {{.outcome = OUTCOME_INVALID_SKU, .type = MESSAGE_GET_STOCK, .about = T("X"), .seq = 5},
     "{'ok':false,'error':'invalid_sku','message':'Invalid sku X','retryable':false}"},
    {{.outcome = OUTCOME_UNKNOWN_BATCH, .type = MESSAGE_GET_BATCH, .about = T("b")},
     "{'ok':false,'error':'unknown_batch','message':'Unknown batch b','retryable':false}"},
    {{.outcome = OUTCOME_UNKNOWN_LINE,
      .type = MESSAGE_DEALLOCATE,
      .about = T("o"),
      .about_more = T("s")},
     "{'ok':false,'error':'unknown_line','message':'Unknown line o/s','retryable':false,'seq':0}"},
    {{.outcome = OUTCOME_UNKNOWN_ORDER, .type = MESSAGE_GET_ALLOCATIONS, .about = T("o")},
     "{'ok':false,'error':'unknown_order','message':'Unknown order o','retryable':false}"},
    {{.outcome = OUTCOME_BATCH_CONFLICT, .type = MESSAGE_CREATE_BATCH, .about = T("b")},
     "{'ok':false,'error':'batch_conflict',"
     "'message':'Batch exists with another sku, qty or eta: b','retryable':false,'seq':0}"},
    {{.outcome = OUTCOME_LINE_CONFLICT,
      .type = MESSAGE_ALLOCATE,
      .about = T("o"),
      .about_more = T("s"),
      .batchref = T("b"),
      .duplicate = true},
     "{'ok':false,'error':'line_conflict',"
     "'message':'Order line exists with another qty: o/s','retryable':false,'seq':0}"},
    {{.outcome = OUTCOME_OUT_OF_STOCK, .type = MESSAGE_ALLOCATE, .about = T("s"), .seq = 6},
     "{'ok':false,'error':'out_of_stock','message':'Out of stock for sku s','retryable':true,"
     "'seq':6}"},
    {{.outcome = OUTCOME_OUT_OF_STOCK,
      .type = MESSAGE_ALLOCATE,
      .about = T("s"),
      .id = T("i"),
      .seq = 6},
     "{'ok':false,'error':'out_of_stock','message':'Out of stock for sku s','retryable':false,"
     "'id':'i','seq':6}"},
    {{.outcome = OUTCOME_STORAGE_FULL, .type = MESSAGE_ALLOCATE, .id = T("i")},
     "{'ok':false,'error':'storage_full','message':'No space left in the store',"
     "'retryable':true,'id':'i','seq':0}"},
    {{.outcome = OUTCOME_ID_REUSED, .type = MESSAGE_DEALLOCATE, .about = T("i"), .id = T("i")},
     "{'ok':false,'error':'id_reused','message':'Id was used with another request: i',"
     "'retryable':false,'id':'i','seq':0}"},
    {{.outcome = OUTCOME_STORAGE_FULL, .type = MESSAGE_DEALLOCATE},
     "{'ok':false,'error':'storage_full','message':'No space left in the store',"
     "'retryable':true,'seq':0}"},
    {{.outcome = OUTCOME_STORAGE_FAILED, .type = MESSAGE_PING},
     "{'ok':false,'error':'storage_failed','message':'The store failed','retryable':true}"},
};

static void replies_have_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(replies); i++) {
        struct text body;
        assert_true(codec_encode_reply(codec, &replies[i].reply, &body));
        assert_shows(body, replies[i].expected);
    }
}

static void stats_are_a_flat_map(void **state)
{
    (void)state;
    struct reply reply = {.type = MESSAGE_GET_STATS};
    struct text body;
    char expected[2048] = "{'ok':true";
    uint64_t number = 0;
#define STAT(name, what)                                                                           \
    reply.as.stats.name = ++number;                                                                \
    snprintf(expected + strlen(expected), sizeof expected - strlen(expected), ",'%s':%d", #name,   \
             (int)number);
#include "domain/messages/stats.def"
    snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "}");
    assert_true(codec_encode_reply(codec, &reply, &body));
    assert_shows(body, expected);
}

/* What a stranger sent as a name, and how a message shows it. */
static const struct {
    const char *name;
    const char *shown;
} foreign_names[] = {
    {"''", "''"},
    {"'\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'", "'\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'"},
    {"'a\xff!'", "'a?!'"},
    {"'\xc3'", "'?'"},
    {"'\xe2\x82'", "'?'*2"},
    {"'\xed\xa0\x80'", "'?'*3"},
    {"'a\x01\x1f\n\x7f'", "'a?\?\?\?'"},
    {"'\xc2\x80-\xc2\x9f'", "'?-?'"},
    {"<a3780079>", "'x?y'"},
    {"'x'*255", "'x'*255"},
    {"'x'*256", "'x'*255"},
    {"'x'*60000", "'x'*255"},
    {"'\xff'*60000", "'?'*255"},
    {"'\xc3\xa9'*128", "'\xc3\xa9'*127"},
    {"'\xf0\x9f\x98\x80'*64", "'\xf0\x9f\x98\x80'*63"},
};

static struct text str_body(struct text packed)
{
    size_t head = (packed.data[0] & 0xe0) == 0xa0 ? 1 : 3;
    return (struct text){packed.data + head, packed.len - head};
}

static void messages_are_clean(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(foreign_names); i++) {
        print_message("  row %zu\n", i);
        struct text body;
        struct reply reply = {.outcome = OUTCOME_UNKNOWN_FIELD};
        reply.about = str_body(body_of(foreign_names[i].name));
        struct text shown_name = str_body(body_of(foreign_names[i].shown));
        char expected[1024];
        snprintf(expected, sizeof expected,
                 "{'ok':false,'error':'unknown_field','message':'Unknown field %.*s',"
                 "'retryable':false}",
                 TEXT_ARG(shown_name));
        assert_true(codec_encode_reply(codec, &reply, &body));
        assert_shows(body, expected);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, bodies_set_up, bodies_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(replies_have_shapes),
        CASE(stats_are_a_flat_map),
        CASE(messages_are_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
