#include "node/front/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TCP "tcp://"
#define IPC "ipc://"

bool address_name(const char *endpoint, struct address_name *out)
{
    if (strncmp(endpoint, TCP, strlen(TCP)) != 0)
        return false;
    const char *host = endpoint + strlen(TCP);
    const char *colon = strrchr(host, ':');
    assert(colon != NULL);
    size_t len = (size_t)(colon - host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    snprintf(out->host, sizeof out->host, "%.*s", (int)len, host);
    snprintf(out->port, sizeof out->port, "%s", strcmp(colon + 1, "*") == 0 ? "0" : colon + 1);
    return true;
}

/* The first IPv4 address of a network interface. False: there is no such interface. */
static bool find_interface(const char *name, struct sockaddr_in *out)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return false;
    bool found = false;
    for (const struct ifaddrs *one = all; one != NULL && !found; one = one->ifa_next) {
        found = strcmp(one->ifa_name, name) == 0 && one->ifa_addr != NULL &&
                one->ifa_addr->sa_family == AF_INET;
        if (found)
            memcpy(out, one->ifa_addr, sizeof *out);
    }
    freeifaddrs(all);
    if (!found)
        errno = ENODEV;
    return found;
}

bool address_of_numbers(const struct address_name *name, struct address *out)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    in_port_t port = htons((uint16_t)strtoul(name->port, NULL, 10));
    ipv4.sin_port = ipv6.sin6_port = port;
    if (inet_pton(AF_INET6, name->host, &ipv6.sin6_addr) == 1) {
        out->len = sizeof ipv6;
        memcpy(&out->as, &ipv6, sizeof ipv6);
    } else if (inet_pton(AF_INET, name->host, &ipv4.sin_addr) == 1) {
        out->len = sizeof ipv4;
        memcpy(&out->as, &ipv4, sizeof ipv4);
    } else {
        return false;
    }
    return true;
}

static bool bind_tcp(const struct address_name *name, struct address *out)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    if (address_of_numbers(name, out))
        return true;
    if (strcmp(name->host, "*") != 0 && !find_interface(name->host, &ipv4))
        return false;
    ipv4.sin_port = htons((uint16_t)strtoul(name->port, NULL, 10));
    out->len = sizeof ipv4;
    memcpy(&out->as, &ipv4, sizeof ipv4);
    return true;
}

void address_of_path(const char *endpoint, struct address *out)
{
    const char *path = endpoint + strlen(IPC);
    size_t len = strlen(path);
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    assert(len < sizeof local.sun_path);
    memcpy(local.sun_path, path, len);
    out->len = (socklen_t)sizeof local;
    if (path[0] == '@') {
        local.sun_path[0] = '\0';
        out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    }
    memcpy(&out->as, &local, sizeof local);
}

bool address_to_bind(const char *endpoint, struct address *out)
{
    struct address_name name;
    *out = (struct address){.len = 0};
    if (address_name(endpoint, &name))
        return bind_tcp(&name, out);
    address_of_path(endpoint, out);
    return true;
}

void address_print(const struct address *address, char out[ENDPOINT_SIZE])
{
    char host[INET6_ADDRSTRLEN];
    if (address->as.any.sa_family == AF_INET6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, &address->as, sizeof ipv6);
        inet_ntop(AF_INET6, &ipv6.sin6_addr, host, sizeof host);
        snprintf(out, ENDPOINT_SIZE, TCP "[%s]:%u", host, ntohs(ipv6.sin6_port));
    } else {
        struct sockaddr_in ipv4;
        assert(address->as.any.sa_family == AF_INET);
        memcpy(&ipv4, &address->as, sizeof ipv4);
        inet_ntop(AF_INET, &ipv4.sin_addr, host, sizeof host);
        snprintf(out, ENDPOINT_SIZE, TCP "%s:%u", host, ntohs(ipv4.sin_port));
    }
}

const char *address_path(const char *endpoint)
{
    if (strncmp(endpoint, IPC, strlen(IPC)) != 0 || endpoint[strlen(IPC)] == '@')
        return NULL;
    return endpoint + strlen(IPC);
}
