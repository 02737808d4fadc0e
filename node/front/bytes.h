/* Bytes that wait: appended at the end, taken from the front. */
#ifndef NODE_FRONT_BYTES_H
#define NODE_FRONT_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* All zeros: empty, and owning nothing. */
struct bytes {
    unsigned char *memory;
    size_t start; /* of what waits */
    size_t len;
    size_t capacity;
};

static inline const unsigned char *bytes_front(const struct bytes *bytes)
{
    return bytes->memory + bytes->start;
}

/* Room for `len` more, in one piece; what is written there counts after bytes_added. It lives until
 * the next call. NULL: no memory, and nothing has changed. */
unsigned char *bytes_room(struct bytes *bytes, size_t len);
void bytes_added(struct bytes *bytes, size_t len);

/* Copies them to the end. False: no memory, and nothing has changed. */
bool bytes_append(struct bytes *bytes, const void *data, size_t len);

/* Takes `len` from the front. Requires: as many wait. */
void bytes_take(struct bytes *bytes, size_t len);

/* Drops all, and keeps the memory. */
void bytes_clear(struct bytes *bytes);

/* Drops all, and gives the memory back. */
void bytes_release(struct bytes *bytes);

/* The same where nothing waits, and the memory is more than `kept` bytes. */
void bytes_release_if_empty(struct bytes *bytes, size_t kept);

#endif
