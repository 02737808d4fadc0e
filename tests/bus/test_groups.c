/* Groups: several requests, one transaction. Replies and events are for after the commit, and a
 * store that fails takes the whole group with it. */
#include "tests/support/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void send_all(struct conversation *c, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        conversation_send(c, lines[i]);
}

static void expect_replies(struct conversation *c, const char *const *replies, size_t count)
{
    assert_int_equal(bus_taken_count(c->fakes->bus), count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(conversation_reply(c, i), replies[i]);
}

/* Ends a group whose replies were looked at. */
static void publish_and_end(struct conversation *c)
{
    bus_publish(c->fakes->bus);
    conversation_end_group(c);
}

/* ---- groups that go well ---- */

static void events_leave_after_the_commit_in_order(void **state)
{
    struct conversation *c = *state;
    static const char *const requests[] = {"CreateBatch b1 RED 10 -", "Allocate o1 RED 3 id=a",
                                           "Allocate o2 RED 30", "Deallocate o1 RED"};
    static const char *const replies[] = {"ok seq=1", "ok id=a seq=2 batchref=b1",
                                          "out_of_stock RED seq=3", "ok seq=4"};
    send_all(c, requests, COUNT(requests));
    assert_int_equal(c->fakes->publisher.count, 0);
    assert_int_equal(conversation_commit(c), STORE_OK);
    expect_replies(c, replies, COUNT(replies));
    assert_int_equal(c->fakes->publisher.count, 0);
    assert_int_equal(c->fakes->notifier.count, 0);
    publish_and_end(c);
    assert_string_equal(conversation_events(c), "1 prev=0 RED v1 BatchCreated b1 10 -; "
                                                "2 prev=0 RED v2 cause=a Allocated o1 3 b1; "
                                                "3 prev=0 RED v3 OutOfStock o2 30 -; "
                                                "4 prev=0 RED v4 Deallocated o1 3 b1");
    assert_int_equal(c->fakes->notifier.count, 1);
    assert_int_equal(c->fakes->stats.commits, 1);
    bus_publish(c->fakes->bus); /* nothing is left to be published */
    assert_int_equal(c->fakes->publisher.count, 0);
}

static void queries_see_the_writes_before_them(void **state)
{
    struct conversation *c = *state;
    static const char *const requests[] = {
        "GetStock RED",    "CreateBatch b1 RED 10 -", "GetStock RED",      "Allocate o1 RED 3",
        "GetStock RED",    "GetAllocations o1",       "Deallocate o1 RED", "GetAllocations o1",
        "ListBatches RED", "GetEvents limit=1"};
    static const char *const replies[] = {
        "invalid_sku RED",
        "ok seq=1",
        "ok RED v1 available=10 b1:10/10:- exhausted=0",
        "ok seq=2 batchref=b1",
        "ok RED v2 available=7 b1:7/10:- exhausted=0",
        "ok RED:3:b1",
        "ok seq=3",
        "unknown_order o1",
        "ok b1:10/10:-",
        "ok [1 prev=0 RED v1 BatchCreated b1 10 -] next=1 head=3 first=1"};
    send_all(c, requests, COUNT(requests));
    assert_int_equal(conversation_commit(c), STORE_OK);
    expect_replies(c, replies, COUNT(replies));
    publish_and_end(c);
}

static void the_same_id_twice_in_a_group(void **state)
{
    struct conversation *c = *state;
    static const char *const requests[] = {"CreateBatch b1 RED 10 - id=a", "Allocate o1 RED 3",
                                           "CreateBatch b1 RED 10 - id=a",
                                           "CreateBatch b1 RED 11 - id=a"};
    static const char *const replies[] = {"ok id=a seq=1", "ok seq=2 batchref=b1", "ok id=a seq=1",
                                          "id_reused a id=a seq=2"};
    send_all(c, requests, COUNT(requests));
    assert_int_equal(conversation_commit(c), STORE_OK);
    expect_replies(c, replies, COUNT(replies));
    publish_and_end(c);
    assert_int_equal(c->fakes->publisher.count, 2);
}

static void a_refusal_of_the_edge_has_its_place_and_seq(void **state)
{
    struct conversation *c = *state;
    const struct reply refusal = {.outcome = OUTCOME_MISSING_FIELD,
                                  .type = MESSAGE_ALLOCATE,
                                  .id = text_of("x"),
                                  .about = text_of("qty")};
    bus_refuse(c->fakes->bus, &refusal, NULL);
    conversation_send(c, "CreateBatch b1 RED 10 -");
    bus_refuse(c->fakes->bus, &refusal, NULL);
    assert_int_equal(conversation_commit(c), STORE_OK);
    assert_string_equal(conversation_reply(c, 0), "missing_field qty id=x seq=0");
    assert_string_equal(conversation_reply(c, 1), "ok seq=1");
    assert_string_equal(conversation_reply(c, 2), "missing_field qty id=x seq=1");
    publish_and_end(c);
}

static void without_commands_nothing_is_committed(void **state)
{
    struct conversation *c = *state;
    faulty_store_fail(&c->faulty, FAULTY_BEGIN, 1, STORE_FAILED);
    assert_int_equal(conversation_commit(c), STORE_OK);
    publish_and_end(c);
    assert_string_equal(conversation_ask(c, "Ping id=p"), "ok id=p");
    assert_int_equal(c->faulty.failures, 0);
    assert_int_equal(c->fakes->stats.commits, 0);
}

static void a_group_is_full_after_so_many_requests(void **state)
{
    struct conversation *c = *state;
    for (size_t i = 0; i < GROUP_MAX; i++) {
        assert_false(bus_group_is_full(c->fakes->bus));
        conversation_send(c, "Ping");
    }
    assert_true(bus_group_is_full(c->fakes->bus));
    assert_int_equal(conversation_commit(c), STORE_OK);
    publish_and_end(c);
    assert_false(bus_group_is_full(c->fakes->bus));
    assert_int_equal(c->fakes->stats.group_max, GROUP_MAX);
    assert_int_equal(c->fakes->stats.queries, GROUP_MAX);
}

static void a_group_is_full_after_so_many_bytes(void **state)
{
    struct conversation *c = *state;
    for (size_t i = 0; i < 1000; i++) {
        conversation_ask(c, "CreateBatch b1 RED 1 -");
        conversation_ask(c, i % 2 == 0 ? "ChangeBatchQuantity b1 2" : "ChangeBatchQuantity b1 1");
    }
    while (!bus_group_is_full(c->fakes->bus))
        conversation_send(c, "GetEvents");
    assert_true(bus_group_count(c->fakes->bus) > 4);
    assert_true(bus_group_count(c->fakes->bus) < 1000);
    assert_int_equal(conversation_commit(c), STORE_OK);
    publish_and_end(c);
    assert_false(bus_group_is_full(c->fakes->bus));
}

/* More follows from one command than the queue has room for at first. */
static void one_command_moves_many_lines(void **state)
{
    enum { LINES = 1000 };
    static char requests[LINES][32];
    struct conversation *c = *state;
    conversation_ask(c, "CreateBatch b1 RED 1000 -");
    for (size_t i = 0; i < LINES; i++) {
        snprintf(requests[i], sizeof requests[i], "Allocate o%zu RED 1", i);
        conversation_ask(c, requests[i]);
    }
    conversation_ask(c, "CreateBatch b2 RED 600 2030-01-01");
    fake_publisher_clear(&c->fakes->publisher);
    assert_string_equal(conversation_ask(c, "ChangeBatchQuantity b1 0"), "ok seq=3003");
    const struct published_event *events = c->fakes->publisher.events;
    assert_int_equal(c->fakes->publisher.count, 1 + LINES + LINES);
    for (size_t i = 0; i < LINES; i++) {
        const struct event *lost = &events[1 + i].event;
        const struct event *found = &events[1 + LINES + i].event;
        assert_int_equal(lost->type, MESSAGE_DEALLOCATED);
        assert_int_equal(found->type, i < 600 ? MESSAGE_ALLOCATED : MESSAGE_OUT_OF_STOCK);
        /* The newest loses its stock first, the oldest finds some first. */
        struct request newest = build_request(requests[LINES - 1 - i]);
        struct request oldest = build_request(requests[i]);
        assert_true(text_equal(lost->as.deallocated.orderid, newest.as.allocate.orderid));
        assert_true(
            text_equal(i < 600 ? found->as.allocated.orderid : found->as.out_of_stock.orderid,
                       oldest.as.allocate.orderid));
    }
    assert_string_equal(conversation_ask(c, "GetStats"),
                        "ok seq=3003 products=1 waiting_lines=400");
}

/* So many that the lists that grew for it are given back: the next command starts with new ones. */
static void one_command_moves_very_many_lines(void **state)
{
    enum { LINES = 66000 };
    struct conversation *c = *state;
    char line[40];
    conversation_ask(c, "CreateBatch b1 RED 66000 -");
    for (size_t i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "Allocate o%06zu RED 1", i); /* in order: put at the end */
        conversation_send(c, line);
        if (bus_group_is_full(c->fakes->bus) || i + 1 == LINES) {
            assert_int_equal(conversation_commit(c), STORE_OK);
            publish_and_end(c);
            fake_publisher_clear(&c->fakes->publisher);
        }
    }
    conversation_send(c, "ChangeBatchQuantity b1 0");
    assert_int_equal(conversation_commit(c), STORE_OK);
    assert_string_equal(conversation_reply(c, 0), "ok seq=198002");
    bus_publish(c->fakes->bus);
    assert_int_equal(c->fakes->publisher.count, 1 + LINES + LINES);
    fake_publisher_clear(&c->fakes->publisher);
    conversation_end_group(c);
    assert_string_equal(conversation_ask(c, "ChangeBatchQuantity b1 2"), "ok seq=198005");
    assert_int_equal(c->fakes->publisher.count, 3);
}

