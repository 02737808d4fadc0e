/* allocd --verify: each contradiction within the journal and between its events is found and named.
 * The entries have checksums that are right, so that nothing but what they say is wrong. What is
 * about remembered replies is in test_replies.c. */
#include "store/verify/inside.h"
#include "tests/support/memory_journal.h"
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

/* What the others rest on. */
static void a_journal_that_was_written_anew_is_whole(void **state)
{
    struct verified *f = *state;
    verified_read_journal(f);
    assert_int_equal(f->entry_count, 15);
    verified_write_journal(f);
    verified_expect_whole(f);
    verified_start_does_no_harm(f);
    verified_expect(f, "cannot open"); /* its tables were taken away */
}

/* ---- what is in an entry, and what the log gives to an event ---- */

static void prev(struct verified *f)
{
    event(f, 5)->prev--;
}

static void time_goes_back(struct verified *f)
{
    event(f, 8)->time_ms--;
}

static void other_seq(struct verified *f)
{
    event(f, 5)->seq++;
}

static void version(struct verified *f)
{
    event(f, 5)->version++;
}

static void no_event(struct verified *f)
{
    verified_event(f, 5)->bytes = (struct text){"\x01\x04\x00"
                                                "abc",
                                                6};
}

static void no_item(struct verified *f)
{
    verified_reply(f, 2)->bytes = (struct text){"\x03\x01\x00", 3};
}

static void cut_item(struct verified *f)
{
    verified_reply(f, 12)->bytes = (struct text){"\x02\x30\x00", 3};
}

static void an_event_less(struct verified *f)
{
    f->entries[14].events_too_many = 1;
}

static void an_event_more(struct verified *f)
{
    verified_event(f, 17)->kind =
        ENTRY_REPLY; /* it is not counted, and stands there all the same */
    struct text body;
    struct entry_bytes bytes = {.data = NULL};
    assert_true(codec_encode_event(f->codec, event(f, 16), &body));
    assert_true(entry_add_event(&bytes, &(struct entry_event){0, body}));
    assert_true(arena_text(f->arena, entry_text(&bytes), &f->entries[14].items[0].bytes));
    entry_release(&bytes);
}

static void what_an_entry_says(void **state)
{
    static const struct verified_change rows[] = {
        {"prev", prev, "events: seq 5: the event of its type before it is 4, not 3"},
        {"time", time_goes_back, "events: seq 8: time goes back"},
        {"seq", other_seq, "events: the event of seq 5 cannot be read"},
        {"version", version, "events: seq 5: version 5 of RED follows 3"},
        {"no event", no_event, "events: the event of seq 5 cannot be read"},
        {"no item", no_item, "events: entry 3 cannot be read to its end"},
        {"an item that is cut", cut_item, "events: entry 15 cannot be read to its end"},
        {"an event less than it says", an_event_less, "events: entry 15 cannot be read to its end"},
        {"an event more than it says", an_event_more, "events: the event of seq 17 cannot be read"},
    };
    verified_expect_each(state, rows, sizeof rows / sizeof *rows);
}

/* ---- what events say. Seq 1 to 3 create batches, 4 to 7 are o1 to o4, 8 shrinks b3, 9 and 10 take
 * o4 and o3 out of it, 11 has o3 wait, and 12 puts o4 back; 13 changes the ETA of b2, 14 refuses
 * o5, 15 takes o2 back and 16 allocates it anew, and 17 creates b4 ---- */

static void other_ref(struct verified *f)
{
    event(f, 3)->as.batch_created.ref = text_of("b1");
}

static void other_sku(struct verified *f)
{
    event(f, 4)->sku = text_of("BLACK");
}

static void unknown_batch(struct verified *f)
{
    event(f, 4)->as.allocated.batchref = text_of("b9");
}

static void batch_of_another_product(struct verified *f)
{
    event(f, 13)->as.batch_eta_changed.ref = text_of("b3");
}

static void too_many(struct verified *f)
{
    event(f, 6)->as.allocated.qty += 100;
}

static void line_did_not_wait(struct verified *f)
{
    event(f, 5)->line_seq++;
}

static void line_was_there(struct verified *f)
{
    event(f, 5)->as.allocated.orderid = text_of("o1");
}

static void waits_twice(struct verified *f)
{
    event(f, 11)->as.out_of_stock.orderid = text_of("o4");
}

static void same_qty(struct verified *f)
{
    event(f, 8)->as.batch_quantity_changed.qty = 8;
}

static void same_eta(struct verified *f)
{
    event(f, 13)->as.batch_eta_changed.eta = event(f, 2)->as.batch_created.eta;
}

static void gone_since_another_seq(struct verified *f)
{
    event(f, 9)->line_seq++;
}

