/* Queries, as conversations: what they tell, and page by page. */
#include "tests/support/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct exchange start[] = {
    {"CreateBatch b1 RED 10 -", "ok seq=1", NULL},
    {"CreateBatch b10 RED 10 2030-01-01", "ok seq=2", NULL},
    {"CreateBatch b2 RED 10 0001-01-01", "ok seq=3", NULL},
    {"CreateBatch c1 BLUE 5 -", "ok seq=4", NULL},
    {"CreateBatch d1 RED-CHAIR 5 -", "ok seq=5", NULL},
    {"Allocate o1 RED 10", "ok seq=6 batchref=b1", NULL},
    {"Allocate o1 BLUE 2", "ok seq=7 batchref=c1", NULL},
    {"Allocate o1 RED-CHAIR 1", "ok seq=8 batchref=d1", NULL},
    {"Allocate o10 RED 3", "ok seq=9 batchref=b2", NULL},
    {"ChangeBatchQuantity d1 0", "ok seq=12", NULL},
};

static int set_up(void **state)
{
    conversation_set_up(state);
    CONVERSE(state, start);
    return 0;
}

static void get_allocations(void **state)
{
    static const struct exchange exchanges[] = {
        {"GetAllocations o1", "ok BLUE:2:c1 RED:10:b1 RED-CHAIR:1:-", ""},
        {"GetAllocations o10 id=q", "ok id=q RED:3:b2", ""},
        {"GetAllocations o", "unknown_order o", ""},
        {"GetAllocations o2 id=q", "unknown_order o2 id=q", ""},
        {"GetAllocations o1 limit=2", "ok BLUE:2:c1 RED:10:b1 next=RED", ""},
        {"GetAllocations o1 after=RED limit=2", "ok RED-CHAIR:1:-", ""},
        {"GetAllocations o1 limit=3", "ok BLUE:2:c1 RED:10:b1 RED-CHAIR:1:-", ""},
        {"GetAllocations o1 after=BLUF limit=1", "ok RED:10:b1 next=RED", ""},
        {"GetAllocations o1 after=ZZ", "ok", ""},
        {"GetAllocations nobody after=A", "unknown_order nobody", ""},
    };
    CONVERSE(state, exchanges);
}

static void get_stock(void **state)
{
    static const struct exchange exchanges[] = {
        {"GetStock RED",
         "ok RED v5 available=17 b2:7/10:0001-01-01 b10:10/10:2030-01-01 exhausted=1", ""},
        {"GetStock RED-CHAIR", "ok RED-CHAIR v5 available=0 exhausted=1", ""},
        {"GetStock RED-", "invalid_sku RED-", ""},
    };
    CONVERSE(state, exchanges);
}

static void list_batches(void **state)
{
    static const struct exchange exchanges[] = {
        {"ListBatches RED", "ok b1:0/10:- b10:10/10:2030-01-01 b2:7/10:0001-01-01", ""},
        {"ListBatches RED-CHAIR", "ok d1:0/0:-", ""},
        {"ListBatches RED limit=1", "ok b1:0/10:- next=b1", ""},
        {"ListBatches RED b1 1", "ok b10:10/10:2030-01-01 next=b10", ""},
        {"ListBatches RED b10 1", "ok b2:7/10:0001-01-01", ""},
        {"ListBatches RED b", "ok b1:0/10:- b10:10/10:2030-01-01 b2:7/10:0001-01-01", ""},
        {"ListBatches RED b11", "ok b2:7/10:0001-01-01", ""},
        {"ListBatches RED b2", "ok", ""},
        {"ListBatches GREEN", "invalid_sku GREEN", ""},
        {"ListBatches GREEN after=b", "invalid_sku GREEN", ""},
    };
    CONVERSE(state, exchanges);
}

static void get_batch(void **state)
{
    static const struct exchange exchanges[] = {
        {"GetBatch b10", "ok RED b10:10/10:2030-01-01", ""},
        {"GetBatch b1", "ok RED b1:0/10:-", ""},
        {"GetBatch d1", "ok RED-CHAIR d1:0/0:-", ""},
        {"GetBatch b", "unknown_batch b", ""},
    };
    CONVERSE(state, exchanges);
}