static void time_never_goes_back(void **state)
{
    struct conversation *c = *state;
    struct fake_publisher *publisher = &c->fakes->publisher;
    c->fakes->clock.now_ms = 5000;
    conversation_ask(c, "CreateBatch b1 RED 1 -");
    c->fakes->clock.now_ms = 4000;
    conversation_ask(c, "CreateBatch b2 RED 1 -");
    c->fakes->clock.now_ms = 6000;
    conversation_ask(c, "CreateBatch b3 RED 1 -");
    assert_int_equal(publisher->events[0].event.time_ms, 5000);
    assert_int_equal(publisher->events[1].event.time_ms, 5000);
    assert_int_equal(publisher->events[2].event.time_ms, 6000);
}

static void figures_count_what_was_answered(void **state)
{
    struct conversation *c = *state;
    const struct stats *stats = &c->fakes->stats;
    bus_refuse(c->fakes->bus, &(struct reply){.outcome = OUTCOME_MALFORMED}, NULL);
    bus_refuse(c->fakes->bus, &(struct reply){.outcome = OUTCOME_TOO_LARGE}, NULL);
    bus_refuse(c->fakes->bus, &(struct reply){.outcome = OUTCOME_UNKNOWN_TYPE}, NULL);
    static const char *const requests[] = {"CreateBatch b1 RED 1 -", "Allocate o1 RED 2", "Ping",
                                           "GetBatch nothing"};
    send_all(c, requests, COUNT(requests));
    assert_int_equal(conversation_commit(c), STORE_OK);
    publish_and_end(c);
    conversation_ask(c, "Allocate o1 RED 1");
    assert_int_equal(stats->commands, 3);
    assert_int_equal(stats->queries, 2);
    assert_int_equal(stats->refusals, 5);
    assert_int_equal(stats->malformed, 2);
    assert_int_equal(stats->commits, 2);
    assert_int_equal(stats->events, 3);
    assert_int_equal(stats->group_max, 7);
    assert_int_equal(stats->handler_failures, 0);
}

