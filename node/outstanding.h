/* How much of what was sent on a connection its peer has not taken yet. */
#ifndef NODE_OUTSTANDING_H
#define NODE_OUTSTANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outstanding {
    int fd;
    uint64_t sent;     /* bytes given to libzmq since the first look */
    uint64_t taken;    /* bytes of these that the peer has taken, as known last */
    uint64_t reported; /* `taken` when outstanding_progress last said yes */
    uint64_t base;     /* TCP: acknowledged bytes that are none of `sent` */
    bool is_counted;   /* TCP: by the kernel; over ipc only "all of it" is ever known */
};

void outstanding_init(struct outstanding *outstanding, int fd);

static inline void outstanding_sent(struct outstanding *outstanding, size_t bytes)
{
    outstanding->sent += bytes;
}

static inline uint64_t outstanding_bytes(const struct outstanding *outstanding)
{
    return outstanding->sent - outstanding->taken;
}

/* True where more than `max` bytes are outstanding. Asks the kernel only where it might be so. */
bool outstanding_exceeds(struct outstanding *outstanding, size_t max);

/* True where the peer has taken `wanted` bytes or more since the last time that this was so, as of
 * the last outstanding_exceeds. */
bool outstanding_progress(struct outstanding *outstanding, uint64_t wanted);

#endif
