/* Products in memory, by SKU: those that the open unit of work changed, and others that it may
 * want again, the least recently used of which make room. */
#ifndef STORE_PRODUCT_CACHE_H
#define STORE_PRODUCT_CACHE_H

#include "domain/product.h"

struct cached_product {
    struct cached_product *next_in_bucket;
    struct cached_product *newer; /* neighbours in the order of last use */
    struct cached_product *older;
    struct product *product;
    uint64_t hash;        /* of the SKU */
    size_t memory;        /* bytes, as counted last */
    bool is_changed;      /* since it was last written to the tables */
    struct text *batches; /* refs of the batches that changed since; the product's own texts */
    size_t batch_count;   /* one may stand here twice */
    size_t batch_capacity;
    struct cached_product *next_changed;
};

struct product_cache;

/* NULL: no memory. */
struct product_cache *product_cache_new(size_t capacity_bytes);
void product_cache_destroy(struct product_cache **cache);

/* NULL: it is not there. */
struct cached_product *product_cache_find(struct product_cache *cache, struct text sku);

/* Takes the product over. NULL: no memory, and the product is still the caller's. Requires: no
 * product of that SKU is there. */
struct cached_product *product_cache_add(struct product_cache *cache, struct product *product);

/* Marks a product, and the batch with that ref (absent: none), as changed. False: no memory. */
bool product_cache_changed(struct product_cache *cache, struct cached_product *cached,
                           struct text ref);

/* The products that changed, in no order, as a chain by next_changed. */
struct cached_product *product_cache_all_changed(const struct product_cache *cache);

/* They are written: none has changed any more. */
void product_cache_all_written(struct product_cache *cache);

/* Lets go of products that have not changed until the rest fits the capacity. */
void product_cache_trim(struct product_cache *cache);

/* Forgets everything. */
void product_cache_clear(struct product_cache *cache);

#endif
