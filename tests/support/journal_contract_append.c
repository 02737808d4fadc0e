/* The contract of a journal: submitting, completions, refusals. */
#include "tests/support/journal_contract_inside.h"

#include <poll.h>
#include <stdlib.h>

static bool is_readable(const struct journal *journal)
{
    struct pollfd events = {.fd = journal_fd(journal), .events = POLLIN};
    return poll(&events, 1, 0) == 1;
}

static void wait_readable(const struct journal *journal)
{
    struct pollfd events = {.fd = journal_fd(journal), .events = POLLIN};
    assert_int_equal(poll(&events, 1, 20000), 1);
}

static void expect_done(struct journal *journal, uint64_t number, enum store_result result)
{
    uint64_t told = 0;
    enum store_result became = STORE_OTHER;
    assert_true(journal_done(journal, &told, &became));
    assert_int_equal(told, number);
    assert_int_equal(became, result);
}

static void expect_not_done(struct journal *journal)
{
    uint64_t told = 77;
    enum store_result became = STORE_OTHER;
    assert_false(journal_done(journal, &told, &became));
    assert_int_equal(told, 77);
    assert_int_equal(became, STORE_OTHER);
}

void an_empty_journal_has_nothing(void **state)
{
    struct journal_contract *c = *state;
    struct journal *journal = c->bench.journal;
    for (unsigned turn = 0; turn < 2; turn++) {
        assert_int_equal(journal_newest(journal), 0);
        assert_int_equal(journal_durable(journal), 0);
        assert_int_equal(journal_durable_seq(journal), 0);
        assert_int_equal(journal_next_seq(journal), 1);
        expect_not_done(journal);
        journal_wait(journal);
        assert_false(is_readable(journal));
        for (uint64_t value = 0; value < 3; value++) {
            journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, value, 0);
            journal_bench_find(&c->bench, JOURNAL_BY_SEQ, value, 0);
        }
        assert_true(journal_has_room(journal, 1000));
        contract_reopen_journal(c);
        journal = c->bench.journal;
    }
}

void entries_are_done_in_their_order(void **state)
{
    struct journal_contract *c = *state;
    struct journal *journal = c->bench.journal;
    for (uint32_t i = 0; i < 200; i++)
        journal_bench_submit(&c->bench, i % 4, i, false);
    assert_int_equal(journal_newest(journal), 200);
    assert_int_equal(journal_next_seq(journal), 301);
    journal_wait(journal);
    for (uint64_t number = 1; number <= 200; number++) {
        assert_int_equal(journal_durable(journal), number - 1);
        expect_done(journal, number, STORE_OK);
    }
    expect_not_done(journal);
    assert_int_equal(journal_durable_seq(journal), 300);
    journal_bench_check(&c->bench);
}

void an_entry_written_here_is_done_at_once(void **state)
{
    struct journal_contract *c = *state;
    uint64_t before = journal_bytes(c->bench.journal);
    for (uint32_t i = 0; i < 20; i++) {
        journal_bench_append(&c->bench, 1, 160);
        assert_false(is_readable(c->bench.journal));
    }
    assert_true(journal_bytes(c->bench.journal) >= before);
    assert_true(journal_bytes(c->bench.journal) >= 20 * (uint64_t)160);
    journal_bench_submit(&c->bench, 1, 10, true); /* and one behind one that was not taken */
    journal_bench_submit(&c->bench, 1, 10, true);
    expect_done(c->bench.journal, 21, STORE_OK);
    expect_done(c->bench.journal, 22, STORE_OK);
    journal_bench_check(&c->bench);
}

void here_goes_behind_what_is_under_way(void **state)
{
    struct journal_contract *c = *state;
    c->factory->hold(c->handle);
    journal_bench_submit(&c->bench, 1, 100, false);
    journal_bench_submit(&c->bench, 1, 100, true);
    expect_not_done(c->bench.journal);
    c->factory->release(c->handle);
    journal_bench_finish(&c->bench);
    journal_bench_append(&c->bench, 1, 100);
    journal_bench_check(&c->bench);
}

void the_descriptor_tells_of_completions(void **state)
{
    struct journal_contract *c = *state;
    struct journal *journal = c->bench.journal;
    for (uint64_t number = 1; number <= 30; number += 3) {
        assert_false(is_readable(journal));
        for (unsigned i = 0; i < 3; i++)
            journal_bench_submit(&c->bench, 1, 50, false);
        journal_wait(journal);
        for (unsigned i = 0; i < 3; i++) {
            wait_readable(journal);
            expect_done(journal, number + i, STORE_OK);
        }
    }
    assert_false(is_readable(journal));
}

