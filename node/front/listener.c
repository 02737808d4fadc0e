#include "node/front/listener.h"

#include "node/front/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the kernel keeps of a connection. Without limits of ours that would be some megabytes for
 * each peer that does not read. */
#define KERNEL_RECEIVE_BYTES (128 * 1024)
#define KERNEL_SEND_BYTES (256 * 1024)

static void set(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

/* The options of TCP do not exist for a local socket, which does without. */
void listener_prepare(int fd)
{
    set(fd, SOL_SOCKET, SO_RCVBUF, KERNEL_RECEIVE_BYTES);
    set(fd, SOL_SOCKET, SO_SNDBUF, KERNEL_SEND_BYTES);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Makes way for a socket at the path of an ipc endpoint: one that a process has left behind is
 * removed. NULL, or why that may not be: a file there is somebody's, or the socket is served. That
 * nobody serves it is known by its refusal alone; a full queue of connections, say, is none. */
static const char *make_way(const char *path, const struct address *address)
{
    struct stat file;
    if (lstat(path, &file) != 0)
        return NULL;
    if (!S_ISSOCK(file.st_mode))
        return "a file is there that is no socket";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_left = fd >= 0 && connect(fd, &address->as.any, address->len) != 0 &&
                   (errno == ECONNREFUSED || errno == ENOENT);
    if (fd >= 0)
        close(fd);
    if (!is_left)
        return "it is in use";
    unlink(path);
    return NULL;
}

/* The ipc path * is a socket in a directory of its own. */
static bool make_directory(struct listener *listener)
{
    const char *base = getenv("TMPDIR");
    snprintf(listener->directory, sizeof listener->directory, "%s/allocd-XXXXXX",
             base != NULL && strlen(base) < 64 ? base : "/tmp");
    if (mkdtemp(listener->directory) == NULL) {
        listener->directory[0] = '\0';
        return false;
    }
    snprintf(listener->bound, sizeof listener->bound, "ipc://%.200s/socket", listener->directory);
    return true;
}

static bool open_socket(struct listener *listener, const struct address *address, int waiting)
{
    listener->fd = socket(address->as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return false;
    set(listener->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address->as.any.sa_family == AF_INET6)
        set(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    listener_prepare(listener->fd); /* over TCP what is accepted has it from here */
    return bind(listener->fd, &address->as.any, address->len) == 0 &&
           listen(listener->fd, waiting) == 0;
}

static bool identify(const char *path, dev_t *device, ino_t *inode)
{
    struct stat file;
    if (lstat(path, &file) != 0)
        return false;
    *device = file.st_dev;
    *inode = file.st_ino;
    return true;
}

static const char *open_at(struct listener *listener, int waiting)
{
    struct address address;
    if (!address_to_bind(listener->bound, &address))
        return strerror(errno);
    const char *path = address_path(listener->bound);
    const char *why = path != NULL ? make_way(path, &address) : NULL;
    if (why != NULL)
        return why;
    if (!open_socket(listener, &address, waiting))
        return errno == EADDRINUSE ? "it is in use" : strerror(errno);
    if (path != NULL)
        identify(path, &listener->device, &listener->inode);
    address.len = sizeof address.as;
    if (address.as.any.sa_family != AF_UNIX &&
        getsockname(listener->fd, &address.as.any, &address.len) == 0)
        address_print(&address, listener->bound);
    return NULL;
}

bool listener_open(struct listener *listener, const char *endpoint, int connections_waiting,
                   char error[ERROR_BYTES])
{
    *listener = (struct listener){.fd = -1};
    snprintf(listener->bound, sizeof listener->bound, "%s", endpoint);
    bool is_named = strcmp(endpoint, "ipc://*") != 0 || make_directory(listener);
    const char *why = is_named ? open_at(listener, connections_waiting) : strerror(errno);
    if (why == NULL)
        return true;
    snprintf(error, ERROR_BYTES, "cannot bind %s: %s", endpoint, why);
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1; /* a file that is there is not ours */
    if (listener->directory[0] != '\0')
        rmdir(listener->directory);
    return false;
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    close(listener->fd);
    listener->fd = -1;
    const char *path = address_path(listener->bound);
    dev_t device;
    ino_t inode;
    if (path != NULL && identify(path, &device, &inode) && device == listener->device &&
        inode == listener->inode)
        unlink(path);
    if (listener->directory[0] != '\0')
        rmdir(listener->directory);
}

int listener_accept(const struct listener *listener)
{
    return accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}
