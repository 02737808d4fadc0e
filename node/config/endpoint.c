#include "node/config/endpoint.h"

#include "domain/base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/un.h>

#define TCP "tcp://"
#define IPC "ipc://"
#define IPC_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* tcp://HOST:PORT, taken apart. */
struct tcp {
    char host[ENDPOINT_SIZE];
    const char *port;
};

static bool starts_with(const char *string, const char *start)
{
    return strncmp(string, start, strlen(start)) == 0;
}

/* False: no colon between a host and a port. */
static bool tcp_split(const char *endpoint, struct tcp *out)
{
    const char *host = endpoint + strlen(TCP);
    const char *colon = strrchr(host, ':');
    if (!colon || (size_t)(colon - host) >= sizeof(out->host))
        return false;
    memcpy(out->host, host, (size_t)(colon - host));
    out->host[colon - host] = '\0';
    out->port = colon + 1;
    return true;
}

/* The address within [brackets]. */
static bool ipv6_parse(const char *host, struct in6_addr *out)
{
    char address[INET6_ADDRSTRLEN];
    size_t len = strlen(host);
    if (len < 2 || len - 2 >= sizeof(address) || host[0] != '[' || host[len - 1] != ']')
        return false;
    memcpy(address, host + 1, len - 2);
    address[len - 2] = '\0';
    return inet_pton(AF_INET6, address, out) == 1;
}

static const char *host_fault(const char *host, enum endpoint_use use)
{
    struct in6_addr ipv6;
    struct in_addr ipv4;
    if (host[0] == '[')
        return ipv6_parse(host, &ipv6) ? NULL : "what stands in [] must be an IPv6 address";
    if (strcmp(host, "*") == 0)
        return use == ENDPOINT_BIND ? NULL : "host * is for binding alone";
    if (host[0] == '\0' || host[strspn(host, LETTERS DIGITS ".-_")] != '\0')
        return "the host must be an IPv4 address, an IPv6 address in [] or a name";
    /* libzmq would read "127.1" in its own way. */
    if (host[strspn(host, DIGITS ".")] == '\0' && inet_pton(AF_INET, host, &ipv4) != 1)
        return "an IPv4 address is four numbers from 0 to 255";
    return NULL;
}

/* libzmq takes 70000 for 4464, so the port is looked at here. */
static const char *port_fault(const char *port, enum endpoint_use use)
{
    bool is_open = strcmp(port, "*") == 0 || strcmp(port, "0") == 0;
    if (is_open)
        return use == ENDPOINT_BIND ? NULL : "ports * and 0 are for binding alone";
    size_t len = strlen(port);
    bool is_number = len >= 1 && len <= 5 && strspn(port, DIGITS) == len && port[0] != '0';
    if (!is_number || strtol(port, NULL, 10) > 65535)
        return use == ENDPOINT_BIND ? "the port must be 0 to 65535 or *"
                                    : "the port must be 1 to 65535";
    return NULL;
}

static const char *tcp_fault(const char *endpoint, enum endpoint_use use)
{
    struct tcp tcp;
    if (!tcp_split(endpoint, &tcp))
        return "must be tcp://HOST:PORT";
    const char *fault = host_fault(tcp.host, use);
    return fault ? fault : port_fault(tcp.port, use);
}

static const char *ipc_fault(const char *path, enum endpoint_use use)
{
    _Static_assert(IPC_PATH_MAX == 107, "the message names it");
    size_t len = strlen(path);
    if (len == 0 || strcmp(path, "@") == 0)
        return "ipc:// needs a path";
    if (len > IPC_PATH_MAX)
        return "an ipc path has 107 bytes at most";
    if (strcmp(path, "*") == 0 && use == ENDPOINT_CONNECT)
        return "ipc://* is for binding alone";
    return NULL;
}

const char *endpoint_fault(const char *endpoint, enum endpoint_use use)
{
    if (strlen(endpoint) >= ENDPOINT_SIZE)
        return "an endpoint has 319 bytes at most";
    for (const char *c = endpoint; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '"')
            return "an endpoint has no control characters and no double quotes";
    if (starts_with(endpoint, TCP))
        return tcp_fault(endpoint, use);
    if (starts_with(endpoint, IPC))
        return ipc_fault(endpoint + strlen(IPC), use);
    return "must start with tcp:// or ipc://";
}

void endpoint_copy(char *out, const char *endpoint, enum endpoint_use use)
{
    struct tcp tcp;
    if (use == ENDPOINT_BIND && starts_with(endpoint, TCP) && tcp_split(endpoint, &tcp) &&
        strcasecmp(tcp.host, "localhost") == 0)
        snprintf(out, ENDPOINT_SIZE, TCP "127.0.0.1:%s", tcp.port);
    else
        snprintf(out, ENDPOINT_SIZE, "%s", endpoint);
}

bool endpoint_is_local(const char *endpoint, enum endpoint_use use)
{
    struct tcp tcp;
    struct in_addr ipv4;
    struct in6_addr ipv6;
    if (!starts_with(endpoint, TCP) || !tcp_split(endpoint, &tcp))
        return starts_with(endpoint, IPC);
    if (inet_pton(AF_INET, tcp.host, &ipv4) == 1)
        return ntohl(ipv4.s_addr) >> 24 == 127;
    if (ipv6_parse(tcp.host, &ipv6))
        return IN6_IS_ADDR_LOOPBACK(&ipv6);
    /* To connect, `lo` is a host name like any other. */
    return strcasecmp(tcp.host, "localhost") == 0 ||
           (use == ENDPOINT_BIND && strcmp(tcp.host, "lo") == 0);
}

bool endpoint_is_ipv6(const char *endpoint)
{
    return starts_with(endpoint, TCP "[");
}

bool endpoint_collides(const char *a, const char *b)
{
    size_t len = strlen(a);
    bool is_open =
        strcmp(a, IPC "*") == 0 ||
        (starts_with(a, TCP) && (strcmp(a + len - 2, ":*") == 0 || strcmp(a + len - 2, ":0") == 0));
    return !is_open && strcmp(a, b) == 0;
}
