/* Two groups at a time: while one is made durable the next is decided on what it did, nothing of
 * either leaves before its turn, and what a lost one did takes the next along. */
#include "tests/support/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Sends a group whose unit stays under way until let_go. */
static void submit_held(struct conversation *c)
{
    c->faulty.is_held = true;
    bus_submit(c->fakes->bus, false);
    enum store_result result;
    assert_false(bus_take(c->fakes->bus, &result));
}

static void let_go(struct conversation *c, enum store_result expected)
{
    enum store_result result;
    c->faulty.is_held = false;
    assert_true(bus_take(c->fakes->bus, &result));
    assert_int_equal(result, expected);
}

/* Looks at the group that was taken, publishes its events and ends it. */
static void expect_group(struct conversation *c, const char *const *replies, size_t count,
                         const char *events)
{
    assert_int_equal(bus_taken_count(c->fakes->bus), count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(conversation_reply(c, i), replies[i]);
    assert_int_equal(c->fakes->publisher.count, 0);
    bus_publish(c->fakes->bus);
    assert_string_equal(conversation_events(c), events);
    conversation_end_group(c);
}
#define EXPECT_GROUP(c, events, ...)                                                               \
    expect_group(c, (const char *const[]){__VA_ARGS__},                                            \
                 COUNT(((const char *const[]){__VA_ARGS__})), events)

static void submit_and_take(struct conversation *c, enum store_result expected)
{
    enum store_result result;
    bus_submit(c->fakes->bus, true);
    assert_true(bus_take(c->fakes->bus, &result));
    assert_int_equal(result, expected);
}

static int set_up(void **state)
{
    int rc = conversation_set_up(state);
    struct conversation *c = *state;
    conversation_ask(c, "CreateBatch b1 RED 10 -");
    conversation_events(c);
    return rc;
}

static void the_next_group_is_decided_on_what_the_one_under_way_did(void **state)
{
    struct conversation *c = *state;
    conversation_send(c, "Allocate o1 RED 8 id=i1");
    submit_held(c);
    conversation_send(c, "Allocate o2 RED 8");
    conversation_send(c, "GetStock RED");
    conversation_send(c, "Allocate o1 RED 8 id=i1");
    conversation_send(c, "GetEvents limit=5 after=1");
    assert_int_equal(bus_last_seq(c->fakes->bus), 1); /* nothing else may be told */
    assert_int_equal(c->fakes->publisher.count, 0);
    let_go(c, STORE_OK);
    EXPECT_GROUP(c, "2 prev=0 RED v2 cause=i1 Allocated o1 8 b1", "ok id=i1 seq=2 batchref=b1");
    assert_int_equal(bus_last_seq(c->fakes->bus), 2);
    submit_and_take(c, STORE_OK);
    EXPECT_GROUP(c, "3 prev=0 RED v3 OutOfStock o2 8 -", "out_of_stock RED seq=3",
                 "ok RED v3 available=2 b1:2/10:- exhausted=0", "ok id=i1 seq=2 batchref=b1",
                 "ok [2 prev=0 RED v2 cause=i1 Allocated o1 8 b1] "
                 "[3 prev=0 RED v3 OutOfStock o2 8 -] head=3 first=1");
}

static void queries_alone_wait_for_what_they_saw(void **state)
{
    struct conversation *c = *state;
    conversation_send(c, "Allocate o1 RED 8");
    submit_held(c);
    conversation_send(c, "GetAllocations o1");
    assert_true(bus_has_sent(c->fakes->bus)); /* so that it cannot be sent */
    let_go(c, STORE_OK);
    EXPECT_GROUP(c, "2 prev=0 RED v2 Allocated o1 8 b1", "ok seq=2 batchref=b1");
    submit_and_take(c, STORE_OK);
    EXPECT_GROUP(c, "", "ok RED:8:b1");
}

static void a_lost_group_takes_the_next_along(void **state)
{
    struct conversation *c = *state;
    static const struct {
        enum store_result failure;
        const char *refusal;
        const char *refusal_with_id;
    } cases[] = {{STORE_FULL, "storage_full seq=1", "storage_full id=i1 seq=1"},
                 {STORE_FAILED, "storage_failed seq=1", "storage_failed id=i1 seq=1"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        faulty_store_fail(&c->faulty, FAULTY_DONE, 1, cases[i].failure);
        conversation_send(c, "Allocate o1 RED 8 id=i1");
        conversation_send(c, "GetStock RED");
        submit_held(c);
        conversation_send(c, "GetAllocations o1"); /* there was such a line */
        conversation_send(c, "Allocate o2 RED 1");
        let_go(c, cases[i].failure);
        EXPECT_GROUP(c, "", cases[i].refusal_with_id,
                     "ok RED v1 available=10 b1:10/10:- exhausted=0");
        conversation_send(c, "Allocate o3 RED 1"); /* it came too late to go elsewhere */
        submit_and_take(c, cases[i].failure);
        EXPECT_GROUP(c, "", "unknown_order o1", cases[i].refusal, cases[i].refusal);
        assert_int_equal(bus_last_seq(c->fakes->bus), 1);
    }
    assert_string_equal(conversation_ask(c, "Allocate o1 RED 8 id=i1"),
                        "ok id=i1 seq=2 batchref=b1");
    assert_string_equal(conversation_events(c), "2 prev=0 RED v2 cause=i1 Allocated o1 8 b1");
}

static void a_group_that_failed_by_itself_waits_for_the_one_before(void **state)
{
    struct conversation *c = *state;
    conversation_send(c, "Allocate o1 RED 8");
    submit_held(c);
    faulty_store_fail(&c->faulty, FAULTY_APPEND, 1, STORE_FAILED);
    conversation_send(c, "Allocate o2 RED 1");
    let_go(c, STORE_OK);
    EXPECT_GROUP(c, "2 prev=0 RED v2 Allocated o1 8 b1", "ok seq=2 batchref=b1");
    submit_and_take(c, STORE_FAILED);
    EXPECT_GROUP(c, "", "storage_failed seq=2");
    assert_string_equal(conversation_ask(c, "Allocate o2 RED 1"), "ok seq=3 batchref=b1");
}

static void a_broken_store_answers_nothing(void **state)
{
    struct conversation *c = *state;
    enum store_result result;
    faulty_store_fail(&c->faulty, FAULTY_DONE, 1, STORE_BROKEN);
    conversation_send(c, "Allocate o1 RED 8");
    submit_held(c);
    conversation_send(c, "Allocate o2 RED 1");
    c->faulty.is_held = false;
    for (int i = 0; i < 2; i++) {
        assert_true(bus_take(c->fakes->bus, &result));
        assert_int_equal(result, STORE_BROKEN);
    }
    assert_int_equal(c->fakes->publisher.count, 0);
}

static void each_reply_knows_where_it_goes(void **state)
{
    struct conversation *c = *state;
    int origins[3];
    const struct request ping = build_request("Ping");
    bus_handle(c->fakes->bus, &ping, &origins[0]);
    conversation_send(c, "Allocate o1 RED 8");
    submit_held(c);
    bus_refuse(c->fakes->bus, &(struct reply){.outcome = OUTCOME_MALFORMED}, &origins[1]);
    bus_handle(c->fakes->bus, &ping, &origins[2]);
    let_go(c, STORE_OK);
    assert_ptr_equal(bus_origin(c->fakes->bus, 0), &origins[0]);
    assert_null(bus_origin(c->fakes->bus, 1));
    conversation_end_group(c);
    submit_and_take(c, STORE_OK);
    assert_ptr_equal(bus_origin(c->fakes->bus, 0), &origins[1]);
    assert_ptr_equal(bus_origin(c->fakes->bus, 1), &origins[2]);
    conversation_end_group(c);
}

#define WITH_A_BATCH(test) cmocka_unit_test_setup_teardown(test, set_up, conversation_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_A_BATCH(the_next_group_is_decided_on_what_the_one_under_way_did),
        WITH_A_BATCH(queries_alone_wait_for_what_they_saw),
        WITH_A_BATCH(a_lost_group_takes_the_next_along),
        WITH_A_BATCH(a_group_that_failed_by_itself_waits_for_the_one_before),
        WITH_A_BATCH(a_broken_store_answers_nothing),
        WITH_A_BATCH(each_reply_knows_where_it_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