void a_refusal_takes_all_behind_it(void **state)
{
    struct journal_contract *c = *state;
    struct journal *journal = c->bench.journal;
    journal_bench_append(&c->bench, 2, 100);
    c->factory->hold(c->handle);
    c->factory->fail_at(c->handle, 3, STORE_FULL);
    for (unsigned i = 0; i < 5; i++)
        journal_bench_submit(&c->bench, 3, 700 + i, false);
    c->factory->release(c->handle);
    journal_wait(journal);
    expect_done(journal, 2, STORE_OK);
    expect_done(journal, 3, STORE_OK);
    expect_done(journal, 4, STORE_FULL);
    expect_done(journal, 5, STORE_FULL);
    assert_int_equal(journal_newest(journal), 6);
    expect_done(journal, 6, STORE_FULL);
    expect_not_done(journal);
    assert_false(is_readable(journal));
    assert_int_equal(journal_newest(journal), 3);
    assert_int_equal(journal_next_seq(journal), 9);
    journal_bench_forget(&c->bench, 3);
    journal_bench_check(&c->bench);
    journal_bench_append(&c->bench, 1, 50);
    journal_bench_submit(&c->bench, 1, 3000, false);
    journal_bench_finish(&c->bench);
    journal_bench_check(&c->bench);
    contract_reopen_journal(c);
    assert_int_equal(journal_durable(c->bench.journal), 5);
    journal_bench_check(&c->bench);
}

void a_refusal_here_leaves_nothing(void **state)
{
    struct journal_contract *c = *state;
    for (unsigned i = 0; i < 3; i++) {
        journal_bench_append(&c->bench, 1, 300);
        c->factory->fail_at(c->handle, 1, STORE_FULL);
        struct journal_entry entry = journal_bench_make(&c->bench, 2, 200);
        assert_int_equal(journal_submit(c->bench.journal, &entry, true), STORE_FULL);
        expect_not_done(c->bench.journal);
        assert_int_equal(journal_newest(c->bench.journal), c->bench.count);
        journal_bench_forget(&c->bench, c->bench.count);
        journal_bench_check(&c->bench);
        if (i == 1)
            contract_reopen_journal(c);
        journal_bench_check(&c->bench);
    }
    journal_bench_append(&c->bench, 1, 100);
    contract_reopen_journal(c);
    journal_bench_check(&c->bench);
}

void refusals_are_told_before_more_is_taken(void **state)
{
    struct journal_contract *c = *state;
    struct journal *journal = c->bench.journal;
    c->factory->hold(c->handle);
    c->factory->fail_at(c->handle, 1, STORE_FULL);
    journal_bench_submit(&c->bench, 1, 100, false);
    journal_bench_submit(&c->bench, 1, 100, false);
    c->factory->release(c->handle);
    journal_wait(journal);
    struct journal_entry entry = journal_bench_make(&c->bench, 1, 100);
    assert_int_equal(journal_submit(journal, &entry, false), STORE_FULL);
    assert_int_equal(journal_submit(journal, &entry, true), STORE_FULL);
    expect_done(journal, 1, STORE_FULL);
    journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, 1, 0);
    assert_int_equal(journal_submit(journal, &entry, true), STORE_FULL);
    expect_done(journal, 2, STORE_FULL);
    journal_bench_forget(&c->bench, 0);
    journal_bench_append(&c->bench, 1, 100);
    journal_bench_check(&c->bench);
}

void a_broken_journal_takes_nothing_more(void **state)
{
    struct journal_contract *c = *state;
    struct journal *journal = c->bench.journal;
    journal_bench_append(&c->bench, 1, 100);
    c->factory->hold(c->handle);
    c->factory->fail_at(c->handle, 2, STORE_BROKEN);
    for (unsigned i = 0; i < 3; i++)
        journal_bench_submit(&c->bench, 1, 100, false);
    c->factory->release(c->handle);
    journal_wait(journal);
    expect_done(journal, 2, STORE_OK);
    expect_done(journal, 3, STORE_BROKEN);
    struct journal_entry entry = journal_bench_make(&c->bench, 1, 100);
    assert_int_equal(journal_submit(journal, &entry, true), STORE_BROKEN);
    expect_done(journal, 4, STORE_BROKEN);
    expect_not_done(journal);
    assert_int_equal(journal_submit(journal, &entry, false), STORE_BROKEN);
    contract_reopen_journal(c); /* the entry that broke may be there, and those behind it are not */
    assert_in_range(journal_durable(c->bench.journal), 2, 3);
    journal_bench_forget(&c->bench, journal_durable(c->bench.journal));
    journal_bench_check(&c->bench);
    journal_bench_append(&c->bench, 1, 100);
    journal_bench_check(&c->bench);
}

