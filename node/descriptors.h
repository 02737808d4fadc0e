/* Whether the process may have as many descriptors as it needs. Without them a node would start and
 * serve nobody, and libzmq may abort. */
#ifndef NODE_DESCRIPTORS_H
#define NODE_DESCRIPTORS_H

#include "domain/base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    DESCRIPTORS_OF_SETUP = 32,  /* that the store and the sockets take, or fewer */
    DESCRIPTORS_FOR_FILES = 32, /* kept free; no connection is taken beyond them */
    DESCRIPTORS_CONNECTIONS_MIN =
        32 /* one for each connection, and so many there must be room for */
};

/* `to_come`: how many the node will open beside those. False: the limit is too low; `error` says
 * how high it must be, in one line. */
bool descriptors_suffice(size_t to_come, char error[ERROR_BYTES]);

/* How many are left for connections; 0: none. Requires: all others are open. */
size_t descriptors_for_connections(void);

#endif
