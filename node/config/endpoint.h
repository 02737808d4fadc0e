/* Endpoints: which ones the node takes, and which of them stay on this machine. */
#ifndef NODE_CONFIG_ENDPOINT_H
#define NODE_CONFIG_ENDPOINT_H

#include <stdbool.h>

#define ENDPOINT_SIZE 320 /* bytes, the NUL counted: a host name of 253 bytes fits */

enum endpoint_use { ENDPOINT_BIND, ENDPOINT_CONNECT };

/* NULL: well-formed. Otherwise the rule that it breaks, static text. Taken are
 * tcp://HOST:PORT (HOST an IPv4 address, [IPv6], or a name, which to bind is an interface or
 * localhost) and ipc://PATH. To bind also host *, port * or 0, and the ipc path *, all of which
 * libzmq fills in. */
const char *endpoint_fault(const char *endpoint, enum endpoint_use use);

/* Copies it, with the host `localhost` of an endpoint to bind as 127.0.0.1: libzmq looks up no
 * names there. Requires: no fault; `out` has ENDPOINT_SIZE bytes. */
void endpoint_copy(char *out, const char *endpoint, enum endpoint_use use);

/* True where nobody beyond this machine can be at the other end: ipc, 127.0.0.0/8, [::1],
 * localhost and, to bind, the interface lo. Requires: no fault. */
bool endpoint_is_local(const char *endpoint, enum endpoint_use use);

/* True for a host in brackets. libzmq takes it only with ZMQ_IPV6 set, which would change how
 * other endpoints are bound and shown. Requires: no fault. */
bool endpoint_is_ipv6(const char *endpoint);

/* True where two sockets cannot both be bound: the same text, and nothing left for libzmq to
 * choose. Requires: both are as endpoint_copy made them, to bind. */
bool endpoint_collides(const char *a, const char *b);

#endif
