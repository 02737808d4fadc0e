/* A socket that connections are accepted from. */
#ifndef NODE_FRONT_LISTENER_H
#define NODE_FRONT_LISTENER_H

#include "domain/base/error.h"
#include "node/config/endpoint.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct listener {
    int fd;                        /* -1: closed */
    char bound[ENDPOINT_SIZE];     /* the endpoint */
    char directory[ENDPOINT_SIZE]; /* made for an ipc path of *, or empty */
    dev_t device;                  /* of the socket's file: another node may have put one there */
    ino_t inode;
};

/* Binds. Descriptors are not inherited and do not block. False: `error` says why not. */
bool listener_open(struct listener *listener, const char *endpoint, int connections_waiting,
                   char error[ERROR_BYTES]);

/* Also removes the socket's file, where it is still ours. */
void listener_close(struct listener *listener);

/* The next connection; -1: none waits, or errno says why it cannot be had. */
int listener_accept(const struct listener *listener);

/* How all stream sockets are set up here, listeners, accepted and connected ones. */
void listener_prepare(int fd);

#endif