/* ---- a notifier that fails ---- */

static void a_failing_notifier_is_counted_and_logged(void **state)
{
    struct conversation *c = *state;
    c->fakes->notifier.fails = true;
    static const struct exchange exchanges[] = {
        {"CreateBatch b1 RED 1 -", "ok seq=1", NULL},
        {"Allocate o1 RED 2 id=a", "out_of_stock RED id=a seq=2",
         "2 prev=0 RED v2 cause=a OutOfStock o1 2 -"},
        {"Allocate o1 RED 1", "ok seq=3 batchref=b1", "3 prev=0 RED v3 Allocated o1 1 b1"},
    };
    CONVERSE(state, exchanges);
    assert_int_equal(c->fakes->notifier.count, 1);
    assert_int_equal(c->fakes->stats.handler_failures, 1);
    assert_int_equal(c->fakes->logger.count[LOG_WARN], 1);
    assert_int_equal(c->fakes->logger.count[LOG_ERROR], 0);
    assert_non_null(strstr(c->fakes->logger.last, "notification"));
}

/* ---- a store that fails ---- */

static void a_failed_commit_refuses_the_group(void **state)
{
    struct conversation *c = *state;
    static const struct {
        enum store_result failure;
        const char *create;
        const char *allocate;
    } cases[] = {
        {STORE_FAILED, "storage_failed id=a seq=1", "storage_failed seq=1"},
        {STORE_FULL, "storage_full id=a seq=1", "storage_full seq=1"},
    };
    static const char *const requests[] = {"CreateBatch b2 RED 10 - id=a", "GetStock RED",
                                           "Allocate o1 RED 90", "GetBatch b2"};
    conversation_ask(c, "CreateBatch b1 RED 5 -");
    conversation_events(c);
    for (size_t i = 0; i < COUNT(cases); i++) {
        send_all(c, requests, COUNT(requests));
        bus_refuse(c->fakes->bus,
                   &(struct reply){.outcome = OUTCOME_UNKNOWN_FIELD,
                                   .type = MESSAGE_ALLOCATE,
                                   .about = text_of("x")},
                   NULL);
        faulty_store_fail(&c->faulty, FAULTY_SUBMIT, 1, cases[i].failure);
        assert_int_equal(conversation_commit(c), cases[i].failure);
        assert_int_equal(bus_last_seq(c->fakes->bus), 1); /* what a Heartbeat tells */
        const char *const replies[] = {
            cases[i].create, "ok RED v1 available=5 b1:5/5:- exhausted=0", cases[i].allocate,
            "unknown_batch b2", "unknown_field x seq=1"};
        expect_replies(c, replies, COUNT(replies));
        publish_and_end(c);
        assert_string_equal(conversation_events(c), "");
        assert_int_equal(c->fakes->notifier.count, 0);
        assert_int_equal(c->fakes->stats.events, 1);
        assert_int_equal(c->fakes->stats.commits, 1);
    }
    static const struct exchange afterwards[] = {
        {"CreateBatch b2 RED 10 - id=a", "ok id=a seq=2",
         "2 prev=1 RED v2 cause=a BatchCreated b2 10 -"},
        {"Allocate o1 RED 90", "out_of_stock RED seq=3", "3 prev=0 RED v3 OutOfStock o1 90 -"},
    };
    CONVERSE(state, afterwards);
}

