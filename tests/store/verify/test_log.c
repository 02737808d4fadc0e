/* allocd --verify: each contradiction within the log, and between it and the remembered replies,
 * with seals that are right, is found and named. */
#include "tests/support/verified_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Lets a change be made to one event. */
static void change_event(struct verified *f, uint64_t seq,
                         void (*change)(struct event *, struct logged_event *))
{
    struct logged_event logged;
    struct event event;
    struct record record;
    verified_begin(f);
    assert_true(record_get_event(seq, verified_get(f, "events", verified_number(&seq)), &logged));
    assert_true(codec_decode_event(f->codec, logged.body, &event));
    change(&event, &logged);
    assert_true(codec_encode_event(f->codec, &event, &logged.body));
    assert_true(record_put_event(&record, seq, &logged));
    verified_put(f, "events", verified_number(&seq), &record);
    verified_commit(f);
}

/* Lets a change be made to one remembered reply. */
static void change_reply(struct verified *f, uint64_t number, void (*change)(struct remembered *))
{
    struct remembered reply;
    struct record record;
    verified_begin(f);
    assert_true(record_get_remembered(
        number, verified_get(f, "remembered", verified_number(&number)), &reply));
    change(&reply);
    record_put_remembered(&record, number, &reply);
    verified_put(f, "remembered", verified_number(&number), &record);
    verified_commit(f);
}

/* ---- the log ---- */

static void change_prev(struct event *event, struct logged_event *logged)
{
    (void)logged;
    event->prev--;
}

static void change_time(struct event *event, struct logged_event *logged)
{
    (void)logged;
    event->time_ms--;
}

static void change_version(struct event *event, struct logged_event *logged)
{
    (void)logged;
    event->version++;
}

static void change_older(struct event *event, struct logged_event *logged)
{
    (void)event;
    logged->older_seq++;
}

static void change_line_seq(struct event *event, struct logged_event *logged)
{
    (void)event;
    logged->line_seq++;
}

static void change_type(struct event *event, struct logged_event *logged)
{
    (void)event;
    logged->type = MESSAGE_DEALLOCATED;
}

static void change_seq(struct event *event, struct logged_event *logged)
{
    (void)logged;
    event->seq++;
}

static void change_qty(struct event *event, struct logged_event *logged)
{
    (void)logged;
    event->as.allocated.qty += 100;
}

static void change_cause(struct event *event, struct logged_event *logged)
{
    (void)logged;
    event->cause = text_of("somebody");
}

static void change_waiting(struct event *event, struct logged_event *logged)
{
    (void)logged;
    event->as.out_of_stock.waiting = !event->as.out_of_stock.waiting;
}

static void change_ref(struct event *event, struct logged_event *logged)
{
    (void)logged;
    event->as.batch_created.ref = text_of("b1");
}

static void change_sku(struct event *event, struct logged_event *logged)
{
    (void)logged;
    event->sku = text_of("BLACK");
}

/* Seq 1 to 3 create batches, 4 to 7 are o1 to o4, 8 shrinks b3, 9 and 10 take o4 and o3 out of it,
 * and 11 has o3 wait. */
static void contradictions_in_the_log(void **state)
{
    static const struct {
        uint64_t seq;
        void (*change)(struct event *, struct logged_event *);
        const char *finding;
    } changes[] = {
        {5, change_prev, "events: seq 5: the event of its type before it is 4, not 3"},
        {8, change_time, "events: seq 8: time goes back"},
        {5, change_version, "events: seq 5: version 5 of RED follows 3"},
        {5, change_older, "events: seq 5 is chained to 1, not to 0"},
        {5, change_line_seq, "events: seq 5: no line o2/RED of 5 waits since seq 1"},
        {5, change_type, "events: the record of seq 5 is damaged"},
        {5, change_seq, "events: the record of seq 5 is damaged"},
        {6, change_qty, "events: seq 6: batch b3 has not so much available"},
        {5, change_cause, "replies: seq 5: no reply is remembered for its cause somebody"},
        {9, change_line_seq, "events: seq 9: there is no such line of o4"},
        {3, change_ref, "events: seq 3: the batch b1 is there already"},
        {4, change_sku, "events: seq 4: there is no product BLACK"},
        {11, change_waiting, "went nowhere"},
    };
    struct verified *f = *state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        change_event(f, changes[i].seq, changes[i].change);
        verified_expect(f, changes[i].finding);
        void *fresh;
        verified_tear_down(state);
        verified_set_up(&fresh);
        *state = f = fresh;
    }
}

