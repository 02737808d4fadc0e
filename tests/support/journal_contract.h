/* The contract of a journal (bus/ports/journal.h) as one suite of tests, which every journal has to
 * pass. */
#ifndef TESTS_SUPPORT_JOURNAL_CONTRACT_H
#define TESTS_SUPPORT_JOURNAL_CONTRACT_H

#include "bus/ports/journal.h"

/* How to make the journal that is judged. A function that cannot do its work ends the test. */
struct journal_factory {
    void *(*create)(void);                    /* one that is new and empty */
    struct journal *(*journal)(void *handle); /* asked for again after each reopen */
    /* Closes it and opens it again, whatever it was told to do. The handle stays the same. */
    void (*reopen)(void *handle);
    /* The n-th entry that is written from now on is refused, or breaks it. */
    void (*fail_at)(void *handle, uint64_t n, enum store_result result);
    /* What is submitted to it stays under way until the release. */
    void (*hold)(void *handle);
    void (*release)(void *handle);
    /* From now on there is no room, or there is again, for a body of 2,000,000 bytes. */
    void (*set_full)(void *handle, bool is_full);
    void (*destroy)(void *handle); /* and all that it left behind */
};

/* Runs the suite. Returns how many tests failed. */
int journal_contract_run(const char *name, const struct journal_factory *factory);

#endif
