/* The contract of a store (bus/ports/) as one suite of tests, which every store has to pass. */
#ifndef TESTS_SUPPORT_STORE_CONTRACT_H
#define TESTS_SUPPORT_STORE_CONTRACT_H

#include "bus/ports/reader.h"
#include "bus/ports/unit_of_work.h"

/* How to make the store that is judged. A function that cannot do its work ends the test. */
struct store_factory {
    bool is_durable;       /* it can be opened again and has all that was committed */
    void *(*create)(void); /* a store that is new and empty */
    /* Closes it and opens it again; NULL where it is not durable. The handle stays the same. */
    void (*reopen)(void *store);
    struct unit_of_work *(*unit)(void *store); /* asked for again after each reopen */
    struct reader *(*reader)(void *store);
    void (*destroy)(void *store); /* and all that it left behind */
};

/* Runs the suite. Returns how many tests failed. */
int store_contract_run(const char *name, const struct store_factory *factory);

#endif
