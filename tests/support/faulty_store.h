/* A store that fails when it is told to: stands before another one and hands on every call, but
 * for the one that is to fail. That one does not reach the store behind it. */
#ifndef TESTS_SUPPORT_FAULTY_STORE_H
#define TESTS_SUPPORT_FAULTY_STORE_H

#include "bus/ports/reader.h"
#include "bus/ports/unit_of_work.h"

/* The functions of both ports that can fail. */
enum faulty_call {
    FAULTY_ANY, /* the n-th call of whatever function */
    FAULTY_BEGIN,
    FAULTY_PRODUCT,
    FAULTY_ADD_PRODUCT,
    FAULTY_BATCH,
    FAULTY_LINE,
    FAULTY_NEWEST_LINES,
    FAULTY_APPEND,
    FAULTY_RECALL,
    FAULTY_REMEMBER,
    FAULTY_SUBMIT,
    FAULTY_DONE, /* works with a store alone whose units become durable when unit_done says so */
    FAULTY_READ  /* any function of the reader */
};

struct faulty_store {
    struct unit_of_work unit; /* what the bus is given */
    struct reader reader;
    struct unit_of_work *inner_unit;
    struct reader *inner_reader;
    enum faulty_call call; /* which call is to fail */
    uint64_t countdown;    /* it fails when this comes to 0; 0: none is to fail */
    enum store_result failure;
    uint64_t failures; /* how many calls have failed */
    bool is_held;      /* unit_done tells of nothing until unit_wait, or somebody lets go */
};

/* Both ports are the caller's and outlive it. No call fails until faulty_store_fail. */
void faulty_store_init(struct faulty_store *faulty, struct unit_of_work *unit,
                       struct reader *reader);

/* The n-th such call from now on (1: the next one) returns `failure`; those after it go through.
 * n = 0: none fails. Replaces what was ordered before. */
void faulty_store_fail(struct faulty_store *faulty, enum faulty_call call, uint64_t n,
                       enum store_result failure);

#endif
