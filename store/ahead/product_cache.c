#include "store/ahead/product_cache.h"

#include "store/hash.h"

#include <assert.h>
#include <stdlib.h>

#define BUCKETS_AT_FIRST ((size_t)1024)

struct product_cache {
    struct cached_product **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t memory; /* bytes of all products */
    size_t capacity_bytes;
    uint64_t seed;                 /* of the hash */
    struct cached_product *newest; /* by last use */
    struct cached_product *oldest;
    struct cached_product *last; /* found or added last */
};

struct product_cache *product_cache_new(size_t capacity_bytes, uint64_t seed)
{
    struct product_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    cache->buckets = calloc(BUCKETS_AT_FIRST, sizeof *cache->buckets);
    cache->bucket_count = BUCKETS_AT_FIRST;
    cache->capacity_bytes = capacity_bytes;
    cache->seed = seed;
    if (cache->buckets == NULL)
        product_cache_destroy(&cache);
    return cache;
}

void product_cache_destroy(struct product_cache **cache)
{
    if (*cache == NULL)
        return;
    if ((*cache)->buckets != NULL)
        product_cache_clear(*cache);
    free((*cache)->buckets);
    free(*cache);
    *cache = NULL;
}

static void unlink_use(struct product_cache *cache, struct cached_product *cached)
{
    if (cached->newer != NULL)
        cached->newer->older = cached->older;
    else
        cache->newest = cached->older;
    if (cached->older != NULL)
        cached->older->newer = cached->newer;
    else
        cache->oldest = cached->newer;
    cached->newer = cached->older = NULL;
}

static void link_as_newest(struct product_cache *cache, struct cached_product *cached)
{
    cached->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = cached;
    cache->newest = cached;
}

static uint32_t hash_of(const struct product_cache *cache, struct text sku)
{
    return (uint32_t)hash_bytes(sku.data, sku.len, cache->seed);
}

static struct cached_product **bucket_of(struct product_cache *cache, uint32_t hash)
{
    return &cache->buckets[hash & (cache->bucket_count - 1)];
}

static struct cached_product *find(const struct product_cache *cache, struct text sku)
{
    uint32_t hash = hash_of(cache, sku);
    struct cached_product *cached = cache->buckets[hash & (cache->bucket_count - 1)];
    while (cached != NULL &&
           (cached->hash != hash || !text_equal(product_sku(cached->product), sku)))
        cached = cached->next_in_bucket;
    return cached;
}

struct cached_product *product_cache_find(struct product_cache *cache, struct text sku)
{
    struct cached_product *cached = find(cache, sku);
    if (cached != NULL && cached != cache->newest) {
        unlink_use(cache, cached);
        link_as_newest(cache, cached);
    }
    if (cached != NULL)
        cache->last = cached;
    return cached;
}

struct cached_product *product_cache_of(struct product_cache *cache, const struct product *product)
{
    struct cached_product *cached = cache->last;
    if (cached == NULL || cached->product != product)
        cached = product_cache_find(cache, product_sku(product));
    assert(cached != NULL && cached->product == product);
    return cached;
}

const struct cached_product *product_cache_peek(const struct product_cache *cache, struct text sku)
{
    return find(cache, sku);
}

/* More buckets keep chains short; without memory for them the chains just grow. */
static void grow(struct product_cache *cache)
{
    struct cached_product **old = cache->buckets;
    size_t old_count = cache->bucket_count;
    struct cached_product **buckets = calloc(2 * old_count, sizeof *buckets);
    if (buckets == NULL)
        return;
    cache->buckets = buckets;
    cache->bucket_count = 2 * old_count;
    for (size_t i = 0; i < old_count; i++) {
        struct cached_product *next;
        for (struct cached_product *c = old[i]; c != NULL; c = next) {
            next = c->next_in_bucket;
            c->next_in_bucket = *bucket_of(cache, c->hash);
            *bucket_of(cache, c->hash) = c;
        }
    }
    free(old);
}

/* With its buckets, and what the C library adds. */
static size_t memory_of(const struct cached_product *cached)
{
    return sizeof *cached + 4 * sizeof(void *) + product_memory(cached->product);
}

struct cached_product *product_cache_add(struct product_cache *cache, struct product *product)
{
    struct cached_product *cached = calloc(1, sizeof *cached);
    if (cached == NULL)
        return NULL;
    if (cache->count >= cache->bucket_count / 2) /* each step of a chain is far away */
        grow(cache);
    struct text sku = product_sku(product);
    cached->product = product;
    cached->hash = hash_of(cache, sku);
    cached->memory = memory_of(cached);
    cached->next_in_bucket = *bucket_of(cache, cached->hash);
    *bucket_of(cache, cached->hash) = cached;
    link_as_newest(cache, cached);
    cache->count++;
    cache->memory += cached->memory;
    cache->last = cached;
    return cached;
}

void product_cache_recount(struct product_cache *cache, struct cached_product *cached)
{
    size_t memory = memory_of(cached);
    cache->memory = cache->memory - cached->memory + memory;
    cached->memory = memory;
}

static void destroy(struct cached_product *cached)
{
    product_destroy(&cached->product);
    free(cached);
}

static void evict(struct product_cache *cache, struct cached_product *cached)
{
    struct cached_product **link = bucket_of(cache, cached->hash);
    while (*link != cached)
        link = &(*link)->next_in_bucket;
    *link = cached->next_in_bucket;
    if (cache->last == cached)
        cache->last = NULL;
    unlink_use(cache, cached);
    cache->memory -= cached->memory;
    cache->count--;
    destroy(cached);
}

void product_cache_trim(struct product_cache *cache)
{
    struct cached_product *oldest;
    while ((oldest = cache->oldest) != NULL && cache->memory > cache->capacity_bytes) {
        evict(cache, oldest);
        assert(cache->oldest != oldest);
    }
}

void product_cache_clear(struct product_cache *cache)
{
    for (size_t i = 0; i < cache->bucket_count; i++) {
        while (cache->buckets[i] != NULL) {
            struct cached_product *cached = cache->buckets[i];
            cache->buckets[i] = cached->next_in_bucket;
            destroy(cached);
        }
    }
    cache->newest = cache->oldest = cache->last = NULL;
    cache->count = cache->memory = 0;
}
