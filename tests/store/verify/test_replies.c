/* allocd --verify: each contradiction between the remembered replies in the journal and its events
 * is found and named. */
#include "tests/support/build.h"
#include "tests/support/verified_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct event *event(struct verified *f, uint64_t seq)
{
    return &verified_event(f, seq)->event;
}

static struct entry_reply *reply(struct verified *f, uint64_t number)
{
    return &verified_reply(f, number)->reply;
}

/* ---- number 0 to 2 are of seq 1 to 3, 3 to 5 of 4 to 6, 6 of 12, 7 of 14, 8
 * of 15, 9 of 16; 10 and 11 did nothing at 16, and 12 is of 17 ---- */

static void cause(struct verified *f)
{
    event(f, 5)->cause = text_of("somebody");
}

static void no_cause(struct verified *f)
{
    event(f, 5)->cause = text_none();
}

static void reply_is_missing(struct verified *f)
{
    verified_take_out(f, verified_reply(f, 6));
}

/* In an entry of its own, as if it had been written in another group. */
static void reply_in_the_next_entry(struct verified *f)
{
    struct verified_item moved = *verified_reply(f, 11);
    verified_take_out(f, verified_reply(f, 11));
    f->entries[14].items[f->entries[14].count++] = moved;
    moved = *verified_reply(f, 8);
    verified_take_out(f, verified_reply(f, 8));
    verified_put_behind(f, verified_reply(f, 8), moved);
}

static void reply_before_its_event(struct verified *f)
{
    struct verified_item moved = *verified_event(f, 17);
    verified_take_out(f, verified_event(f, 17));
    verified_put_behind(f, verified_reply(f, 12), moved);
}

static void id_twice(struct verified *f)
{
    reply(f, 10)->id = text_of("i1");
}

static void no_id(struct verified *f)
{
    reply(f, 10)->id = text_of("");
}

static void id_that_is_no_name(struct verified *f)
{
    reply(f, 10)->id = text_of("i\n");
}

static void outcome(struct verified *f)
{
    reply(f, 3)->outcome = OUTCOME_UNKNOWN_BATCH;
}

static void not_remembered(struct verified *f)
{
    reply(f, 11)->outcome = OUTCOME_MALFORMED;
}

static void other_seq_of_reply(struct verified *f)
{
    reply(f, 3)->seq--;
}

static void later_seq_of_reply(struct verified *f)
{
    reply(f, 10)->seq++;
}

static void other_batch(struct verified *f)
{
    reply(f, 3)->batchref = text_of("b3");
}

static void no_batch(struct verified *f)
{
    reply(f, 3)->batchref = text_none();
}

static void a_batch_of_none(struct verified *f)
{
    reply(f, 0)->batchref = text_of("b1");
}

static void not_a_duplicate(struct verified *f)
{
    reply(f, 10)->duplicate = false;
}

static void a_duplicate(struct verified *f)
{
    reply(f, 3)->duplicate = true;
}

static void no_request(struct verified *f)
{
    reply(f, 3)->request = text_of("?");
}

static void request_of(struct verified *f, uint64_t number, const char *line)
{
    struct request request = build_request(line);
    struct text canonical;
    assert_true(codec_encode_request(f->codec, &request, &canonical));
    assert_true(arena_text(f->arena, canonical, &reply(f, number)->request));
}

static void a_query(struct verified *f)
{
    request_of(f, 11, "GetStock RED");
}

static void another_line(struct verified *f)
{
    request_of(f, 10, "Allocate o1 RED 9");
}

/* Each field of each request that has events. */
static void create_other_ref(struct verified *f)
{
    request_of(f, 0, "CreateBatch b7 RED 10 -");
}

static void create_other_sku(struct verified *f)
{
    request_of(f, 0, "CreateBatch b1 BLUE 10 -");
}

static void create_other_qty(struct verified *f)
{
    request_of(f, 0, "CreateBatch b1 RED 11 -");
}

static void create_other_eta(struct verified *f)
{
    request_of(f, 0, "CreateBatch b1 RED 10 2030-01-01");
}

static void allocate_other_order(struct verified *f)
{
    request_of(f, 3, "Allocate o7 RED 10");
}

static void allocate_other_sku(struct verified *f)
{
    request_of(f, 3, "Allocate o1 BLUE 10");
}

