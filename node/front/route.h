/* The frame that comes before the body of each request that the front passes on, and of each reply
 * that comes back: where the reply goes. The node treats it as the envelope of RFC 28 and gives it
 * back as it came. */
#ifndef NODE_FRONT_ROUTE_H
#define NODE_FRONT_ROUTE_H

#include <stdint.h>

enum route_kind {
    ROUTE_REQUEST,      /* one body */
    ROUTE_TOO_LARGE,    /* a body over REQUEST_MAX_BYTES, which was not kept */
    ROUTE_NOT_ONE_BODY, /* none, or several */
    ROUTE_NUDGE,        /* no message: what had to wait for a client need not any more */
    ROUTE_WELCOME,      /* no message: a subscriber waits for a Welcome */
    ROUTE_END           /* no message, and the last thing that the front passes on */
};

/* The envelope follows, as it goes over the wire. An empty body as the answer says that there is no
 * reply; each request is answered once, as it keeps its client's slot. */
struct route {
    uint32_t slot; /* of the client, see front_client_state */
    uint32_t cost; /* bytes of memory that the request takes */
    uint32_t kind; /* enum route_kind */
};

#endif
