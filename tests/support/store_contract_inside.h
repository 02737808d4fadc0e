/* What the files of the contract suite share: cmocka, and the lists of their tests. */
#ifndef TESTS_SUPPORT_STORE_CONTRACT_INSIDE_H
#define TESTS_SUPPORT_STORE_CONTRACT_INSIDE_H

#include "tests/support/store_contract_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#define UNIT_TESTS(TEST)                                                                           \
    TEST(an_empty_store_knows_nothing)                                                             \
    TEST(an_event_is_completed_by_the_log)                                                         \
    TEST(prev_leads_to_the_event_before_of_the_same_type)                                          \
    TEST(time_never_goes_back)                                                                     \
    TEST(an_empty_unit_leaves_nothing)                                                             \
    TEST(a_product_without_events_is_none)                                                         \
    TEST(batches_are_found_by_their_ref)                                                           \
    TEST(lines_are_found_by_order_and_sku)                                                         \
    TEST(names_that_begin_alike_are_kept_apart)                                                    \
    TEST(the_longest_names_are_kept)                                                               \
    TEST(several_products_change_in_one_unit)                                                      \
    TEST(an_exhausted_batch_comes_back)                                                            \
    TEST(waiting_lines_keep_their_order)                                                           \
    TEST(newest_lines_are_just_so_many)                                                            \
    TEST(newest_lines_pass_over_dead_ones)                                                         \
    TEST(displaced_lines_leave_the_chain)                                                          \
    TEST(a_line_that_waited_stands_in_the_chain_of_its_batch)                                      \
    TEST(what_a_unit_hands_out_lives_until_the_next_begin)                                         \
    TEST(a_rollback_leaves_nothing)                                                                \
    TEST(a_group_that_is_run_again_gives_the_same)                                                 \
    TEST(what_was_not_committed_is_gone_after_a_close)                                             \
    TEST(all_is_there_after_a_reopen)                                                              \
    TEST(random_groups_leave_what_the_committed_ones_did)

#define READ_TESTS(TEST)                                                                           \
    TEST(reads_see_what_an_open_unit_did)                                                          \
    TEST(stock_is_told_in_its_order_of_use)                                                        \
    TEST(stock_is_told_up_to_a_limit)                                                              \
    TEST(lines_of_an_order_are_paged)                                                              \
    TEST(batches_are_paged)                                                                        \
    TEST(products_are_paged)                                                                       \
    TEST(events_are_paged)                                                                         \
    TEST(events_are_filtered)                                                                      \
    TEST(a_scan_of_events_is_bounded)                                                              \
    TEST(pages_are_cut_by_bytes)                                                                   \
    TEST(pages_are_cut_by_time)                                                                    \
    TEST(not_found_leaves_the_answer_untouched)

#define ID_TESTS(TEST)                                                                             \
    TEST(a_reply_is_recalled_by_its_id)                                                            \
    TEST(recall_fills_four_fields_alone)                                                           \
    TEST(refusals_are_remembered_as_well)                                                          \
    TEST(another_request_with_the_id_is_told_apart)                                                \
    TEST(ids_that_begin_alike_are_kept_apart)                                                      \
    TEST(the_longest_id_and_request_are_kept)                                                      \
    TEST(ids_outlive_a_reopen_and_no_rollback)                                                     \
    TEST(many_ids_are_all_recalled)

#define DECLARE_TEST(name) void name(void **state);
UNIT_TESTS(DECLARE_TEST)
READ_TESTS(DECLARE_TEST)
ID_TESTS(DECLARE_TEST)
#undef DECLARE_TEST

/* In another store than the one under test: the memory store, which is the reference. */
extern const struct store_factory contract_reference;

#endif
