/* Products in memory, by SKU, the least recently used of which make room for others. What the
 * tables say of a product is always what it is (store/lmdb/tables.h), so that any may go. */
#ifndef STORE_AHEAD_PRODUCT_CACHE_H
#define STORE_AHEAD_PRODUCT_CACHE_H

#include "domain/product.h"
#include "store/ahead/overlay.h"

struct cached_product {
    struct cached_product *next_in_bucket;
    struct cached_product *newer; /* neighbours in the order of last use */
    struct cached_product *older;
    struct product *product;
    size_t memory;              /* bytes, as counted last */
    uint32_t hash;              /* of the SKU */
    struct overlay_mark record; /* where its record was put last */
};

struct product_cache;

/* `seed` is that of the hash of SKUs, hash_new_seed. NULL: no memory. */
struct product_cache *product_cache_new(size_t capacity_bytes, uint64_t seed);
void product_cache_destroy(struct product_cache **cache);

/* NULL: it is not there. */
struct cached_product *product_cache_find(struct product_cache *cache, struct text sku);

/* The one that holds this product, which is there. */
struct cached_product *product_cache_of(struct product_cache *cache, const struct product *product);

/* The product if it is in memory. That does not count as a use. */
const struct cached_product *product_cache_peek(const struct product_cache *cache, struct text sku);

/* Takes the product over. NULL: no memory, and the product is still the caller's. Requires: no
 * product of that SKU is there. */
struct cached_product *product_cache_add(struct product_cache *cache, struct product *product);

/* Counts the product's memory anew, as it has changed. */
void product_cache_recount(struct product_cache *cache, struct cached_product *cached);

/* Lets go of products until the rest fits the capacity. */
void product_cache_trim(struct product_cache *cache);

/* Forgets everything. */
void product_cache_clear(struct product_cache *cache);

#endif
