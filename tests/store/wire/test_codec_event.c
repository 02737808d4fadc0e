/* Events: written, read back, from upstream; their topics. */
#include "tests/support/bodies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HEAD(type) "{'seq':3,'prev':1,'type':'" type "','time':1700000000000,'sku':'s','version':2"

static const struct {
    struct event event; /* what is the same in all of them is filled in below */
    const char *expected;
} events[] = {
    {{.type = MESSAGE_BATCH_CREATED, .as.batch_created = {.ref = T("b"), .qty = 5}},
     HEAD("BatchCreated") ",'ref':'b','qty':5,'eta':nil}"},
    {{.type = MESSAGE_BATCH_CREATED,
      .cause = T("c"),
      .as.batch_created = {.ref = T("b"), .qty = 5, .eta = {20240229}}},
     HEAD("BatchCreated") ",'cause':'c','ref':'b','qty':5,'eta':'2024-02-29'}"},
    {{.type = MESSAGE_BATCH_QUANTITY_CHANGED, .as.batch_quantity_changed = {.ref = T("b")}},
     HEAD("BatchQuantityChanged") ",'ref':'b','qty':0}"},
    {{.type = MESSAGE_BATCH_ETA_CHANGED, .as.batch_eta_changed = {.ref = T("b")}},
     HEAD("BatchEtaChanged") ",'ref':'b','eta':nil}"},
    {{.type = MESSAGE_BATCH_ETA_CHANGED,
      .as.batch_eta_changed = {.ref = T("b"), .eta = {99991231}}},
     HEAD("BatchEtaChanged") ",'ref':'b','eta':'9999-12-31'}"},
    {{.type = MESSAGE_ALLOCATED,
      .cause = T("c"),
      .as.allocated = {.orderid = T("o"), .qty = 1000000000, .batchref = T("b")}},
     HEAD("Allocated") ",'cause':'c','orderid':'o','qty':1000000000,'batchref':'b'}"},
    {{.type = MESSAGE_DEALLOCATED,
      .as.deallocated = {.orderid = T("o"), .qty = 1, .batchref = T("b")}},
     HEAD("Deallocated") ",'orderid':'o','qty':1,'batchref':'b'}"},
    {{.type = MESSAGE_DEALLOCATED, .as.deallocated = {.orderid = T("o"), .qty = 1}},
     HEAD("Deallocated") ",'orderid':'o','qty':1,'batchref':nil}"},
    {{.type = MESSAGE_OUT_OF_STOCK,
      .as.out_of_stock = {.orderid = T("o"), .qty = 1, .waiting = true}},
     HEAD("OutOfStock") ",'orderid':'o','qty':1,'waiting':true}"},
    {{.type = MESSAGE_OUT_OF_STOCK, .as.out_of_stock = {.orderid = T("o"), .qty = 1}},
     HEAD("OutOfStock") ",'orderid':'o','qty':1,'waiting':false}"},
};

static void events_are_written_and_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(events); i++) {
        struct event event = events[i].event;
        struct event copy;
        struct text bytes;
        event.seq = 3;
        event.prev = 1;
        event.time_ms = 1700000000000;
        event.sku = text_of("s");
        event.version = 2;
        event.line_seq = 9;
        assert_true(codec_encode_event(codec, &event, &bytes));
        assert_shows(bytes, events[i].expected);
        struct text first = body_copy(bytes.data, bytes.len);
        assert_true(codec_decode_event(codec, first, &copy));
        assert_true(copy.line_seq == 0);
        assert_true(codec_encode_event(codec, &copy, &bytes));
        assert_true(text_equal(first, bytes));
        char whole[512] = {0};
        assert_true(first.len + 6 <= sizeof whole);
        size_t whole_len = first.len;
        memcpy(whole, first.data, whole_len);
        for (size_t len = 0; len < whole_len; len++)
            assert_false(codec_decode_event(codec, body_copy(whole, len), &copy));
        whole[0]++; /* of the pairs: one is missing */
        assert_false(codec_decode_event(codec, body_copy(whole, whole_len), &copy));
        memcpy(whole + whole_len, "\xa4more\xc0", 6); /* a pair that nobody here writes */
        assert_true(codec_decode_event(codec, body_copy(whole, whole_len + 6), &copy));
        assert_true(codec_encode_event(codec, &copy, &bytes));
        assert_int_equal(bytes.len, whole_len);
        assert_memory_equal(bytes.data + 1, whole + 1, whole_len - 1);
        whole[0]--; /* bytes that trail */
        assert_false(codec_decode_event(codec, body_copy(whole, whole_len + 6), &copy));
    }
}

