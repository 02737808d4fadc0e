#include "store/verify/inside.h"

#include "store/hash.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64u /* a power of two */

static struct verify_item **bucket_of(const struct verify_table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->capacity - 1)];
}

void *verify_table_find(const struct verify_table *table, struct text key)
{
    if (table->capacity == 0)
        return NULL;
    uint64_t hash = hash_bytes(key.data, key.len, table->seed);
    struct verify_item *item = *bucket_of(table, hash);
    while (item != NULL && !(item->hash == hash && text_equal(item->key, key)))
        item = item->next;
    return item;
}

static bool grow(struct verify_table *table)
{
    struct verify_table larger = {.capacity =
                                      table->capacity > 0 ? 2 * table->capacity : FIRST_CAPACITY,
                                  .count = table->count,
                                  .seed = table->seed};
    if (table->capacity == 0 && !hash_new_seed(&larger.seed))
        return false;
    larger.buckets = calloc(larger.capacity, sizeof *larger.buckets);
    if (larger.buckets == NULL)
        return false;
    for (size_t i = 0; i < table->capacity; i++) {
        while (table->buckets[i] != NULL) {
            struct verify_item *item = table->buckets[i];
            struct verify_item **bucket = bucket_of(&larger, item->hash);
            table->buckets[i] = item->next;
            item->next = *bucket;
            *bucket = item;
        }
    }
    free(table->buckets);
    *table = larger;
    return true;
}

void *verify_table_add(struct verify_table *table, struct text key, size_t size)
{
    if (table->count >= table->capacity && !grow(table))
        return NULL;
    struct verify_item *item = calloc(1, size + key.len);
    if (item == NULL)
        return NULL;
    char *copy = (char *)item + size;
    if (key.len > 0)
        memcpy(copy, key.data, key.len);
    item->key = (struct text){copy, key.len};
    item->hash = hash_bytes(key.data, key.len, table->seed);
    struct verify_item **bucket = bucket_of(table, item->hash);
    item->next = *bucket;
    *bucket = item;
    table->count++;
    return item;
}

void verify_table_take(struct verify_table *table, void *item)
{
    struct verify_item **link = bucket_of(table, ((struct verify_item *)item)->hash);
    while (*link != item)
        link = &(*link)->next;
    *link = (*link)->next;
    table->count--;
}

void *verify_table_next(const struct verify_table *table, const void *item)
{
    const struct verify_item *now = item;
    if (now != NULL && now->next != NULL)
        return now->next;
    size_t i = now != NULL ? (now->hash & (table->capacity - 1)) + 1 : 0;
    while (i < table->capacity && table->buckets[i] == NULL)
        i++;
    return i < table->capacity ? table->buckets[i] : NULL;
}

void verify_table_release(struct verify_table *table)
{
    for (size_t i = 0; i < table->capacity; i++) {
        while (table->buckets[i] != NULL) {
            struct verify_item *item = table->buckets[i];
            table->buckets[i] = item->next;
            free(item);
        }
    }
    free(table->buckets);
    *table = (struct verify_table){.buckets = NULL};
}
