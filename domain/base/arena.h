/* Memory with one lifetime: taken piece by piece, given back all at once. */
#ifndef DOMAIN_BASE_ARENA_H
#define DOMAIN_BASE_ARENA_H

#include "domain/base/text.h"

struct arena;

/* NULL: no memory. */
struct arena *arena_new(void);
void arena_destroy(struct arena **arena);

/* `size` bytes, aligned for any type, not zeroed, until arena_reset. NULL: no memory. */
void *arena_alloc(struct arena *arena, size_t size);

/* An array with room for one more item: `items` itself while count < *capacity, else a larger copy,
 * and *capacity says how large. Begin with NULL and 0. NULL: no memory. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t *capacity,
                 size_t item_size);

/* A copy of `t`; absent stays absent. False, with *out untouched: no memory. */
bool arena_text(struct arena *arena, struct text t, struct text *out);

/* Ends the life of all that was taken. Keeps one block for the next round. */
void arena_reset(struct arena *arena);

/* Bytes taken since the last reset. */
size_t arena_used(const struct arena *arena);

#endif
