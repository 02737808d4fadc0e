/* node/front/prefixes.h, held against a list that is searched from one end to the other. */
#include "node/front/prefixes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t random_state;

static uint32_t draw(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static void a_topic_matches_what_it_begins_with(void **state)
{
    (void)state;
    struct prefixes prefixes = {.count = 0};
    assert_false(prefixes_match(&prefixes, text_of("Allocated/RED/")));
    assert_int_equal(prefixes_add(&prefixes, text_of("Allocated/")), PREFIX_ADDED);
    assert_int_equal(prefixes_add(&prefixes, text_of("Allocated/RED-C")), PREFIX_ADDED);
    assert_int_equal(prefixes_add(&prefixes, text_of("Allocated/RED-CHAIR/")), PREFIX_ADDED);
    assert_true(prefixes_match(&prefixes, text_of("Allocated/RED-CLOCK/")));
    assert_true(prefixes_match(&prefixes, text_of("Allocated/BLUE/")));
    assert_false(prefixes_match(&prefixes, text_of("Allocated")));
    assert_false(prefixes_match(&prefixes, text_of("Allocatee/")));
    assert_true(prefixes_remove(&prefixes, text_of("Allocated/")));
    assert_false(prefixes_match(&prefixes, text_of("Allocated/BLUE/")));
    assert_true(prefixes_match(&prefixes, text_of("Allocated/RED-CLOCK/")));
    assert_int_equal(prefixes_add(&prefixes, text_of("")), PREFIX_ADDED);
    assert_true(prefixes_match(&prefixes, text_of("Heartbeat/")));
    prefixes_release(&prefixes);
}

static void it_is_taken_back_as_often_as_it_was_added(void **state)
{
    (void)state;
    struct prefixes prefixes = {.count = 0};
    assert_int_equal(prefixes_add(&prefixes, text_of("A")), PREFIX_ADDED);
    size_t memory = prefixes.memory;
    assert_int_equal(prefixes_add(&prefixes, text_of("A")), PREFIX_WAS_THERE);
    assert_int_equal(prefixes.memory, memory);
    assert_true(prefixes_remove(&prefixes, text_of("A")));
    assert_true(prefixes_match(&prefixes, text_of("A")));
    assert_true(prefixes_remove(&prefixes, text_of("A")));
    assert_false(prefixes_match(&prefixes, text_of("A")));
    assert_false(prefixes_remove(&prefixes, text_of("A")));
    assert_int_equal(prefixes.memory, 0);
    prefixes_release(&prefixes);
}

/* ---- against a list ---- */

#define NAMES 400u
#define STEPS 200000u

struct name {
    char text[8];
    unsigned times;
};

static bool list_matches(const struct name *names, const char *topic)
{
    for (unsigned i = 0; i < NAMES; i++)
        if (names[i].times > 0 && strncmp(topic, names[i].text, strlen(names[i].text)) == 0)
            return true;
    return false;
}

/* Of few letters, so that many begin with each other. */
static void random_name(char out[8])
{
    size_t len = draw(7);
    for (size_t i = 0; i < len; i++)
        out[i] = "ab"[draw(2)];
    out[len] = '\0';
}

static void make_names(struct name *names)
{
    for (unsigned i = 0; i < NAMES; i++) {
        bool is_new;
        do {
            snprintf(names[i].text, sizeof names[i].text, "%c", "abc"[draw(3)]);
            random_name(names[i].text + draw(2));
            is_new = true;
            for (unsigned k = 0; k < i; k++)
                is_new = is_new && strcmp(names[k].text, names[i].text) != 0;
        } while (!is_new && i < 150);
        names[i].times = 0;
        if (!is_new)
            snprintf(names[i].text, sizeof names[i].text, "z%u", i);
    }
}

static void it_agrees_with_a_list(void **state)
{
    (void)state;
    static struct name names[NAMES];
    struct prefixes prefixes = {.count = 0};
    random_state = 1;
    make_names(names);
    for (unsigned step = 0; step < STEPS; step++) {
        struct name *name = &names[draw(NAMES)];
        char topic[8];
        if (draw(2)) {
            assert_int_equal(prefixes_add(&prefixes, text_of(name->text)),
                             name->times++ == 0 ? PREFIX_ADDED : PREFIX_WAS_THERE);
        } else {
            assert_int_equal(prefixes_remove(&prefixes, text_of(name->text)), name->times > 0);
            name->times -= name->times > 0;
        }
        random_name(topic);
        assert_int_equal(prefixes_match(&prefixes, text_of(topic)), list_matches(names, topic));
    }
    prefixes_release(&prefixes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_matches_what_it_begins_with),
        cmocka_unit_test(it_is_taken_back_as_often_as_it_was_added),
        cmocka_unit_test(it_agrees_with_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
