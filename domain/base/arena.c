#include "domain/base/arena.h"

#include <stdint.h>
#include <stdlib.h>

#define BLOCK_BYTES ((size_t)256 * 1024)

struct block {
    struct block *next;
    size_t size; /* of bytes[] */
    size_t used;
    _Alignas(max_align_t) char bytes[];
};

struct arena {
    struct block *newest; /* the one in use; older, full ones follow */
    size_t used;
};

static struct block *block_new(size_t size)
{
    struct block *block = malloc(sizeof *block + size);
    if (block != NULL)
        *block = (struct block){.size = size};
    return block;
}

struct arena *arena_new(void)
{
    struct arena *arena = calloc(1, sizeof *arena);
    if (arena == NULL)
        return NULL;
    arena->newest = block_new(BLOCK_BYTES);
    if (arena->newest == NULL)
        arena_destroy(&arena);
    return arena;
}

void arena_destroy(struct arena **arena)
{
    if (*arena == NULL)
        return;
    while ((*arena)->newest != NULL) {
        struct block *block = (*arena)->newest;
        (*arena)->newest = block->next;
        free(block);
    }
    free(*arena);
    *arena = NULL;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) / align * align;
    struct block *block = arena->newest;
    if (block->size - block->used < size) {
        block = block_new(size > BLOCK_BYTES ? size : BLOCK_BYTES);
        if (block == NULL)
            return NULL;
        block->next = arena->newest;
        arena->newest = block;
    }
    void *piece = block->bytes + block->used;
    block->used += size;
    arena->used += size;
    return piece;
}

void *arena_grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return items;
    size_t larger = *capacity > 0 ? 2 * *capacity : 8;
    void *copy = arena_alloc(arena, larger * item_size);
    if (copy == NULL)
        return NULL;
    if (count > 0)
        memcpy(copy, items, count * item_size);
    *capacity = larger;
    return copy;
}

bool arena_text(struct arena *arena, struct text t, struct text *out)
{
    if (text_is_none(t)) {
        *out = t;
        return true;
    }
    char *copy = arena_alloc(arena, t.len > 0 ? t.len : 1);
    if (copy == NULL)
        return false;
    if (t.len > 0)
        memcpy(copy, t.data, t.len);
    *out = (struct text){copy, t.len};
    return true;
}

void arena_reset(struct arena *arena)
{
    while (arena->newest->next != NULL) {
        struct block *block = arena->newest;
        arena->newest = block->next;
        free(block);
    }
    arena->newest->used = 0;
    arena->used = 0;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