static void a_gap_in_the_log(void **state)
{
    struct verified *f = *state;
    uint64_t seq = 7;
    verified_begin(f);
    verified_drop(f, "events", verified_number(&seq));
    verified_commit(f);
    verified_expect(f, "events: seq 8 follows 6");
}

static void a_log_without_its_end(void **state)
{
    struct verified *f = *state;
    uint64_t seq = 17;
    verified_begin(f);
    verified_drop(f, "events", verified_number(&seq));
    verified_commit(f);
    verified_expect(f, "counters: the newest event is 16, not 17");
    verified_expect(f, "products: GREEN is not what the log says");
    verified_expect(f, "replies: id i13 was answered at seq 17, and no event says so");
}

/* ---- remembered replies ---- */

static void change_id(struct remembered *reply)
{
    reply->id = text_of("i1");
}

static void change_outcome(struct remembered *reply)
{
    reply->outcome = OUTCOME_UNKNOWN_BATCH;
}

static void change_reply_seq(struct remembered *reply)
{
    reply->seq--;
}

static void change_reply_batch(struct remembered *reply)
{
    reply->batchref = text_of("b3");
}

static void change_duplicate(struct remembered *reply)
{
    reply->duplicate = false;
}

static void change_request(struct remembered *reply)
{
    reply->request = text_of("?");
}

static void change_to_unremembered(struct remembered *reply)
{
    reply->outcome = OUTCOME_MALFORMED;
}

static void contradictions_in_the_replies(void **state)
{
    static const struct {
        uint64_t number;
        void (*change)(struct remembered *);
        const char *finding;
    } changes[] = {
        {4, change_id, "replies: the id i1 is remembered twice"},
        {3, change_outcome, "replies: seq 4 is not what id i4 asked for, or was answered"},
        {3, change_reply_seq, "replies: seq 4: no reply is remembered for its cause i4"},
        {3, change_reply_batch, "replies: seq 4 is not what id i4 asked for, or was answered"},
        {10, change_duplicate, "replies: id i11 was answered at seq"},
        {3, change_request, "replies: number 3: the request cannot be read"},
        {11, change_to_unremembered, "replies: number 11: malformed is not to be remembered"},
    };
    struct verified *f = *state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        change_reply(f, changes[i].number, changes[i].change);
        verified_expect(f, changes[i].finding);
        void *fresh;
        verified_tear_down(state);
        verified_set_up(&fresh);
        *state = f = fresh;
    }
}

static void a_reply_that_is_missing(void **state)
{
    struct verified *f = *state;
    uint64_t number = 6;
    verified_begin(f);
    verified_drop(f, "remembered", verified_number(&number));
    verified_commit(f);
    verified_expect(f, "replies: number 6 is damaged or missing");
}

/* One whose event is there, as if it had been stored in another transaction that was lost. */
static void a_reply_that_was_not_stored(void **state)
{
    struct verified *f = *state;
    uint64_t number = 12;
    verified_begin(f);
    verified_drop(f, "remembered", verified_number(&number));
    struct meta meta = verified_get_meta(f);
    meta.ids_next = number;
    verified_put_meta(f, meta);
    verified_commit_unstamped(f);
    verified_expect(f, "replies: seq 17: no reply is remembered for its cause i13");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, verified_set_up, verified_tear_down)
        TEST(contradictions_in_the_log), TEST(a_gap_in_the_log),
        TEST(a_log_without_its_end),     TEST(contradictions_in_the_replies),
        TEST(a_reply_that_is_missing),   TEST(a_reply_that_was_not_stored),
    };
    return cmocka_run_group_tests_name("verify_log", tests, NULL, NULL);
}
