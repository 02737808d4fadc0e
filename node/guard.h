/* The guard: a thread that watches the connections of both sockets, so that no peer makes libzmq
 * keep more than there is room for.
 *
 * The main thread cannot do that, as a commit keeps it for as long as the disk likes. The guard
 * compares what libzmq read from each connection (node/gate.h) with what the main thread was given
 * (node/flow.h). A peer whose whole messages wait has to wait too. Where messages that do not end
 * cost too much memory, who has most of them is cut off. The guard also refuses connections before
 * descriptors run out: libzmq spins without them.
 *
 * Functions are for the main thread. */
#ifndef NODE_GUARD_H
#define NODE_GUARD_H

#include "node/flow.h"
#include "node/gate.h"
#include "node/sockets.h"

struct guard;

enum guarded { GUARDED_COMMANDS, GUARDED_EVENTS, GUARDED_COUNT };

/* Connects nothing yet. NULL: `error` says why not. What is passed in must outlive it. */
struct guard *guard_new(void *context, const struct config *config, char error[SOCKET_ERROR_BYTES]);

/* Watches the connections that `socket` will have. Requires: it is not bound and the guard was not
 * started. False: libzmq is out of sockets or memory. */
bool guard_watch(struct guard *guard, enum guarded guarded, void *socket);

/* Starts the thread. False: it cannot. */
bool guard_start(struct guard *guard);

/* Ends the thread. Nothing is watched any more. */
void guard_stop(struct guard *guard);

/* To be called when the watched sockets are closed. */
void guard_destroy(struct guard **guard);

enum guard_news {
    GUARD_CONNECTED,
    GUARD_DISCONNECTED,
    GUARD_REFUSED, /* for want of descriptors; its end will be reported too */
    GUARD_CUT_OFF, /* for what it made libzmq keep; its end will be reported too */
    GUARD_NUDGE    /* no news: the guard waits for the main thread to look what there is to read */
};

struct guard_report {
    enum guarded guarded;
    enum guard_news news;
    int fd;
};

/* To wait for: it has a message when there are reports. */
void *guard_socket(const struct guard *guard);

/* False: there is none. */
bool guard_next(struct guard *guard, struct guard_report *report);

/* The main thread took a message, or found no whole one left. */
void guard_count_message(struct guard *guard, enum guarded guarded);
void guard_count_drain(struct guard *guard, enum guarded guarded);

/* Ends a connection. What it held is then given back to the system. */
void guard_cut_off(struct guard *guard, int fd);

#endif
