/* The cache of products: names that were chosen to collide do not. */
#include "store/ahead/product_cache.h"
#include "store/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SKUS 1500u
#define SAME_BITS                                                                                  \
    0x3fffu /* the least of a hash that these have in common: more than there are buckets */
#define BUCKETS 4096u

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

/* The most names of a row that a bucket holds, of as many buckets as the cache has for them. */
static unsigned fullest_bucket(char (*row)[16], uint64_t seed)
{
    static unsigned counts[BUCKETS];
    unsigned most = 0;
    memset(counts, 0, sizeof counts);
    for (unsigned i = 0; i < SKUS; i++) {
        unsigned count = ++counts[hash_bytes(row[i], strlen(row[i]), seed) % BUCKETS];
        most = count > most ? count : most;
    }
    return most;
}

/* With a seed that is known one bucket holds them all. */
static void chosen_names_do_not_collide(void **state)
{
    (void)state;
    uint64_t seed = 0;
    choose_names();
    assert_true(hash_new_seed(&seed));
    assert_int_equal(fullest_bucket(names[1], 0), SKUS); /* they were chosen well */
    assert_true(fullest_bucket(names[0], seed) < 16);
    assert_true(fullest_bucket(names[1], seed) < 16);
}

static void all_are_found_whatever_the_seed(void **state)
{
    (void)state;
    const uint64_t seeds[] = {0, 1, UINT64_MAX};
    choose_names();
    for (unsigned row = 0; row < 2; row++) {
        for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
            struct product_cache *cache = product_cache_new((size_t)64 << 20, seeds[i]);
            assert_non_null(cache);
            for (unsigned sku = 0; sku < SKUS; sku++) {
                struct product *product = product_new(text_of(names[row][sku]));
                assert_non_null(product);
                assert_non_null(product_cache_add(cache, product));
            }
            for (unsigned sku = 0; sku < SKUS; sku += 100)
                assert_non_null(product_cache_find(cache, text_of(names[row][sku])));
            product_cache_destroy(&cache);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_names_do_not_collide),
        cmocka_unit_test(all_are_found_whatever_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