static void list_products(void **state)
{
    static const struct exchange exchanges[] = {
        {"ListProducts", "ok BLUE:v2:3:1 RED:v5:17:3 RED-CHAIR:v5:0:1", ""},
        {"ListProducts limit=1", "ok BLUE:v2:3:1 next=BLUE", ""},
        {"ListProducts BLUE 1", "ok RED:v5:17:3 next=RED", ""},
        {"ListProducts RED 1", "ok RED-CHAIR:v5:0:1", ""},
        {"ListProducts A", "ok BLUE:v2:3:1 RED:v5:17:3 RED-CHAIR:v5:0:1", ""},
        {"ListProducts RED-CHAIR", "ok", ""},
        {"ListProducts RED-", "ok RED-CHAIR:v5:0:1", ""},
    };
    CONVERSE(state, exchanges);
}

static void get_events(void **state)
{
    static const struct exchange exchanges[] = {
        {"GetEvents after=10",
         "ok [11 prev=0 RED-CHAIR v4 Deallocated o1 1 d1] "
         "[12 prev=0 RED-CHAIR v5 OutOfStock o1 1 waiting] head=12 first=1",
         ""},
        {"GetEvents limit=2",
         "ok [1 prev=0 RED v1 BatchCreated b1 10 -] "
         "[2 prev=1 RED v2 BatchCreated b10 10 2030-01-01] next=2 head=12 first=1",
         ""},
        {"GetEvents after=7 limit=1 types=Allocated",
         "ok [8 prev=7 RED-CHAIR v2 Allocated o1 1 d1] next=8 head=12 first=1", ""},
        {"GetEvents sku=BLUE",
         "ok [4 prev=3 BLUE v1 BatchCreated c1 5 -] [7 prev=6 BLUE v2 Allocated o1 2 c1] "
         "head=12 first=1",
         ""},
        {"GetEvents types=Allocated,Deallocated sku=RED-CHAIR",
         "ok [8 prev=7 RED-CHAIR v2 Allocated o1 1 d1] "
         "[11 prev=0 RED-CHAIR v4 Deallocated o1 1 d1] head=12 first=1",
         ""},
        {"GetEvents types=BatchEtaChanged", "ok head=12 first=1", ""},
        {"GetEvents sku=GREEN", "ok head=12 first=1", ""},
        {"GetEvents after=12", "ok head=12 first=1", ""},
        {"GetEvents after=18446744073709551615", "ok head=12 first=1", ""},
    };
    CONVERSE(state, exchanges);
}

static void an_empty_node(void **state)
{
    static const struct exchange exchanges[] = {
        {"GetEvents", "ok head=0 first=0", ""},
        {"ListProducts", "ok", ""},
        {"GetStats", "ok seq=0 products=0 waiting_lines=0", ""},
        {"Ping id=p", "ok id=p", ""},
        {"Ping", "ok", ""},
    };
    CONVERSE(state, exchanges);
}

static void an_event_is_read_as_it_was_published(void **state)
{
    struct conversation *c = *state;
    fake_publisher_clear(&c->fakes->publisher);
    conversation_ask(c, "ChangeBatchQuantity b2 1 id=q");
    conversation_send(c, "GetEvents after=12");
    assert_int_equal(conversation_commit(c), STORE_OK);
    const struct event_page *page = &bus_reply(c->fakes->bus, 0)->as.events;
    const struct fake_publisher *published = &c->fakes->publisher;
    assert_int_equal(page->count, 3);
    assert_int_equal(page->count, published->count);
    for (size_t i = 0; i < page->count; i++) {
        assert_true(text_equal(page->rows[i].body, published->events[i].body));
        assert_int_equal(page->rows[i].seq, published->events[i].event.seq);
    }
    conversation_end_group(c);
}