static const struct {
    const char *body;
    bool is_event;
} event_bodies[] = {
    {HEAD("OutOfStock") ",'orderid':'o','qty':1,'waiting':true}", true},
    {HEAD("OutOfStock") ",'orderid':'o','qty':1,'waiting':true,'more':{1:[[<c40100>]]}}", true},
    {HEAD("OutOfStock") ",'orderid':'o','qty':1,'waiting':1}", false},
    {HEAD("OutOfStock") ",'orderid':'o','qty':1}", false},
    {HEAD("OutOfStock") ",'orderid':'o','qty':0,'waiting':true}", false},
    {HEAD("Allocated") ",'orderid':'o','qty':1,'batchref':nil}", false},
    {HEAD("BatchCreated") ",'ref':'b','qty':1}", false},
    {HEAD("BatchCreated") ",'ref':'b','qty':1,'eta':nil,'cause':''}", false},
    {HEAD("BatchCreated") ",'ref':'b','qty':1,'eta':nil,'seq':3}", false},
    {HEAD("CreateBatch") ",'ref':'b','qty':1,'eta':nil}", false},
    {HEAD("Heartbeat") "}", false},
    {"{'seq':1,'type':'BatchEtaChanged','time':1,'sku':'s','version':1,'ref':'b','eta':nil}",
     false},
    {"{'seq':1,'prev':0,'type':'BatchEtaChanged','time':1,'sku':'s'*65,'version':1,'ref':'b',"
     "'eta':nil}",
     false},
};

static void only_events_are_read_as_such(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(event_bodies); i++) {
        struct event event;
        print_message("  %s\n", event_bodies[i].body);
        assert_int_equal(codec_decode_event(codec, body_of(event_bodies[i].body), &event),
                         event_bodies[i].is_event);
    }
}

#define UPSTREAM "{'type':'BatchQuantityChanged',"