static void allocate_other_qty(struct verified *f)
{
    request_of(f, 3, "Allocate o1 RED 9");
}

static void change_other_ref(struct verified *f)
{
    request_of(f, 6, "ChangeBatchQuantity b1 4");
}

static void change_other_qty(struct verified *f)
{
    request_of(f, 6, "ChangeBatchQuantity b3 5");
}

static void refuse_other_qty(struct verified *f)
{
    request_of(f, 7, "Allocate o5 RED 98");
}

static void deallocate_other_order(struct verified *f)
{
    request_of(f, 8, "Deallocate o1 RED");
}

static void another_type(struct verified *f)
{
    request_of(f, 8, "ChangeBatchEta b2 2031-01-01");
}

static void what_replies_say(void **state)
{
    static const struct verified_change rows[] = {
        {"a cause without a reply", cause,
         "replies: seq 5: no reply is remembered for its cause somebody"},
        {"a reply without a cause", no_cause,
         "replies: id i5 was answered at seq 5, and no event says so"},
        {"a reply that is missing", reply_is_missing,
         "replies: seq 8: no reply is remembered for its cause i7"},
        {"in another entry", reply_in_the_next_entry,
         "replies: seq 15: no reply is remembered for its cause i9"},
        {"before its event", reply_before_its_event,
         "replies: seq 17: no reply is remembered for its cause i13"},
        {"an id twice", id_twice, "replies: the id i1 is remembered twice"},
        {"no id", no_id, "replies: number 10 has no valid id"},
        {"an id that is no name", id_that_is_no_name, "replies: number 10 has no valid id"},
        {"another outcome", outcome, "replies: seq 4 is not what id i4 asked for, or was answered"},
        {"not to be remembered", not_remembered,
         "replies: number 11: malformed is not to be remembered"},
        {"an earlier seq", other_seq_of_reply, "replies: id i4 has no event at seq 3"},
        {"of a seq", other_seq_of_reply, "replies: number 3 is of seq 3, at 4"},
        {"a later seq", later_seq_of_reply, "replies: number 10 is of seq 17, at 16"},
        {"another batch", other_batch,
         "replies: seq 4 is not what id i4 asked for, or was answered"},
        {"no batch", no_batch,
         "replies: number 3: a batch is named where none belongs, or none is"},
        {"a batch of none", a_batch_of_none,
         "replies: number 0: a batch is named where none belongs, or none is"},
        {"no duplicate", not_a_duplicate,
         "replies: id i11 was answered at seq 16, and no event says so"},
        {"a duplicate", a_duplicate, "replies: seq 4 is not what id i4 asked for"},
        {"no request", no_request, "replies: number 3: the request cannot be read"},
        {"a query", a_query, "replies: number 11: the request cannot be read"},
        {"another line", another_line,
         "replies: id i11 was answered at seq 16, and no event says so"},
    };
    verified_expect_each(state, rows, sizeof rows / sizeof *rows);
}

static void what_was_asked_for(void **state)
{
    static const struct verified_change rows[] = {
        {"ref", create_other_ref, "replies: seq 1 is not what id i1 asked for"},
        {"sku", create_other_sku, "replies: seq 1 is not what id i1 asked for"},
        {"qty", create_other_qty, "replies: seq 1 is not what id i1 asked for"},
        {"eta", create_other_eta, "replies: seq 1 is not what id i1 asked for"},
        {"order", allocate_other_order, "replies: seq 4 is not what id i4 asked for"},
        {"sku", allocate_other_sku, "replies: seq 4 is not what id i4 asked for"},
        {"qty", allocate_other_qty, "replies: seq 4 is not what id i4 asked for"},
        {"ref", change_other_ref, "replies: seq 8 is not what id i7 asked for"},
        {"qty", change_other_qty, "replies: seq 8 is not what id i7 asked for"},
        {"refused", refuse_other_qty, "replies: seq 14 is not what id i8 asked for"},
        {"order", deallocate_other_order, "replies: seq 15 is not what id i9 asked for"},
        {"type", another_type, "replies: seq 15 is not what id i9 asked for"},
    };
    verified_expect_each(state, rows, sizeof rows / sizeof *rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, verified_set_up, verified_tear_down)
        TEST(what_replies_say),
        TEST(what_was_asked_for),
    };
    return cmocka_run_group_tests_name("verify_replies", tests, NULL, NULL);
}
