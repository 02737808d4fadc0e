#include "node/front/bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN ((size_t)256)

unsigned char *bytes_room(struct bytes *bytes, size_t len)
{
    if (bytes->start + bytes->len + len <= bytes->capacity)
        return bytes->memory + bytes->start + bytes->len;
    /* Moving to the front is worth it where half of the memory comes free: so each byte is moved
     * once at most for each time that as much was appended. */
    if (bytes->len + len <= bytes->capacity && bytes->start >= bytes->len) {
        memmove(bytes->memory, bytes_front(bytes), bytes->len);
        bytes->start = 0;
        return bytes->memory + bytes->len;
    }
    size_t capacity = bytes->capacity < CAPACITY_MIN ? CAPACITY_MIN : bytes->capacity;
    while (capacity < bytes->len + len)
        capacity += capacity / 2;
    unsigned char *memory = malloc(capacity);
    if (memory == NULL)
        return NULL;
    if (bytes->len > 0)
        memcpy(memory, bytes_front(bytes), bytes->len);
    free(bytes->memory);
    bytes->memory = memory;
    bytes->capacity = capacity;
    bytes->start = 0;
    return memory + bytes->len;
}

void bytes_added(struct bytes *bytes, size_t len)
{
    assert(bytes->start + bytes->len + len <= bytes->capacity);
    bytes->len += len;
}

bool bytes_append(struct bytes *bytes, const void *data, size_t len)
{
    unsigned char *room = bytes_room(bytes, len);
    if (room == NULL)
        return false;
    memcpy(room, data, len);
    bytes->len += len;
    return true;
}

void bytes_take(struct bytes *bytes, size_t len)
{
    assert(len <= bytes->len);
    bytes->start += len;
    bytes->len -= len;
    if (bytes->len == 0)
        bytes->start = 0;
}

void bytes_clear(struct bytes *bytes)
{
    bytes->start = bytes->len = 0;
}

void bytes_release(struct bytes *bytes)
{
    free(bytes->memory);
    *bytes = (struct bytes){0};
}

void bytes_release_if_empty(struct bytes *bytes, size_t kept)
{
    if (bytes->len == 0 && bytes->capacity > kept)
        bytes_release(bytes);
}
