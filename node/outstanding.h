/* How much of what was sent on a connection its peer has not taken yet. */
#ifndef NODE_OUTSTANDING_H
#define NODE_OUTSTANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outstanding {
    uint64_t sent;      /* bytes given to libzmq since the first look */
    uint64_t read;      /* bytes of these that the peer has taken, as known last */
    uint64_t read_then; /* `read` at some earlier time: the owner's */
    uint64_t base;      /* TCP: bytes that were acknowledged at the first look */
};

void outstanding_init(struct outstanding *outstanding, int fd);

static inline void outstanding_sent(struct outstanding *outstanding, size_t bytes)
{
    outstanding->sent += bytes;
}

/* True where more than `max` bytes are outstanding. Asks the kernel only where it might be so. */
bool outstanding_exceeds(struct outstanding *outstanding, int fd, size_t max);

#endif