/* `ref` NULL: refused. */
static const struct {
    const char *body;
    const char *ref;
    uint32_t qty;
} upstream[] = {
    {UPSTREAM "'ref':'b','qty':5}", "b", 5},
    {UPSTREAM "'batchref':'b','qty':0}", "b", 0},
    {UPSTREAM "'batchref':'x','ref':'b','qty':1000000000}", "b", 1000000000},
    {UPSTREAM "'batchref':7,'ref':'b','qty':1}", "b", 1},
    {HEAD("BatchQuantityChanged") ",'ref':'b','qty':<cf0000000000000007>}", "b", 7},
    {UPSTREAM "'ref':'b','qty':1,'id':7,'x':[1.5,{1:[nil]},<c40100>,<d40100>]}", "b", 1},
    {UPSTREAM "'ref':'b','qty':1,'x':[[[[[[[[]]]]]]]]}", "b", 1},
    /* Each form of a value once, each ending just before the next. */
    {UPSTREAM "'ref':'b','qty':1,'a':[<c0>,<c2>,<c3>,<c4017f>,<c500017f>,<c6000000017f>,<c701057f>,"
              "<c80001057f>,<c900000001057f>,<ca7f7f7f7f>,<cb7f7f7f7f7f7f7f7f>]}",
     "b", 1},
    {UPSTREAM "'ref':'b','qty':1,'a':[<cc7f>,<cd7f7f>,<ce7f7f7f7f>,<cf7f7f7f7f7f7f7f7f>,<d07f>,"
              "<d17f7f>,<d27f7f7f7f>,<d37f7f7f7f7f7f7f7f>,<7f>,<e0>]}",
     "b", 1},
    {UPSTREAM "'ref':'b','qty':1,'a':[<d4057f>,<d5057f7f>,<d6057f7f7f7f>,<d7057f7f7f7f7f7f7f7f>,"
              "<d8057f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f>,<d9017f>,<da00017f>,<db000000017f>,<a17f>]}",
     "b", 1},
    {UPSTREAM "'ref':'b','qty':1,'a':[<dc00017f>,<dd000000017f>,<de00017f7f>,<df000000017f7f>,"
              "<917f>,<817f7f>,<80>,<90>]}",
     "b", 1},
    {UPSTREAM "'ref':'b','qty':1,'x':{'a':1,'a':1}}", "b", 1},
    {UPSTREAM "'ref':'b','qty':1,'x':[[[[[[[[[]]]]]]]]]}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':1,'x':<ddffffffff>}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':1,'x':<c1>}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':1,'qty':1}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':1}nil", NULL, 0},
    {UPSTREAM "'ref':'b','qty':1,1:1}", NULL, 0},
    {UPSTREAM "'ref':'b'}", NULL, 0},
    {UPSTREAM "'qty':1}", NULL, 0},
    {UPSTREAM "'ref':nil,'batchref':'b','qty':1}", NULL, 0},
    {UPSTREAM "'ref':'','qty':1}", NULL, 0},
    {UPSTREAM "'ref':'r'*256,'qty':1}", NULL, 0},
    {UPSTREAM "'ref':<c40162>,'qty':1}", NULL, 0},
    {UPSTREAM "'ref':'a\x01','qty':1}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':1000000001}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':-1}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':1.0}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':nil}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':'1'}", NULL, 0},
    {UPSTREAM "'ref':'b','qty':1,'x':'x'*65536}", NULL, 0},
    {"{'type':'ChangeBatchQuantity','ref':'b','qty':1}", NULL, 0},
    {"{'type':'BatchCreated','ref':'b','qty':1}", NULL, 0},
    {"{'ref':'b','qty':1}", NULL, 0},
    {"['type','BatchQuantityChanged']", NULL, 0},
    {"", NULL, 0},
};

static void upstream_is_read_leniently(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(upstream); i++) {
        struct change_batch_quantity change = {.qty = 0};
        print_message("  %s\n", upstream[i].body);
        assert_int_equal(codec_decode_upstream(codec, body_of(upstream[i].body), &change),
                         upstream[i].ref != NULL);
        assert_text(change.ref, upstream[i].ref);
        assert_int_equal(change.qty, upstream[i].qty);
    }
}

static void pulses_and_topics(void **state)
{
    (void)state;
    static const struct {
        enum message_type type;
        const char *sku;
        const char *topic;
    } topics[] = {
        {MESSAGE_ALLOCATED, "RED-CHAIR", "Allocated/RED-CHAIR/"},
        {MESSAGE_OUT_OF_STOCK, "a/b%c", "OutOfStock/a%2Fb%25c/"},
        {MESSAGE_BATCH_QUANTITY_CHANGED, "%2F", "BatchQuantityChanged/%252F/"},
    };
    struct text body;
    assert_true(codec_encode_pulse(codec, 7, 1700000000000, &body));
    assert_shows(body, "{'seq':7,'time':1700000000000}");
    char topic[TOPIC_MAX_BYTES];
    for (size_t i = 0; i < COUNT(topics); i++) {
        size_t len = codec_topic(topics[i].type, text_of(topics[i].sku), topic);
        assert_true(text_equal((struct text){topic, len}, text_of(topics[i].topic)));
    }
    char slashes[SKU_MAX_BYTES];
    memset(slashes, '/', sizeof slashes);
    assert_int_equal(
        codec_topic(MESSAGE_BATCH_QUANTITY_CHANGED, (struct text){slashes, sizeof slashes}, topic),
        TOPIC_MAX_BYTES);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, bodies_set_up, bodies_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(events_are_written_and_read),
        CASE(only_events_are_read_as_such),
        CASE(upstream_is_read_leniently),
        CASE(pulses_and_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