static void gone_from_another_batch(struct verified *f)
{
    event(f, 15)->as.deallocated.batchref = text_of("b1");
}

static void gone_though_it_waits(struct verified *f)
{
    event(f, 15)->as.deallocated.batchref = text_none();
}

static void gone_and_never_there(struct verified *f)
{
    event(f, 15)->as.deallocated.orderid = text_of("o7");
}

/* A command that takes a line of the batch that now holds too much comes in between. */
static void not_the_newest(struct verified *f)
{
    struct event older = *event(f, 10);
    *event(f, 10) = *event(f, 9);
    event(f, 10)->seq = older.seq;
    event(f, 10)->prev = older.prev;
    event(f, 10)->version = older.version;
    older.seq = event(f, 9)->seq;
    older.prev = event(f, 9)->prev;
    older.version = event(f, 9)->version;
    *event(f, 9) = older;
}

/* Nobody takes lines out of b3: the rest of the entry goes, and what comes behind it. */
static void nothing_left_the_batch(struct verified *f)
{
    for (unsigned i = 0; i < 4; i++)
        verified_take_out(f, verified_event(f, 9));
    f->entry_count = 8;
}

/* The last two events of the command are missing. */
static void lines_went_nowhere(struct verified *f)
{
    verified_take_out(f, verified_event(f, 12));
    verified_take_out(f, verified_event(f, 11));
    f->entry_count = 8;
}

static void refused_instead_of_waiting(struct verified *f)
{
    event(f, 11)->as.out_of_stock.waiting = false;
}

static void moved_another_quantity(struct verified *f)
{
    event(f, 12)->as.allocated.qty = 1;
}

static void moved_in_another_order(struct verified *f)
{
    struct event twelfth = *event(f, 12);
    struct event eleventh = *event(f, 11);
    *event(f, 11) = twelfth;
    *event(f, 12) = eleventh;
    event(f, 11)->seq = 11;
    event(f, 11)->version = eleventh.version;
    event(f, 12)->seq = 12;
    event(f, 12)->version = twelfth.version;
}

static void refused_though_it_is_there(struct verified *f)
{
    event(f, 14)->as.out_of_stock.orderid = text_of("o1");
}

static void line_of_before(struct verified *f)
{
    verified_event(f, 13)->event.line_seq = 7;
}

static void what_events_say(void **state)
{
    static const struct verified_change rows[] = {
        {"a ref twice", other_ref, "events: seq 3: the batch b1 is there already"},
        {"no product", other_sku, "events: seq 4: there is no product BLACK"},
        {"no batch", unknown_batch, "events: seq 4: RED has no batch b9"},
        {"another's batch", batch_of_another_product, "events: seq 13: RED has no batch b3"},
        {"too many", too_many, "events: seq 6: batch b3 has not so much available"},
        {"did not wait", line_did_not_wait, "events: seq 5: no line o2/RED of 5 waits since seq 1"},
        {"was there", line_was_there,
         "events: seq 5: the line o1/RED is there already, since seq 4"},
        {"waits twice", waits_twice, "events: after seq 10: the line o3/BLUE lost its stock"},
        {"the same quantity", same_qty, "events: seq 8 changes nothing"},
        {"the same ETA", same_eta, "events: seq 13 changes nothing"},
        {"of another seq", gone_since_another_seq, "events: seq 9: there is no such line of o4"},
        {"of another batch", gone_from_another_batch,
         "events: seq 15: there is no such line of o2"},
        {"that waits", gone_though_it_waits, "events: seq 15: there is no such line of o2"},
        {"never there", gone_and_never_there, "events: seq 15: there is no such line of o7"},
        {"not the newest", not_the_newest,
         "events: seq 9: o3/BLUE is not the newest allocation of batch b3"},
        {"left there", nothing_left_the_batch,
         "events: after seq 8: batch b3 holds more than it has"},
        {"nowhere", lines_went_nowhere,
         "events: after seq 10: the line o3/BLUE lost its stock and went nowhere"},
        {"does not wait", refused_instead_of_waiting,
         "events: after seq 10: the line o3/BLUE lost its stock and went nowhere"},
        {"another quantity", moved_another_quantity,
         "events: after seq 11: the line o4/BLUE lost its stock and went nowhere"},
        {"another order", moved_in_another_order,
         "events: after seq 10: the line o3/BLUE lost its stock and went nowhere"},
        {"it is there", refused_though_it_is_there, "events: seq 14: o1 has that line"},
        {"a line of before", line_of_before,
         "events: seq 13 has a line of before, which its type has not"},
    };
    verified_expect_each(state, rows, sizeof rows / sizeof *rows);
}

/* ---- between the journal and the tables ---- */

