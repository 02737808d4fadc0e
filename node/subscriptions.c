#include "node/subscriptions.h"

#include "store/hash.h"

#include <stdlib.h>
#include <sys/random.h>

#define FREE 0u
#define REMOVED 1u /* was in use: the search goes on behind it */
#define FIRST_HASH 2u
#define CAPACITY_MIN 64u /* a power of two */

/* A hash set with open addressing. */
struct subscriber {
    uint64_t *slots;
    size_t capacity; /* 0, or a power of two */
    size_t used;     /* slots that are not FREE */
    size_t count;    /* of these, those in use */
    size_t bytes;
};

struct subscriptions {
    struct subscriber *by_fd;
    size_t fd_capacity;
    size_t max_bytes;
    uint64_t seed; /* so that nobody can choose prefixes that collide */
};

struct subscriptions *subscriptions_new(size_t max_bytes)
{
    struct subscriptions *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->max_bytes = max_bytes;
    if (getrandom(&s->seed, sizeof s->seed, 0) != (ssize_t)sizeof s->seed)
        subscriptions_destroy(&s);
    return s;
}

void subscriptions_destroy(struct subscriptions **subscriptions)
{
    struct subscriptions *s = *subscriptions;
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->fd_capacity; i++)
        free(s->by_fd[i].slots);
    free(s->by_fd);
    free(s);
    *subscriptions = NULL;
}

static struct subscriber *find(struct subscriptions *s, int fd)
{
    assert(fd >= 0);
    return (size_t)fd < s->fd_capacity ? &s->by_fd[fd] : NULL;
}

static struct subscriber *find_or_make(struct subscriptions *s, int fd)
{
    struct subscriber *subscriber = find(s, fd);
    if (subscriber != NULL)
        return subscriber;
    size_t capacity = 2 * (size_t)fd + 64;
    struct subscriber *by_fd = realloc(s->by_fd, capacity * sizeof *by_fd);
    if (by_fd == NULL)
        return NULL;
    memset(by_fd + s->fd_capacity, 0, (capacity - s->fd_capacity) * sizeof *by_fd);
    s->by_fd = by_fd;
    s->fd_capacity = capacity;
    return &by_fd[fd];
}

/* Where the hash stands; else a slot where it can be put. Requires: a slot is FREE. */
static uint64_t *slot_of(const struct subscriber *subscriber, uint64_t hash)
{
    uint64_t *removed = NULL;
    for (size_t i = hash;; i++) {
        uint64_t *slot = &subscriber->slots[i & (subscriber->capacity - 1)];
        if (*slot == hash)
            return slot;
        if (*slot == FREE)
            return removed != NULL ? removed : slot;
        if (*slot == REMOVED && removed == NULL)
            removed = slot;
    }
}

/* Keeps a quarter free. */
static bool make_room(struct subscriber *subscriber)
{
    if (4 * (subscriber->used + 1) <= 3 * subscriber->capacity)
        return true;
    struct subscriber grown = *subscriber;
    for (grown.capacity = CAPACITY_MIN; grown.capacity < 2 * (subscriber->count + 1);)
        grown.capacity *= 2;
    grown.slots = calloc(grown.capacity, sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    for (size_t i = 0; i < subscriber->capacity; i++)
        if (subscriber->slots[i] >= FIRST_HASH)
            *slot_of(&grown, subscriber->slots[i]) = subscriber->slots[i];
    grown.used = grown.count;
    free(subscriber->slots);
    *subscriber = grown;
    return true;
}

static uint64_t hash_of(const struct subscriptions *s, struct text prefix)
{
    uint64_t hash = hash_bytes(prefix.data, prefix.len, s->seed);
    return hash < FIRST_HASH ? hash + FIRST_HASH : hash;
}

bool subscriptions_add(struct subscriptions *s, int fd, struct text prefix)
{
    struct subscriber *subscriber = find_or_make(s, fd);
    if (subscriber != NULL && subscriber->bytes > s->max_bytes)
        return true;
    if (subscriber == NULL || !make_room(subscriber))
        return false;
    uint64_t hash = hash_of(s, prefix);
    uint64_t *slot = slot_of(subscriber, hash);
    if (*slot == hash)
        return true;
    subscriber->used += *slot == FREE;
    subscriber->count++;
    subscriber->bytes += prefix.len + SUBSCRIPTION_BYTES;
    *slot = hash;
    return subscriber->bytes <= s->max_bytes;
}

void subscriptions_remove(struct subscriptions *s, int fd, struct text prefix)
{
    struct subscriber *subscriber = find(s, fd);
    if (subscriber == NULL || subscriber->capacity == 0)
        return;
    uint64_t hash = hash_of(s, prefix);
    uint64_t *slot = slot_of(subscriber, hash);
    if (*slot != hash)
        return;
    *slot = REMOVED;
    subscriber->count--;
    subscriber->bytes -= prefix.len + SUBSCRIPTION_BYTES;
}

void subscriptions_forget(struct subscriptions *s, int fd)
{
    struct subscriber *subscriber = find(s, fd);
    if (subscriber == NULL)
        return;
    free(subscriber->slots);
    *subscriber = (struct subscriber){0};
}