/* Requests after the one that hit the failure are part of the lost group too. */
static void a_group_that_is_lost_takes_more_requests(void **state)
{
    struct conversation *c = *state;
    static const char *const requests[] = {"CreateBatch b1 RED 10 -", "CreateBatch b2 RED 10 -",
                                           "CreateBatch b3 BLUE 10 -", "ListProducts", "Ping"};
    static const char *const replies[] = {"storage_full seq=0", "storage_full seq=0",
                                          "storage_full seq=0", "ok", "ok"};
    faulty_store_fail(&c->faulty, FAULTY_APPEND, 2, STORE_FULL);
    send_all(c, requests, COUNT(requests));
    assert_int_equal(conversation_commit(c), STORE_FULL);
    expect_replies(c, replies, COUNT(replies));
    publish_and_end(c);
    assert_string_equal(conversation_events(c), "");
}

/* Commands that call every function of the unit of work. */
static const char *const all_commands[] = {"CreateBatch b1 RED 10 - id=1",
                                           "Allocate o1 RED 6 id=2",
                                           "Allocate o2 RED 4",
                                           "CreateBatch b2 RED 5 2030-01-01",
                                           "ChangeBatchQuantity b1 5 id=3",
                                           "Deallocate o2 RED id=4",
                                           "Allocate o3 RED 50 id=5",
                                           "ChangeBatchEta b2 - id=6",
                                           "ChangeBatchQuantity b2 11 id=7",
                                           "CreateBatch b1 RED 10 - id=1",
                                           "CreateBatch b3 BLUE 1 2030-01-01"};

