/* The lines that batches got and lost, held against a list in which all is searched for. */
#include "store/ahead/held_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ITEMS 5000u
#define REFS 40u

struct given {
    char ref[8];
    char orderid[16];
    uint64_t seq;
    bool is_gone;
};

static unsigned draw(unsigned *state, unsigned n)
{
    *state = *state * 1103515245u + 12345u;
    return (*state >> 16) % n;
}

/* Lines that come, and some that go again; refs and order ids of several lengths, some of which
 * are the beginnings of others. */
static void fill(struct held_log *log, struct given given[ITEMS], unsigned seed)
{
    for (unsigned i = 0; i < ITEMS; i++) {
        struct given *g = &given[i];
        if (i > 0 && draw(&seed, 3) == 0) {
            *g = given[draw(&seed, i)]; /* it is gone then, perhaps not for the first time */
            g->is_gone = true;
        } else {
            unsigned ref = draw(&seed, REFS);
            snprintf(g->ref, sizeof g->ref, "%.*s", (int)(1 + ref % 5), "bbbbb");
            snprintf(g->ref + strlen(g->ref), sizeof g->ref - strlen(g->ref), "%u", ref / 20);
            snprintf(g->orderid, sizeof g->orderid, "o%u", i * 977 % 1000);
            g->seq = i + 1;
            g->is_gone = false;
        }
        assert_true(held_log_add(log, text_of(g->ref), g->seq, text_of(g->orderid), g->is_gone));
        assert_int_equal(log->count, i + 1);
    }
}

static bool is_item(const struct held_log *log, const struct held_item *item,
                    const struct given *given)
{
    return text_equal(held_item_ref(log, item), text_of(given->ref)) &&
           text_equal(held_item_orderid(log, item), text_of(given->orderid)) &&
           item->seq == given->seq && item->is_gone == given->is_gone;
}

/* ---- from the newest to the oldest ---- */

static void expect_before(const struct held_log *log, const struct given *given, const char *ref)
{
    size_t at = log->count;
    for (size_t i = log->count; i > 0; i--) {
        if (given[i - 1].is_gone || strcmp(given[i - 1].ref, ref) != 0)
            continue;
        const struct held_item *item = held_log_before(log, text_of(ref), &at);
        assert_non_null(item);
        assert_int_equal(at, i - 1);
        assert_true(is_item(log, item, &given[i - 1]));
    }
    assert_null(held_log_before(log, text_of(ref), &at));
    assert_int_equal(at, 0);
    assert_null(held_log_before(log, text_of(ref), &at));
}

static void the_lines_of_a_batch(void **state)
{
    (void)state;
    struct held_log log = {.items = NULL};
    struct given *given = calloc(ITEMS, sizeof *given);
    assert_non_null(given);
    fill(&log, given, 1);
    for (unsigned i = 0; i < 60; i++)
        expect_before(&log, given, given[i].ref);
    expect_before(&log, given, "b");
    expect_before(&log, given, "none");
    held_log_release(&log);
    free(given);
}

static void whether_a_batch_has_had_a_line(void **state)
{
    (void)state;
    struct held_log log = {.items = NULL};
    assert_false(held_log_has(&log, text_of("b1"), 1));
    assert_true(held_log_add(&log, text_of("b1"), 5, text_of("o1"), false));
    assert_true(held_log_add(&log, text_of("b2"), 6, text_of("o2"), true));
    assert_true(held_log_has(&log, text_of("b1"), 5));
    assert_true(held_log_has(&log, text_of("b2"), 6)); /* though it came before */
    assert_false(held_log_has(&log, text_of("b1"), 6));
    assert_false(held_log_has(&log, text_of("b2"), 5));
    assert_false(held_log_has(&log, text_of("b"), 5));
    held_log_release(&log);
}

/* ---- in order ---- */

/* Whether the lines of `a` come before those of `b`; of one line, what came last. */
static bool is_before(const struct given *given, size_t a, size_t b)
{
    int refs = strcmp(given[a].ref, given[b].ref);
    if (refs != 0)
        return refs < 0;
    if (given[a].seq != given[b].seq)
        return given[a].seq > given[b].seq;
    return a > b;
}

static void all_by_ref_and_seq(void **state)
{
    (void)state;
    struct held_log log = {.items = NULL};
    struct given *given = calloc(ITEMS, sizeof *given);
    static bool is_seen[ITEMS];
    assert_non_null(given);
    assert_null(held_log_order(&log));
    for (unsigned round = 0; round < 3; round++) {
        fill(&log, given, round + 7);
        size_t *order = held_log_order(&log);
        assert_non_null(order);
        memset(is_seen, 0, sizeof is_seen);
        for (size_t i = 0; i < log.count; i++) {
            assert_true(order[i] < log.count && !is_seen[order[i]]);
            is_seen[order[i]] = true;
            assert_true(is_item(&log, &log.items[order[i]], &given[order[i]]));
            assert_true(i == 0 || is_before(given, order[i - 1], order[i]));
        }
        free(order);
        held_log_clear(&log);
        assert_null(held_log_order(&log));
    }
    held_log_release(&log);
    free(given);
}

/* ---- memory ---- */

static void memory_is_counted_and_used_again(void **state)
{
    (void)state;
    struct held_log log = {.items = NULL};
    struct given *given = calloc(ITEMS, sizeof *given);
    size_t bytes = 0;
    assert_non_null(given);
    assert_int_equal(held_log_bytes(&log), 0);
    for (unsigned round = 0; round < 3; round++) {
        fill(&log, given, 3);
        assert_true(round == 0 || held_log_bytes(&log) == bytes);
        bytes = held_log_bytes(&log);
        assert_true(bytes > (size_t)ITEMS * 24 && bytes < (size_t)ITEMS * 100);
        const struct held_item *items = log.items;
        held_log_clear(&log);
        assert_int_equal(held_log_bytes(&log), 0);
        assert_ptr_equal(log.items, items);
        size_t at = log.count;
        assert_null(held_log_before(&log, text_of(given[0].ref), &at));
    }
    held_log_release(&log);
    assert_null(log.items);
    free(given);
}

/* The longest that a store has, and an empty order id. */
static void long_and_empty_names(void **state)
{
    (void)state;
    static char name[UINT16_MAX];
    struct held_log log = {.items = NULL};
    memset(name, 'n', sizeof name);
    const struct text longest = {name, sizeof name};
    for (unsigned i = 0; i < 5; i++) {
        assert_true(held_log_add(&log, longest, 2 * i + 1, text_of(""), false));
        assert_true(held_log_add(&log, text_of("b"), 2 * i + 2, longest, false));
    }
    size_t at = log.count;
    const struct held_item *item = held_log_before(&log, longest, &at);
    assert_true(item != NULL && item->seq == 9);
    assert_true(text_equal(held_item_ref(&log, item), longest));
    assert_true(text_equal(held_item_orderid(&log, item), text_of("")));
    at = log.count;
    item = held_log_before(&log, text_of("b"), &at);
    assert_true(item != NULL && item->seq == 10);
    assert_true(text_equal(held_item_orderid(&log, item), longest));
    held_log_release(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lines_of_a_batch), cmocka_unit_test(whether_a_batch_has_had_a_line),
        cmocka_unit_test(all_by_ref_and_seq),   cmocka_unit_test(memory_is_counted_and_used_again),
        cmocka_unit_test(long_and_empty_names),
    };
    return cmocka_run_group_tests_name("held_log", tests, NULL, NULL);
}
