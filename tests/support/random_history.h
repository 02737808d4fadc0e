/* Histories by chance: requests about few products, batches and orders, with quantities around the
 * limits of what there is, so that all the rules come into play. Chance comes from a seed, or from
 * bytes that someone else made (a fuzzer). */
#ifndef TESTS_SUPPORT_RANDOM_HISTORY_H
#define TESTS_SUPPORT_RANDOM_HISTORY_H

#include "tests/support/model.h"

struct random_history {
    const struct model *model; /* what is there already */
    uint64_t state;            /* of the generator */
    const uint8_t *bytes;      /* instead of the generator; NULL: there are none */
    size_t byte_count;         /* those that are left */
    uint32_t skus;             /* how many different ones come up */
    uint32_t refs;
    uint32_t orders;
    uint32_t ids_used;
    struct request last; /* the newest command; MESSAGE_NONE where there is none yet */
};

void random_history_from_seed(struct random_history *history, const struct model *model,
                              uint64_t seed);
void random_history_from_bytes(struct random_history *history, const struct model *model,
                               const uint8_t *bytes, size_t count);

/* A number from 0 to n - 1; 0 when the bytes are used up. Requires: n > 0. */
uint32_t random_history_draw(struct random_history *history, uint32_t n);

/* A command or, one time in six, a query. Its texts live for ever. */
struct request random_history_request(struct random_history *history);

#endif