static const char *const all_replies[] = {"ok id=1 seq=1",
                                          "ok id=2 seq=2 batchref=b1",
                                          "ok seq=3 batchref=b1",
                                          "ok seq=4",
                                          "ok id=3 seq=9",
                                          "ok id=4 seq=10",
                                          "out_of_stock RED id=5 seq=11",
                                          "ok id=6 seq=12",
                                          "ok id=7 seq=14",
                                          "ok id=1 seq=1",
                                          "ok seq=15"};

static const char all_events[] = "1 prev=0 RED v1 cause=1 BatchCreated b1 10 -; "
                                 "2 prev=0 RED v2 cause=2 Allocated o1 6 b1; "
                                 "3 prev=2 RED v3 Allocated o2 4 b1; "
                                 "4 prev=1 RED v4 BatchCreated b2 5 2030-01-01; "
                                 "5 prev=0 RED v5 cause=3 BatchQuantityChanged b1 5; "
                                 "6 prev=0 RED v6 cause=3 Deallocated o2 4 b1; "
                                 "7 prev=6 RED v7 cause=3 Deallocated o1 6 b1; "
                                 "8 prev=0 RED v8 cause=3 OutOfStock o1 6 waiting; "
                                 "9 prev=3 RED v9 cause=3 Allocated o2 4 b1; "
                                 "10 prev=7 RED v10 cause=4 Deallocated o2 4 b1; "
                                 "11 prev=8 RED v11 cause=5 OutOfStock o3 50 -; "
                                 "12 prev=0 RED v12 cause=6 BatchEtaChanged b2 -; "
                                 "13 prev=5 RED v13 cause=7 BatchQuantityChanged b2 11; "
                                 "14 prev=9 RED v14 cause=7 Allocated o1 6 b2; "
                                 "15 prev=4 BLUE v1 BatchCreated b3 1 2030-01-01";

static void expect_all_done(struct conversation *c)
{
    expect_replies(c, all_replies, COUNT(all_replies));
    publish_and_end(c);
    assert_string_equal(conversation_events(c), all_events);
    assert_int_equal(c->fakes->notifier.count, 2);
}

static void expect_nothing_done(struct conversation *c)
{
    for (size_t i = 0; i < COUNT(all_commands); i++)
        assert_int_equal(bus_reply(c->fakes->bus, i)->outcome, OUTCOME_STORAGE_FAILED);
    publish_and_end(c);
    assert_string_equal(conversation_events(c), "");
    assert_int_equal(c->fakes->notifier.count, 0);
    assert_string_equal(conversation_ask(c, "GetStats"), "ok seq=0 products=0 waiting_lines=0");
    assert_string_equal(conversation_ask(c, "GetAllocations o1"), "unknown_order o1");
    assert_string_equal(conversation_ask(c, "GetBatch b1"), "unknown_batch b1");
}

/* The n-th call of the store fails, for n = 1, 2, 3 ... until all goes well. After each failure
 * nothing is there, and the same group again does all that it ever would. */
