/* What the files of the contract suite share: the fixture, and the lists of their tests. */
#ifndef TESTS_SUPPORT_JOURNAL_CONTRACT_INSIDE_H
#define TESTS_SUPPORT_JOURNAL_CONTRACT_INSIDE_H

#include "tests/support/journal_bench.h"
#include "tests/support/journal_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct journal_contract {
    const struct journal_factory *factory;
    void *handle;
    struct journal_bench bench;
};

void contract_reopen_journal(struct journal_contract *c);

#define JOURNAL_APPEND_TESTS(TEST)                                                                 \
    TEST(an_empty_journal_has_nothing)                                                             \
    TEST(entries_are_done_in_their_order)                                                          \
    TEST(an_entry_written_here_is_done_at_once)                                                    \
    TEST(here_goes_behind_what_is_under_way)                                                       \
    TEST(the_descriptor_tells_of_completions)                                                      \
    TEST(a_refusal_takes_all_behind_it)                                                            \
    TEST(a_refusal_here_leaves_nothing)                                                            \
    TEST(refusals_are_told_before_more_is_taken)                                                   \
    TEST(a_broken_journal_takes_nothing_more)                                                      \
    TEST(without_room_nothing_is_under_way)                                                        \
    TEST(all_is_there_after_a_reopen_of_the_journal)                                               \
    TEST(random_entries_come_back_as_they_were)

#define JOURNAL_READ_TESTS(TEST)                                                                   \
    TEST(entries_are_found_by_their_number)                                                        \
    TEST(entries_are_found_by_a_seq)                                                               \
    TEST(what_is_under_way_is_read)                                                                \
    TEST(a_cursor_goes_on_when_more_comes)                                                         \
    TEST(a_cursor_goes_from_what_was_under_way_to_what_is_stored)                                  \
    TEST(large_entries_are_read_as_they_were)                                                      \
    TEST(several_cursors_do_not_mind_each_other)                                                   \
    TEST(many_entries_are_found_by_any_seq)

#define DECLARE_TEST(name) void name(void **state);
JOURNAL_APPEND_TESTS(DECLARE_TEST)
JOURNAL_READ_TESTS(DECLARE_TEST)
#undef DECLARE_TEST

#endif
