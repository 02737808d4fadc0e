#include "node/sockets.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define IPC "ipc://"

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
    /* libzmq 4.3.4 does not survive all that happens while it is at this mark: node/gate.h. */
    socket_set(socket, ZMQ_RCVHWM, 0);
    socket_set(socket, ZMQ_RCVBUF, KERNEL_BUFFER_BYTES);
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

/* libzmq removes whatever stands at the path of an ipc endpoint: a file of somebody's, or the
 * socket of another node that serves there. Says why it should not, NULL where it may. */
static const char *why_not_ipc(const char *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat file;
    if (strncmp(endpoint, IPC, strlen(IPC)) != 0 ||
        strlen(endpoint) - strlen(IPC) >= sizeof address.sun_path)
        return NULL;
    memcpy(address.sun_path, endpoint + strlen(IPC), strlen(endpoint) - strlen(IPC));
    if (lstat(address.sun_path, &file) != 0)
        return NULL;
    if (!S_ISSOCK(file.st_mode))
        return "a file is there that is no socket";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_served = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return is_served ? "it is in use" : NULL;
}

bool socket_bind(void *socket, const char *endpoint, char bound[ENDPOINT_SIZE],
                 char error[SOCKET_ERROR_BYTES])
{
    size_t size = ENDPOINT_SIZE;
    const char *why = why_not_ipc(endpoint);
    if (why == NULL && zmq_bind(socket, endpoint) == 0 &&
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) == 0)
        return true;
    if (why == NULL)
        why = errno == EADDRINUSE ? "it is in use" : zmq_strerror(errno);
    snprintf(error, SOCKET_ERROR_BYTES, "cannot bind %s: %s", endpoint, why);
    return false;
}

int socket_fd(void *socket)
{
    int fd = -1;
    size_t size = sizeof fd;
    int rc = zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
    assert(rc == 0);
    (void)rc;
    return fd;
}

bool socket_has_message(void *socket)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}