static void whichever_call_fails_nothing_is_done(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (bool is_lost = true; is_lost; n++) {
        void *fresh = NULL;
        conversation_set_up(&fresh);
        struct conversation *c = fresh;
        faulty_store_fail(&c->faulty, FAULTY_ANY, n, STORE_FAILED);
        send_all(c, all_commands, COUNT(all_commands));
        enum store_result result = conversation_commit(c);
        is_lost = c->faulty.failures > 0;
        assert_int_equal(result, is_lost ? STORE_FAILED : STORE_OK);
        if (is_lost) {
            expect_nothing_done(c);
            send_all(c, all_commands, COUNT(all_commands));
            assert_int_equal(conversation_commit(c), STORE_OK);
        }
        faulty_store_fail(&c->faulty, FAULTY_ANY, 0, STORE_OK);
        expect_all_done(c);
        conversation_tear_down(&fresh);
    }
    assert_true(n > 50); /* else the commands no longer call what they did */
}

/* ---- a record that is damaged ---- */

static void a_damaged_record_hits_the_one_command_that_needs_it(void **state)
{
    static const struct {
        enum faulty_call call;
        const char *request;
        const char *afterwards; /* the reply to the same request once the record is whole */
    } cases[] = {
        {FAULTY_PRODUCT, "Allocate o2 RED 1 id=x", "ok id=x seq=6 batchref=b1"},
        {FAULTY_LINE, "Allocate o2 RED 1 id=x", "ok id=x seq=6 batchref=b1"},
        {FAULTY_RECALL, "Allocate o2 RED 1 id=x", "ok id=x seq=6 batchref=b1"},
        {FAULTY_BATCH, "CreateBatch b9 RED 1 - id=x", "ok id=x seq=6"},
        {FAULTY_BATCH, "ChangeBatchEta b1 2030-01-01 id=x", "ok id=x seq=6"},
        {FAULTY_NEWEST_LINES, "ChangeBatchQuantity b1 4 id=x", "ok id=x seq=12"},
        {FAULTY_LINE, "Deallocate o1 RED id=x", "ok id=x seq=6"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        void *fresh = NULL;
        conversation_set_up(&fresh);
        struct conversation *c = fresh;
        conversation_ask(c, "CreateBatch b1 RED 10 -");
        conversation_ask(c, "Allocate o1 RED 6");
        conversation_send(c, "Allocate o8 RED 1");
        faulty_store_fail(&c->faulty, cases[i].call, 1, STORE_DAMAGED);
        conversation_send(c, cases[i].request);
        assert_int_equal(c->faulty.failures, 1);
        conversation_send(c, "Allocate o9 RED 1 id=y");
        assert_int_equal(conversation_commit(c), STORE_OK);
        assert_string_equal(conversation_reply(c, 0), "ok seq=3 batchref=b1");
        assert_string_equal(conversation_reply(c, 1), "storage_failed id=x seq=3");
        assert_string_equal(conversation_reply(c, 2), "ok id=y seq=4 batchref=b1");
        publish_and_end(c);
        conversation_ask(c, "CreateBatch b5 BLUE 10 -");
        assert_string_equal(conversation_ask(c, cases[i].request), cases[i].afterwards);
        conversation_tear_down(&fresh);
    }
}

/* Where the command has changed something before it meets the damage, only the group as a whole
 * can be taken back. */
static void damage_that_is_found_too_late_loses_the_group(void **state)
{
    struct conversation *c = *state;
    conversation_ask(c, "CreateBatch b1 RED 10 -");
    conversation_ask(c, "Allocate o1 RED 1");
    fake_publisher_clear(&c->fakes->publisher);
    faulty_store_fail(&c->faulty, FAULTY_APPEND, 3, STORE_DAMAGED);
    conversation_send(c, "Allocate o2 RED 1");
    conversation_send(c, "ChangeBatchQuantity b1 1"); /* two events, and those of the line */
    assert_int_not_equal(conversation_commit(c), STORE_OK);
    assert_string_equal(conversation_reply(c, 0), "storage_failed seq=2");
    assert_string_equal(conversation_reply(c, 1), "storage_failed seq=2");
    publish_and_end(c);
    assert_string_equal(conversation_events(c), "");
    assert_string_equal(conversation_ask(c, "Allocate o2 RED 1"), "ok seq=3 batchref=b1");
}

static void a_query_that_fails_is_refused_alone(void **state)
{
    struct conversation *c = *state;
    conversation_send(c, "CreateBatch b1 RED 1 -");
    faulty_store_fail(&c->faulty, FAULTY_READ, 1, STORE_DAMAGED);
    conversation_send(c, "GetStock RED id=q");
    conversation_send(c, "GetBatch b1");
    assert_int_equal(conversation_commit(c), STORE_OK);
    assert_string_equal(conversation_reply(c, 0), "ok seq=1");
    assert_string_equal(conversation_reply(c, 1), "storage_failed id=q");
    assert_string_equal(conversation_reply(c, 2), "ok RED b1:1/1:-");
    publish_and_end(c);
    faulty_store_fail(&c->faulty, FAULTY_READ, 1, STORE_FAILED); /* no unit is open now */
    assert_string_equal(conversation_ask(c, "GetStock RED id=q"), "storage_failed id=q");
}

/* A query sees what the unit has done, and so may be the first to meet a full store. */
static void a_query_that_meets_a_full_store_takes_the_group_with_it(void **state)
{
    struct conversation *c = *state;
    conversation_ask(c, "CreateBatch b1 RED 1 -");
    conversation_send(c, "CreateBatch b2 RED 1 -");
    faulty_store_fail(&c->faulty, FAULTY_READ, 1, STORE_FULL);
    conversation_send(c, "GetBatch b1");
    assert_int_equal(conversation_commit(c), STORE_FULL);
    assert_string_equal(conversation_reply(c, 0), "storage_full seq=1");
    assert_string_equal(conversation_reply(c, 1), "ok RED b1:1/1:-");
    publish_and_end(c);
    assert_string_equal(conversation_ask(c, "CreateBatch b2 RED 1 -"), "ok seq=2");
}

/* ---- a store of which nobody knows what it holds ---- */

static void a_broken_store_is_told_and_nothing_is_published(void **state)
{
    struct conversation *c = *state;
    conversation_send(c, "CreateBatch b1 RED 1 -");
    faulty_store_fail(&c->faulty, FAULTY_SUBMIT, 1, STORE_BROKEN);
    assert_int_equal(conversation_commit(c), STORE_BROKEN);
    assert_int_equal(c->fakes->publisher.count, 0);
    assert_int_equal(c->fakes->stats.commits, 0);
}

#define CASE(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, conversation_set_up, conversation_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(events_leave_after_the_commit_in_order),
        CASE(queries_see_the_writes_before_them),
        CASE(the_same_id_twice_in_a_group),
        CASE(a_refusal_of_the_edge_has_its_place_and_seq),
        CASE(without_commands_nothing_is_committed),
        CASE(a_group_is_full_after_so_many_requests),
        CASE(a_group_is_full_after_so_many_bytes),
        CASE(one_command_moves_many_lines),
        CASE(one_command_moves_very_many_lines),
        CASE(time_never_goes_back),
        CASE(figures_count_what_was_answered),
        CASE(a_failing_notifier_is_counted_and_logged),
        CASE(a_failed_commit_refuses_the_group),
        CASE(a_group_that_is_lost_takes_more_requests),
        cmocka_unit_test(whichever_call_fails_nothing_is_done),
        cmocka_unit_test(a_damaged_record_hits_the_one_command_that_needs_it),
        CASE(damage_that_is_found_too_late_loses_the_group),
        CASE(a_query_that_fails_is_refused_alone),
        CASE(a_query_that_meets_a_full_store_takes_the_group_with_it),
        CASE(a_broken_store_is_told_and_nothing_is_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