static void get_stats_has_the_figures_of_node_and_store(void **state)
{
    struct conversation *c = *state;
    c->fakes->stats.peers = 7;
    conversation_send(c, "GetStats");
    assert_int_equal(conversation_commit(c), STORE_OK);
    const struct stats *stats = &bus_reply(c->fakes->bus, 0)->as.stats;
    assert_int_equal(stats->seq, 12);
    assert_int_equal(stats->products, 3);
    assert_int_equal(stats->waiting_lines, 1);
    assert_int_equal(stats->commands, 10);
    assert_int_equal(stats->commits, 10);
    assert_int_equal(stats->events, 12);
    assert_int_equal(stats->peers, 7);
    conversation_end_group(c);
}

/* ---- more than one page has room for ---- */

#define MANY 2500

static void create_many(struct conversation *c)
{
    for (uint32_t i = 0; i < MANY; i++) {
        char ref[REF_MAX_BYTES + 1];
        snprintf(ref, sizeof ref, "%0*u", REF_MAX_BYTES, (unsigned)(MANY - i));
        struct request request = build_request("CreateBatch - RED 1 -");
        request.as.create_batch.ref = text_of(ref);
        bus_handle(c->fakes->bus, &request, NULL);
        assert_int_equal(conversation_commit(c), STORE_OK);
        assert_int_equal(bus_reply(c->fakes->bus, 0)->outcome, OUTCOME_DONE);
        bus_publish(c->fakes->bus);
        bus_end_group(c->fakes->bus);
    }
}

static const struct reply *answer(struct conversation *c, const struct request *query)
{
    bus_handle(c->fakes->bus, query, NULL);
    assert_int_equal(conversation_commit(c), STORE_OK);
    return bus_reply(c->fakes->bus, 0);
}

static void get_stock_tells_the_first_thousand_batches(void **state)
{
    struct conversation *c = *state;
    create_many(c);
    struct request query = build_request("GetStock RED");
    const struct stock_view *stock = &answer(c, &query)->as.stock;
    assert_int_equal(stock->available, MANY);
    assert_int_equal(stock->exhausted, 0);
    assert_int_equal(stock->batch_count, 1000);
    for (uint32_t i = 0; i < 1000; i++) { /* in their order of use: the oldest first */
        char ref[REF_MAX_BYTES + 1];
        snprintf(ref, sizeof ref, "%0*u", REF_MAX_BYTES, (unsigned)(MANY - i));
        assert_true(text_equal(stock->batches[i].ref, text_of(ref)));
    }
    conversation_end_group(c);
}

static void pages_of_batches_are_cut_and_go_on(void **state)
{
    struct conversation *c = *state;
    create_many(c);
    char after[REF_MAX_BYTES + 1] = "";
    struct request query = build_request("ListBatches RED limit=10000");
    uint32_t seen = 0;
    uint32_t pages = 0;
    for (bool more = true; more; pages++) {
        const struct batch_page *page = &answer(c, &query)->as.batches;
        for (size_t i = 0; i < page->count; i++) {
            char ref[REF_MAX_BYTES + 1];
            snprintf(ref, sizeof ref, "%0*u", REF_MAX_BYTES, (unsigned)++seen);
            assert_true(text_equal(page->rows[i].ref, text_of(ref)));
        }
        more = !text_is_none(page->next);
        if (more)
            snprintf(after, sizeof after, "%.*s", TEXT_ARG(page->next));
        query.as.list_batches.after = text_of(after);
        conversation_end_group(c);
        assert_true(pages < MANY);
    }
    assert_int_equal(seen, MANY);
    assert_true(pages > 1); /* they are more than PAGE_BYTES_MAX */
}

static void pages_of_events_are_cut_and_go_on(void **state)
{
    struct conversation *c = *state;
    create_many(c);
    struct request query = build_request("GetEvents limit=10000");
    uint64_t seen = 0;
    uint32_t pages = 0;
    for (bool more = true; more; pages++) {
        const struct event_page *page = &answer(c, &query)->as.events;
        assert_int_equal(page->head, MANY);
        for (size_t i = 0; i < page->count; i++)
            assert_int_equal(page->rows[i].seq, ++seen);
        more = page->next != 0;
        query.as.get_events.after = page->next;
        conversation_end_group(c);
        assert_true(pages < MANY);
    }
    assert_int_equal(seen, MANY);
    assert_true(pages > 1);
}

/* ---- time ---- */

