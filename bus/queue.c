#include "bus/queue.h"

#include <stdlib.h>

#define CAPACITY_AT_FIRST 64u

void queue_release(struct queue *queue)
{
    free(queue->items);
    *queue = (struct queue){NULL, 0, 0, 0};
}

static bool grow(struct queue *queue)
{
    size_t capacity = queue->capacity > 0 ? 2 * queue->capacity : CAPACITY_AT_FIRST;
    if (capacity > QUEUE_MAX)
        return false;
    struct queued *items = malloc(capacity * sizeof *items);
    if (items == NULL)
        return false;
    for (size_t i = 0; i < queue->count; i++)
        items[i] = queue->items[(queue->head + i) & (queue->capacity - 1)];
    free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
    queue->head = 0;
    return true;
}

bool queue_push(struct queue *queue, const struct queued *item)
{
    if (queue->count == queue->capacity && !grow(queue))
        return false;
    queue->items[(queue->head + queue->count) & (queue->capacity - 1)] = *item;
    queue->count++;
    return true;
}

bool queue_pop(struct queue *queue, struct queued *out)
{
    if (queue->count == 0)
        return false;
    *out = queue->items[queue->head];
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    return true;
}
