#include "node/sockets.h"

#include <errno.h>

void socket_set(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof value);
    assert(rc == 0);
    (void)rc;
}

void *socket_new(void *context, int type, const struct config *config, const char *endpoint)
{
    void *socket = zmq_socket(context, type);
    if (socket == NULL)
        return NULL;
    int64_t frame_max = FRAME_MAX_BYTES;
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max);
    socket_set(socket, ZMQ_LINGER, LINGER_MS);
    socket_set(socket, ZMQ_HANDSHAKE_IVL, config->handshake_ms);
    socket_set(socket, ZMQ_HEARTBEAT_IVL, config->heartbeat_ms);
    socket_set(socket, ZMQ_HEARTBEAT_TIMEOUT, config->heartbeat_timeout_ms);
    socket_set(socket, ZMQ_TCP_KEEPALIVE, 1);
    socket_set(socket, ZMQ_BACKLOG, config->backlog);
    if (endpoint_is_ipv6(endpoint))
        socket_set(socket, ZMQ_IPV6, 1);
    return socket;
}

bool socket_bind(void *socket, const char *endpoint, char bound[ENDPOINT_SIZE],
                 char error[SOCKET_ERROR_BYTES])
{
    size_t size = ENDPOINT_SIZE;
    if (zmq_bind(socket, endpoint) == 0 &&
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) == 0)
        return true;
    const char *why = errno == EADDRINUSE ? "it is in use" : zmq_strerror(errno);
    snprintf(error, SOCKET_ERROR_BYTES, "cannot bind %s: %s", endpoint, why);
    return false;
}
