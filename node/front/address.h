/* Endpoints as addresses of the system, and back. */
#ifndef NODE_FRONT_ADDRESS_H
#define NODE_FRONT_ADDRESS_H

#include "node/config/endpoint.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_storage storage;
    } as;
    socklen_t len;
};

/* What tcp://HOST:PORT names, taken apart for a look-up; the brackets of [IPv6] are gone. */
struct address_name {
    char host[ENDPOINT_SIZE];
    char port[8];
};

/* False: it is ipc. Requires: endpoint_fault found none. */
bool address_name(const char *endpoint, struct address_name *out);

/* The address to bind: `*`, numbers, the name of an interface, or a path. Nothing is looked up.
 * False: errno says why. */
bool address_to_bind(const char *endpoint, struct address *out);

/* The address where the host is one in numbers. False: it is a name. */
bool address_of_numbers(const struct address_name *name, struct address *out);

/* The address of ipc://PATH; @ begins an abstract name. Requires: it is an ipc endpoint. */
void address_of_path(const char *endpoint, struct address *out);

/* tcp://HOST:PORT of an address. Requires: it is IPv4 or IPv6. */
void address_print(const struct address *address, char out[ENDPOINT_SIZE]);

/* The path in the file system of an ipc endpoint. NULL: it has none. */
const char *address_path(const char *endpoint);

#endif
