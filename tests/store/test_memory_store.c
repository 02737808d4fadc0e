#include "tests/support/store_contract.h"

#include "tests/support/memory_store/store.h"

static void *create(void)
{
    return memory_store_new();
}

static struct unit_of_work *unit(void *store)
{
    return memory_store_unit(store);
}

static struct reader *reader(void *store)
{
    return memory_store_reader(store);
}

static void destroy(void *store)
{
    struct memory_store *memory = store;
    memory_store_destroy(&memory);
}

int main(void)
{
    static const struct store_factory factory = {
        .create = create, .unit = unit, .reader = reader, .destroy = destroy};
    return store_contract_run("memory_store", &factory);
}
