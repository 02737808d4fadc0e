/* The cache of products: names that were chosen to collide do not. */
#include "store/ahead/product_cache.h"
#include "store/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define SKUS 1500u
#define SAME_BITS                                                                                  \
    0x3fffu /* the least of a hash that these have in common: more than there are buckets */
#define ROUNDS 20u

static char names[2][SKUS][16];

/* The first row has names in a row, the second those whose hash without a seed falls into one
 * bucket. */
static void choose_names(void)
{
    unsigned number = 0;
    for (unsigned i = 0; i < SKUS; i++) {
        snprintf(names[0][i], sizeof names[0][i], "sku-%u", i);
        do
            snprintf(names[1][i], sizeof names[1][i], "sku-%u", number++);
        while ((hash_bytes(names[1][i], strlen(names[1][i]), 0) & SAME_BITS) != 0);
    }
}

/* Processor time to look all of them up, some times. */
static double time_to_find(char (*row)[16], uint64_t seed)
{
    struct product_cache *cache = product_cache_new((size_t)64 << 20, seed);
    assert_non_null(cache);
    for (unsigned i = 0; i < SKUS; i++) {
        struct product *product = product_new(text_of(row[i]));
        assert_non_null(product);
        assert_non_null(product_cache_add(cache, product));
    }
    clock_t begin = clock();
    for (unsigned i = 0; i < ROUNDS * SKUS; i++)
        assert_non_null(product_cache_find(cache, text_of(row[i % SKUS])));
    double taken = (double)(clock() - begin + 1);
    product_cache_destroy(&cache);
    return taken;
}

/* With a seed that is known one chain holds them all: 750 steps for each instead of one. */
static void chosen_names_do_not_collide(void **state)
{
    (void)state;
    uint64_t seed = 0;
    choose_names();
    assert_true(hash_new_seed(&seed));
    double usual = time_to_find(names[0], seed);
    assert_true(time_to_find(names[1], seed) < 10 * usual);
    assert_true(time_to_find(names[1], 0) > 10 * usual); /* they were chosen well */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_names_do_not_collide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