void without_room_nothing_is_under_way(void **state)
{
    struct journal_contract *c = *state;
    struct journal *journal = c->bench.journal;
    journal_bench_append(&c->bench, 1, 100);
    c->factory->set_full(c->handle, true);
    assert_false(journal_has_room(journal, 2000000));
    struct journal_entry entry = journal_bench_make(&c->bench, 2, 2000000);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(journal_submit(journal, &entry, i % 2 == 0), STORE_FULL);
        expect_not_done(journal);
        assert_int_equal(journal_newest(journal), 1);
    }
    journal_bench_append(&c->bench, 1, 100); /* a small one still finds a place */
    c->factory->set_full(c->handle, false);
    journal_bench_append(&c->bench, 2, 2000000);
    journal_bench_check(&c->bench);
}

void all_is_there_after_a_reopen_of_the_journal(void **state)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 160, 4000, 100000};
    struct journal_contract *c = *state;
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        journal_bench_append(&c->bench, i % 3, sizes[i]);
        contract_reopen_journal(c);
        assert_int_equal(journal_newest(c->bench.journal), i + 1);
        assert_int_equal(journal_durable(c->bench.journal), i + 1);
        const struct journal_entry *last = &c->bench.entries[i];
        assert_int_equal(journal_next_seq(c->bench.journal), last->first_seq + last->events);
        expect_not_done(c->bench.journal);
        journal_bench_check(&c->bench);
    }
}

static size_t random_size(uint64_t *dice)
{
    static const size_t most[] = {30, 300, 3000, 30000, 90000};
    return journal_bench_dice(dice, most[journal_bench_dice(dice, 5)]);
}

/* Takes all completions; those behind the first that was refused are forgotten. */
static void take_all(struct journal_contract *c)
{
    uint64_t number;
    enum store_result result;
    bool is_refused = false;
    journal_wait(c->bench.journal);
    while (journal_done(c->bench.journal, &number, &result)) {
        assert_true(result == STORE_OK ? !is_refused : result == STORE_FULL);
        is_refused = result == STORE_FULL;
    }
    if (is_refused)
        journal_bench_forget(&c->bench, journal_durable(c->bench.journal));
    assert_int_equal(journal_newest(c->bench.journal), c->bench.count);
}

/* Some entries, one of which is refused now and then: then those behind it may be too. */
static void submit_some(struct journal_contract *c, uint64_t *dice)
{
    uint64_t count = 1 + journal_bench_dice(dice, 12);
    if (journal_bench_dice(dice, 4) == 0)
        c->factory->fail_at(c->handle, 1 + journal_bench_dice(dice, count), STORE_FULL);
    for (uint64_t i = 0; i < count; i++) {
        struct journal_entry entry =
            journal_bench_make(&c->bench, (uint32_t)journal_bench_dice(dice, 4), random_size(dice));
        enum store_result result = journal_submit(c->bench.journal, &entry, i % 3 == 2);
        if (result == STORE_FULL)
            break;
        assert_int_equal(result, STORE_OK);
        journal_bench_add(&c->bench, &entry);
    }
    take_all(c);
    c->factory->fail_at(c->handle, 0, STORE_FULL);
}

void random_entries_come_back_as_they_were(void **state)
{
    struct journal_contract *c = *state;
    uint64_t dice = 42;
    for (unsigned round = 0; round < 60; round++) {
        submit_some(c, &dice);
        for (uint64_t i = journal_bench_dice(&dice, 4); i > 0; i--)
            journal_bench_append(&c->bench, 1, random_size(&dice));
        if (journal_bench_dice(&dice, 5) == 0)
            contract_reopen_journal(c);
        uint64_t number = 1 + journal_bench_dice(&dice, c->bench.count + 1);
        journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, number,
                           number <= c->bench.count ? number : 0);
    }
    journal_bench_check(&c->bench);
    contract_reopen_journal(c);
    journal_bench_check(&c->bench);
}
