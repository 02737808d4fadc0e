#include "tests/support/store_contract.h"

#include "tests/support/memory_store/store.h"
#include "tests/support/store_contract_inside.h"

#include <stdlib.h>

/* ---- the reference ---- */

static void *create_reference(void)
{
    return memory_store_new();
}

static struct unit_of_work *reference_unit(void *store)
{
    return memory_store_unit(store);
}

static struct reader *reference_reader(void *store)
{
    return memory_store_reader(store);
}

static void destroy_reference(void *store)
{
    struct memory_store *memory = store;
    memory_store_destroy(&memory);
}

const struct store_factory contract_reference = {
    .create = create_reference,
    .unit = reference_unit,
    .reader = reference_reader,
    .destroy = destroy_reference,
};

/* ---- running ---- */

static const struct store_factory *judged; /* by the suite under way */

static int set_up(void **state)
{
    struct contract *c = calloc(1, sizeof *c);
    if (c == NULL)
        return -1;
    contract_open(c, judged);
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    contract_close(*state);
    free(*state);
    return 0;
}

int store_contract_run(const char *name, const struct store_factory *factory)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down),
    const struct CMUnitTest tests[] = {UNIT_TESTS(TEST) READ_TESTS(TEST) ID_TESTS(TEST)};
#undef TEST
    judged = factory;
    return _cmocka_run_group_tests(name, tests, COUNT_OF(tests), NULL, NULL);
}
