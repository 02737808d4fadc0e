#include "node/outstanding.h"

/* The kernel's own header: that of the C library has no tcpi_bytes_acked. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

/* Bytes that the peer's kernel has acknowledged since the connection was made (RFC 4898,
 * tcpEStatsAppHCThruOctetsAcked). False: it is no TCP connection. */
static bool acknowledged(int fd, uint64_t *out)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked)
        return false;
    *out = info.tcpi_bytes_acked;
    return true;
}

void outstanding_init(struct outstanding *outstanding, int fd)
{
    *outstanding = (struct outstanding){.fd = fd};
    outstanding->is_counted = acknowledged(fd, &outstanding->base);
}

static void refresh(struct outstanding *o)
{
    uint64_t acked;
    int queued;
    if (acknowledged(o->fd, &acked)) {
        /* Heartbeats are acknowledged too, and are not counted in `sent`. */
        if (acked - o->base > o->sent)
            o->base = acked - o->sent;
        o->taken = acked - o->base;
    } else if (ioctl(o->fd, SIOCOUTQ, &queued) == 0 && queued == 0) {
        /* A local socket tells what its peer has not read. With nothing there, libzmq has nothing
         * left to write either, or is about to. */
        o->taken = o->sent;
    }
}

bool outstanding_exceeds(struct outstanding *outstanding, size_t max)
{
    if (outstanding_bytes(outstanding) <= max)
        return false;
    refresh(outstanding);
    return outstanding_bytes(outstanding) > max;
}

bool outstanding_progress(struct outstanding *outstanding, uint64_t wanted)
{
    if (outstanding->taken - outstanding->reported < wanted)
        return false;
    outstanding->reported = outstanding->taken;
    return true;
}
