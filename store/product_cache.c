#include "store/product_cache.h"

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
    struct cached_product *newest; /* by last use */
    struct cached_product *oldest;
    struct cached_product *changed;
};

struct product_cache *product_cache_new(size_t capacity_bytes)
{
    struct product_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    cache->buckets = calloc(BUCKETS_AT_FIRST, sizeof *cache->buckets);
    cache->bucket_count = BUCKETS_AT_FIRST;
    cache->capacity_bytes = capacity_bytes;
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
    *(cached->newer != NULL ? &cached->newer->older : &cache->newest) = cached->older;
    *(cached->older != NULL ? &cached->older->newer : &cache->oldest) = cached->newer;
    cached->newer = cached->older = NULL;
}

static void link_as_newest(struct product_cache *cache, struct cached_product *cached)
{
    cached->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = cached;
    cache->newest = cached;
}

static struct cached_product **bucket_of(struct product_cache *cache, uint64_t hash)
{
    return &cache->buckets[hash & (cache->bucket_count - 1)];
}

struct cached_product *product_cache_find(struct product_cache *cache, struct text sku)
{
    uint64_t hash = hash_bytes(sku.data, sku.len, 0);
    struct cached_product *cached = *bucket_of(cache, hash);
    while (cached != NULL &&
           (cached->hash != hash || !text_equal(product_sku(cached->product), sku)))
        cached = cached->next_in_bucket;
    if (cached != NULL && cached != cache->newest) {
        unlink_use(cache, cached);
        link_as_newest(cache, cached);
    }
    return cached;
}

/* More buckets keep chains short; without memory for them the chains just grow. */
static void grow(struct product_cache *cache)
{
    size_t bucket_count = 2 * cache->bucket_count;
    struct cached_product **buckets = calloc(bucket_count, sizeof *buckets);
    if (buckets == NULL)
        return;
    free(cache->buckets);
    cache->buckets = buckets;
    cache->bucket_count = bucket_count;
    for (struct cached_product *c = cache->newest; c != NULL; c = c->older) {
        c->next_in_bucket = *bucket_of(cache, c->hash);
        *bucket_of(cache, c->hash) = c;
    }
}

struct cached_product *product_cache_add(struct product_cache *cache, struct product *product)
{
    struct cached_product *cached = calloc(1, sizeof *cached);
    if (cached == NULL)
        return NULL;
    if (cache->count >= cache->bucket_count)
        grow(cache);
    struct text sku = product_sku(product);
    cached->product = product;
    cached->hash = hash_bytes(sku.data, sku.len, 0);
    cached->memory = sizeof *cached + product_memory(product);
    cached->next_in_bucket = *bucket_of(cache, cached->hash);
    *bucket_of(cache, cached->hash) = cached;
    link_as_newest(cache, cached);
    cache->count++;
    cache->memory += cached->memory;
    return cached;
}

bool product_cache_changed(struct product_cache *cache, struct cached_product *cached,
                           struct text ref)
{
    if (!cached->is_changed) {
        cached->is_changed = true;
        cached->next_changed = cache->changed;
        cache->changed = cached;
    }
    /* Most changes in a row are of one batch, and its ref is always the same text. */
    bool is_last =
        cached->batch_count > 0 && cached->batches[cached->batch_count - 1].data == ref.data;
    if (text_is_none(ref) || is_last)
        return true;
    if (cached->batch_count == cached->batch_capacity) {
        size_t capacity = cached->batch_capacity > 0 ? 2 * cached->batch_capacity : 4;
        struct text *batches = realloc(cached->batches, capacity * sizeof *batches);
        if (batches == NULL)
            return false;
        cached->batches = batches;
        cached->batch_capacity = capacity;
    }
    cached->batches[cached->batch_count++] = ref;
    return true;
}

struct cached_product *product_cache_all_changed(const struct product_cache *cache)
{
    return cache->changed;
}

void product_cache_all_written(struct product_cache *cache)
{
    while (cache->changed != NULL) {
        struct cached_product *cached = cache->changed;
        cache->changed = cached->next_changed;
        cached->next_changed = NULL;
        cached->is_changed = false;
        cached->batch_count = 0;
        size_t memory = sizeof *cached + cached->batch_capacity * sizeof *cached->batches +
                        product_memory(cached->product);
        cache->memory = cache->memory - cached->memory + memory;
        cached->memory = memory;
    }
}

static void evict(struct product_cache *cache, struct cached_product *cached)
{
    struct cached_product **link = bucket_of(cache, cached->hash);
    while (*link != cached)
        link = &(*link)->next_in_bucket;
    *link = cached->next_in_bucket;
    unlink_use(cache, cached);
    cache->memory -= cached->memory;
    cache->count--;
    product_destroy(&cached->product);
    free(cached->batches);
    free(cached);
}

void product_cache_trim(struct product_cache *cache)
{
    struct cached_product *cached = cache->oldest;
    while (cached != NULL && cache->memory > cache->capacity_bytes) {
        struct cached_product *newer = cached->newer;
        if (!cached->is_changed)
            evict(cache, cached);
        cached = newer;
    }
}

void product_cache_clear(struct product_cache *cache)
{
    while (cache->oldest != NULL)
        evict(cache, cache->oldest);
    cache->changed = NULL;
    assert(cache->count == 0 && cache->memory == 0);
}
