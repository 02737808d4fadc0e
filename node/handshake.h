/* The handshake of a connection (RFC 23/ZMTP), looked at as it comes, in parts of any length.
 *
 * libzmq 4.3.4 never reads from a connection that claims a routing id that is in use, and keeps
 * what was sent on it for good. Replies go to connections here, so an id that a client chooses is
 * good for nothing: the property Identity is renamed, and libzmq gives each connection an id of its
 * own.
 */
#ifndef NODE_HANDSHAKE_H
#define NODE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zeros: nothing has come. */
struct handshake {
    uint64_t left;   /* bytes of the frame after the greeting */
    uint8_t seen;    /* bytes before that */
    uint8_t matched; /* bytes of the property's name that came last */
    bool is_over;
};

/* What comes next. False: the peer's ZMTP is older than 3.0, where ids stand elsewhere. */
bool handshake_pass(struct handshake *handshake, unsigned char *bytes, size_t len);

#endif
