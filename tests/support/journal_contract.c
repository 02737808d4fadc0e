#include "tests/support/journal_contract.h"

#include "tests/support/journal_contract_inside.h"

#include <stdlib.h>

static const struct journal_factory *judged; /* by the suite under way */

void contract_reopen_journal(struct journal_contract *c)
{
    judged->reopen(c->handle);
    c->bench.journal = judged->journal(c->handle);
}

static int set_up(void **state)
{
    struct journal_contract *c = calloc(1, sizeof *c);
    if (c == NULL)
        return -1;
    c->factory = judged;
    c->handle = judged->create();
    c->bench.journal = judged->journal(c->handle);
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    struct journal_contract *c = *state;
    judged->destroy(c->handle);
    journal_bench_clear(&c->bench);
    free(c);
    return 0;
}

int journal_contract_run(const char *name, const struct journal_factory *factory)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down),
    const struct CMUnitTest tests[] = {JOURNAL_APPEND_TESTS(TEST) JOURNAL_READ_TESTS(TEST)};
#undef TEST
    judged = factory;
    return _cmocka_run_group_tests(name, tests, sizeof tests / sizeof *tests, NULL, NULL);
}