/* The first of those that are asked for in one group, from a log of which nothing is wanted. */
static uint64_t next_of(struct conversation *c, size_t index)
{
    const struct reply *reply = bus_reply(c->fakes->bus, index);
    assert_int_equal(reply->outcome, OUTCOME_DONE);
    assert_int_equal(reply->as.events.count, 0);
    return reply->as.events.next;
}

static void pages_of_a_group_share_its_time(void **state)
{
    struct conversation *c = *state;
    const struct request query = build_request("GetEvents limit=1 types=BatchEtaChanged");
    create_many(c);
    c->fakes->clock.us_per_look = GROUP_QUERIES_US / 50;
    for (unsigned group = 0; group < 2; group++) { /* the second one has its own */
        assert_false(bus_long_queries_must_wait(c->fakes->bus));
        for (unsigned i = 0; i < 8; i++)
            bus_handle(c->fakes->bus, &query, NULL);
        assert_true(bus_long_queries_must_wait(c->fakes->bus));
        assert_int_equal(conversation_commit(c), STORE_OK);
        assert_int_equal(next_of(c, 0), 25 * PAGE_CLOCK_EVERY);
        assert_true(next_of(c, 1) < 14 * PAGE_CLOCK_EVERY);
        assert_true(next_of(c, 1) > 6 * PAGE_CLOCK_EVERY);
        for (unsigned i = 1; i < 8; i++)
            assert_true(next_of(c, i) <= next_of(c, i - 1));
        assert_int_equal(next_of(c, 7), PAGE_CLOCK_EVERY); /* each gets on */
        conversation_end_group(c);
    }
}

/* Or they would keep commands out of each group as long as there are some. */
static void pages_of_a_group_leave_room_for_commands(void **state)
{
    struct conversation *c = *state;
    const struct request query = build_request("GetEvents limit=10000 types=BatchCreated");
    create_many(c);
    c->fakes->clock.us_per_look = 0; /* so that none is cut by time */
    for (unsigned pages = 0; !bus_long_queries_must_wait(c->fakes->bus); pages++) {
        assert_true(pages < 100);
        bus_handle(c->fakes->bus, &query, NULL);
    }
    assert_false(bus_group_is_full(c->fakes->bus));
    assert_int_equal(conversation_commit(c), STORE_OK);
    conversation_end_group(c);
    assert_false(bus_long_queries_must_wait(c->fakes->bus));
}

static void pages_cut_by_time_go_on_to_the_end(void **state)
{
    struct conversation *c = *state;
    struct request query = build_request("GetEvents limit=10000 types=BatchCreated");
    uint64_t seen = 0;
    create_many(c);
    c->fakes->clock.us_per_look = 2 * GROUP_QUERIES_US;
    do {
        const struct event_page *page = &answer(c, &query)->as.events;
        assert_true(page->count <= PAGE_CLOCK_EVERY);
        for (size_t i = 0; i < page->count; i++)
            assert_int_equal(page->rows[i].seq, ++seen);
        query.as.get_events.after = page->next;
        conversation_end_group(c);
    } while (query.as.get_events.after != 0);
    assert_int_equal(seen, MANY);
}

#define CASE(name, start) cmocka_unit_test_setup_teardown(name, start, conversation_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(get_allocations, set_up),
        CASE(get_stock, set_up),
        CASE(list_batches, set_up),
        CASE(get_batch, set_up),
        CASE(list_products, set_up),
        CASE(get_events, set_up),
        CASE(an_empty_node, conversation_set_up),
        CASE(an_event_is_read_as_it_was_published, set_up),
        CASE(get_stats_has_the_figures_of_node_and_store, set_up),
        CASE(get_stock_tells_the_first_thousand_batches, conversation_set_up),
        CASE(pages_of_batches_are_cut_and_go_on, conversation_set_up),
        CASE(pages_of_events_are_cut_and_go_on, conversation_set_up),
        CASE(pages_of_a_group_share_its_time, conversation_set_up),
        CASE(pages_of_a_group_leave_room_for_commands, conversation_set_up),
        CASE(pages_cut_by_time_go_on_to_the_end, conversation_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