/* The journal ends before its tables do. */
static void a_journal_without_its_end(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    verified_read_journal(f);
    f->entry_count--;
    verified_write_journal(f);
    verified_expect(f, "pages: the tables in ");
    assert_non_null(strstr(f->report, "do not follow from its journal"));
    assert_false(sample_open(&sample, f->directory, UINT64_MAX));
    assert_non_null(strstr(sample.error, "its journal has lost what its tables have"));
    sample_close(&sample);
}

/* Another store's. */
static void tables_of_another_journal(void **state)
{
    struct verified *f = *state;
    struct sample sample;
    verified_read_journal(f);
    verified_begin(f);
    struct meta meta = verified_get_meta(f);
    meta.journal++;
    verified_put_meta(f, meta);
    verified_commit(f);
    verified_expect(f, "do not follow from its journal");
    assert_non_null(strstr(f->report, "events: 15 entries, seq 1..17: ok\n"));
    assert_true(sample_open(&sample, f->directory, UINT64_MAX));
    assert_non_null(lmdb_store_why_rebuilt(sample.store));
    sample_close(&sample);
    verified_expect_whole(f);
}

/* Events behind the counters that cannot follow from the tables. */
static void tables_that_an_event_cannot_follow(void **state)
{
    struct verified *f = *state;
    verified_read_journal(f);
    struct verified_item again = *verified_event(f, 17); /* b4 is created once more */
    again.event.seq = 18;
    again.event.prev = 17;
    again.event.version = 2;
    again.event.cause = text_none();
    f->entries[f->entry_count].items[0] = again;
    f->entries[f->entry_count++].count = 1;
    verified_write_journal(f);
    verified_expect(f, "events: seq 18: the batch b4 is there already");
    verified_expect(f, "do not follow from its journal");
    verified_start_does_no_harm(f);
}

/* ---- a journal that is read as it should not be ---- */

static enum store_result read_nothing(struct journal_cursor *cursor, struct journal_entry *out)
{
    (void)cursor;
    (void)out;
    return STORE_DAMAGED;
}

static enum store_result read_without_memory(struct journal_cursor *cursor,
                                             struct journal_entry *out)
{
    (void)cursor;
    (void)out;
    return STORE_FAILED;
}

/* What is said of a journal with one entry of no items, which is not numbered as it should be or
 * cannot be read. */
static void expect_of_journal(const struct journal_entry *entry,
                              enum store_result (*read)(struct journal_cursor *,
                                                        struct journal_entry *),
                              const char *finding)
{
    struct journal *journal = memory_journal_new();
    const struct journal_ops *usual = journal->ops;
    struct journal_ops ops = *usual;
    struct lmdb_store store = {.journal = journal, .codec = codec_new()};
    char *report = NULL;
    size_t len;
    struct verify v = {.out = open_memstream(&report, &len),
                       .store = &store,
                       .log_check = {"events", 0},
                       .reply_check = {"replies", 0}};
    assert_true(v.out != NULL && store.codec != NULL);
    assert_int_equal(ops.submit(journal, entry, true), STORE_OK); /* the port would not take it */
    if (read != NULL)
        ops.read_next = read;
    journal->ops = &ops;
    verify_log(&v);
    fclose(v.out);
    if (finding != NULL && strstr(report, finding) == NULL)
        fail_msg("it does not say \"%s\": %s", finding, report);
    assert_int_equal(v.findings, finding != NULL);
    assert_int_equal(v.no_memory, finding == NULL);
    free(report);
    codec_destroy(&store.codec);
    journal->ops = usual;
    memory_journal_destroy(&journal);
}

static void a_journal_that_cannot_be_followed(void **state)
{
    const struct journal_entry first = {.number = 1, .first_seq = 1, .body = text_of("")};
    const struct journal_entry gap = {.number = 1, .first_seq = 2, .body = text_of("")};
    const struct journal_entry other = {.number = 2, .first_seq = 1, .body = text_of("")};
    (void)state;
    expect_of_journal(&gap, NULL, "events: entry 1 from seq 2 follows 0 up to seq 0");
    expect_of_journal(&other, NULL, "events: entry 2 from seq 1 follows 0 up to seq 0");
    expect_of_journal(&first, read_nothing, "events: it cannot be read behind seq 0");
    expect_of_journal(&first, read_without_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, verified_set_up, verified_tear_down)
        TEST(a_journal_that_was_written_anew_is_whole),
        TEST(what_an_entry_says),
        TEST(what_events_say),
        TEST(a_journal_without_its_end),
        TEST(tables_of_another_journal),
        TEST(tables_that_an_event_cannot_follow),
        cmocka_unit_test(a_journal_that_cannot_be_followed),
    };
    return cmocka_run_group_tests_name("verify_log", tests, NULL, NULL);
}
