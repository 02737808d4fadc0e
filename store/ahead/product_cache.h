/* Products in memory, by SKU: those that are ahead of their tables, which stay until these have
 * caught up, and others that may be wanted again, the least recently used of which make room. */
#ifndef STORE_AHEAD_PRODUCT_CACHE_H
#define STORE_AHEAD_PRODUCT_CACHE_H

#include "domain/product.h"
#include "store/ahead/lazy_order.h"

struct cached_product {
    struct cached_product *next_in_bucket;
    struct cached_product *newer; /* neighbours in the order of last use; */
    struct cached_product *older; /* of one that is due, which has no place there: the next due */
    struct product *product;
    const struct batch *carried; /* by its record, NULL: none; one of the product's */
    size_t memory;               /* bytes, as counted last */
    uint32_t hash;               /* of the SKU */
    bool is_ahead;               /* of its tables */
    bool is_due;                 /* and to be written with the open unit */
    bool is_listed;              /* in a list of products to be written */
};

struct product_cache;

/* `seed` is that of the hash of SKUs, hash_new_seed. NULL: no memory. */
struct product_cache *product_cache_new(size_t capacity_bytes, uint64_t seed);
void product_cache_destroy(struct product_cache **cache);

/* NULL: it is not there. */
struct cached_product *product_cache_find(struct product_cache *cache, struct text sku);

/* The one that holds this product, which is there. */
struct cached_product *product_cache_of(struct product_cache *cache, const struct product *product);

/* A product that is ahead of its tables, for who reads these. NULL: its tables say all. */
const struct cached_product *product_cache_ahead(const struct product_cache *cache,
                                                 struct text sku);

/* Takes the product over; `carried` is the batch that its record carries, NULL for none. NULL: no
 * memory, and the product is still the caller's. Requires: no product of that SKU is there. */
struct cached_product *product_cache_add(struct product_cache *cache, struct product *product,
                                         const struct batch *carried);

/* The product if it is in memory, ahead of its tables or not. That does not count as a use. */
const struct cached_product *product_cache_peek(const struct product_cache *cache, struct text sku);

/* The product went ahead of the tables. `is_due`: they have to catch up with the open unit. `rank`:
 * its place among those to be written; of no matter where it is listed. False: no memory. */
bool product_cache_changed(struct product_cache *cache, struct cached_product *cached, bool is_due,
                           uint64_t rank);

/* Takes one of those that are due; NULL: none is. product_cache_written follows. */
struct cached_product *product_cache_take_due(struct product_cache *cache);

/* Bytes of memory of all that are ahead. */
size_t product_cache_ahead_bytes(const struct product_cache *cache);

/* Moves these into `list`, which is empty. */
void product_cache_take_list(struct product_cache *cache, struct lazy_order *list);

/* Its turn in a list that was taken has come. */
void product_cache_unlist(struct product_cache *cache, struct cached_product *cached);

/* Its tables have caught up, and its record carries that batch. */
void product_cache_written(struct product_cache *cache, struct cached_product *cached,
                           const struct batch *carried);

/* Lets go of products that are not ahead until the rest fits the capacity. */
void product_cache_trim(struct product_cache *cache);

/* Forgets everything. Requires: no list that was taken is used any more. */
void product_cache_clear(struct product_cache *cache);

#endif
