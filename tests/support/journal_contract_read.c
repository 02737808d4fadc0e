/* The contract of a journal: reading. */
#include "tests/support/journal_contract_inside.h"

#include <stdlib.h>

void entries_are_found_by_their_number(void **state)
{
    struct journal_contract *c = *state;
    for (uint32_t i = 0; i < 50; i++)
        journal_bench_append(&c->bench, i % 2, (size_t)40 * i);
    for (unsigned turn = 0; turn < 2; turn++) {
        journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, 0, 1);
        for (uint64_t number = 1; number <= 50; number++)
            journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, number, number);
        journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, 51, 0);
        journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, 1000, 0);
        journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, UINT64_MAX, 0);
        contract_reopen_journal(c);
    }
}

/* seq:      1 2 3 | - | - | 4 | - | 5 6 | -
 * number:     1     2   3   4   5    6    7 */
void entries_are_found_by_a_seq(void **state)
{
    static const uint32_t events[] = {3, 0, 0, 1, 0, 2, 0};
    static const uint64_t numbers[] = {1, 1, 1, 1, 4, 6, 6, 0, 0}; /* of seq 0, 1, 2 ... */
    struct journal_contract *c = *state;
    for (unsigned i = 0; i < 7; i++)
        journal_bench_append(&c->bench, events[i], 100);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (uint64_t seq = 0; seq < sizeof numbers / sizeof *numbers; seq++)
            journal_bench_find(&c->bench, JOURNAL_BY_SEQ, seq, numbers[seq]);
        journal_bench_find(&c->bench, JOURNAL_BY_SEQ, UINT64_MAX, 0);
        contract_reopen_journal(c);
    }
}

void what_is_under_way_is_read(void **state)
{
    struct journal_contract *c = *state;
    for (unsigned i = 0; i < 4; i++)
        journal_bench_append(&c->bench, 2, 500);
    c->factory->hold(c->handle);
    for (unsigned i = 0; i < 4; i++)
        journal_bench_submit(&c->bench, 2, 600, false);
    journal_bench_check(&c->bench);
    for (uint64_t seq = 1; seq <= 16; seq++)
        journal_bench_find(&c->bench, JOURNAL_BY_SEQ, seq, (seq + 1) / 2);
    journal_bench_find(&c->bench, JOURNAL_BY_SEQ, 17, 0);
    c->factory->release(c->handle);
    journal_bench_check(&c->bench); /* whatever is complete and not taken */
    journal_wait(c->bench.journal);
    journal_bench_check(&c->bench);
    journal_bench_finish(&c->bench);
    journal_bench_check(&c->bench);
}

void a_cursor_goes_on_when_more_comes(void **state)
{
    struct journal_contract *c = *state;
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    assert_int_equal(journal_read_begin(c->bench.journal, JOURNAL_BY_SEQ, 1, &cursor), STORE_OK);
    for (unsigned i = 0; i < 300; i++) {
        entry.number = 77;
        assert_int_equal(journal_read_next(cursor, &entry), STORE_NOT_FOUND);
        assert_int_equal(entry.number, 77);
        journal_bench_append(&c->bench, 1, 900);
        if (i % 3 == 0)
            journal_bench_append(&c->bench, 1, i);
        for (unsigned k = 0; k < (i % 3 == 0 ? 2u : 1u); k++) {
            assert_int_equal(journal_read_next(cursor, &entry), STORE_OK);
            journal_bench_same(&entry, &c->bench.entries[entry.number - 1]);
        }
        assert_int_equal(entry.number, c->bench.count);
    }
    journal_read_end(&cursor);
}

void a_cursor_goes_from_what_was_under_way_to_what_is_stored(void **state)
{
    struct journal_contract *c = *state;
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    journal_bench_append(&c->bench, 1, 100);
    c->factory->hold(c->handle);
    for (unsigned i = 0; i < 5; i++)
        journal_bench_submit(&c->bench, 1, 5000, false);
    assert_int_equal(journal_read_begin(c->bench.journal, JOURNAL_BY_NUMBER, 1, &cursor), STORE_OK);
    for (uint64_t number = 1; number <= 6; number++) {
        assert_int_equal(journal_read_next(cursor, &entry), STORE_OK);
        journal_bench_same(&entry, &c->bench.entries[number - 1]);
        if (number == 3) {
            c->factory->release(c->handle);
            journal_bench_finish(&c->bench);
        }
    }
    assert_int_equal(journal_read_next(cursor, &entry), STORE_NOT_FOUND);
    journal_read_end(&cursor);
}

void large_entries_are_read_as_they_were(void **state)
{
    static const size_t sizes[] = {1 << 20, (1 << 20) - 1, (1 << 20) + 1, 3 << 20, 5, 2500000, 0};
    struct journal_contract *c = *state;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        journal_bench_submit(&c->bench, 1000 * i, sizes[i], i % 2 == 0);
    journal_bench_finish(&c->bench);
    journal_bench_check(&c->bench);
    /* Page by page, each with a cursor of its own, as a query does. */
    for (uint64_t seq = 1; seq < journal_next_seq(c->bench.journal); seq += 250)
        journal_bench_find(&c->bench, JOURNAL_BY_SEQ, seq,
                           seq <= 1000    ? 2
                           : seq <= 3000  ? 3
                           : seq <= 6000  ? 4
                           : seq <= 10000 ? 5
                           : seq <= 15000 ? 6
                                          : 7);
    contract_reopen_journal(c);
    journal_bench_check(&c->bench);
    journal_bench_append(&c->bench, 1, 20);
    journal_bench_check(&c->bench);
}

void several_cursors_do_not_mind_each_other(void **state)
{
    struct journal_contract *c = *state;
    struct journal_cursor *cursors[3] = {NULL, NULL, NULL};
    struct journal_entry entries[3];
    for (unsigned i = 0; i < 40; i++)
        journal_bench_append(&c->bench, 1, 700 + i);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(
            journal_read_begin(c->bench.journal, JOURNAL_BY_NUMBER, 1 + i, &cursors[i]), STORE_OK);
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(journal_read_next(cursors[i], &entries[i]), STORE_OK);
        for (unsigned i = 0; i < 3; i++) /* all of them live until the next round */
            journal_bench_same(&entries[i], &c->bench.entries[round + i]);
    }
    for (unsigned i = 0; i < 3; i++)
        journal_read_end(&cursors[i]);
    journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, 32, 32);
    journal_bench_find(&c->bench, JOURNAL_BY_NUMBER, 33, 33);
}

void many_entries_are_found_by_any_seq(void **state)
{
    struct journal_contract *c = *state;
    uint64_t dice = 7;
    for (uint32_t i = 0; i < 3000; i++)
        journal_bench_submit(&c->bench, 2, 50 + (i % 10) * 40, false);
    journal_bench_finish(&c->bench);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < 500; i++) {
            uint64_t seq = 1 + journal_bench_dice(&dice, 6000);
            journal_bench_find(&c->bench, JOURNAL_BY_SEQ, seq, (seq + 1) / 2);
        }
        contract_reopen_journal(c);
    }
}
