#include "node/front/lookup.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
    struct address_name name;
    struct addrinfo *found;
    /* Whoever comes second, the thread with its result or the owner who wants it no more, frees. */
    _Atomic int state;
};

enum { LOOKING, DONE, LEFT };

static void release(struct lookup *lookup)
{
    if (lookup->found != NULL)
        freeaddrinfo(lookup->found);
    free(lookup);
}

static void *run(void *argument)
{
    struct lookup *lookup = argument;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int looking = LOOKING;
    if (getaddrinfo(lookup->name.host, lookup->name.port, &hints, &lookup->found) != 0)
        lookup->found = NULL;
    if (!atomic_compare_exchange_strong(&lookup->state, &looking, DONE))
        release(lookup);
    return NULL;
}

struct lookup *lookup_start(const struct address_name *name)
{
    pthread_t thread;
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return NULL;
    lookup->name = *name;
    atomic_init(&lookup->state, LOOKING);
    if (pthread_create(&thread, NULL, run, lookup) != 0) {
        free(lookup);
        return NULL;
    }
    pthread_detach(thread);
    return lookup;
}

bool lookup_is_done(const struct lookup *lookup)
{
    return atomic_load(&lookup->state) == DONE;
}

bool lookup_address(const struct lookup *lookup, unsigned turn, struct address *out)
{
    unsigned count = 0;
    assert(lookup_is_done(lookup));
    for (const struct addrinfo *one = lookup->found; one != NULL; one = one->ai_next)
        count++;
    const struct addrinfo *chosen = lookup->found;
    for (unsigned i = count > 0 ? turn % count : 0; i > 0; i--)
        chosen = chosen->ai_next;
    if (chosen == NULL || chosen->ai_addrlen > sizeof out->as)
        return false;
    memcpy(&out->as, chosen->ai_addr, chosen->ai_addrlen);
    out->len = chosen->ai_addrlen;
    return true;
}

void lookup_destroy(struct lookup **lookup)
{
    int looking = LOOKING;
    if (*lookup != NULL && !atomic_compare_exchange_strong(&(*lookup)->state, &looking, LEFT))
        release(*lookup);
    *lookup = NULL;
}
