#include "tools/zmq_send/connection.h"

#include "tools/zmq_send/clock.h"
#include "tools/zmq_send/intake.h"
#include "tools/zmq_send/report.h"
#include "tools/zmq_send/trace.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#define MONITORED                                                                                  \
    (ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |  \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                       \
     ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED)

/* The I/O thread of requests, and that of events: see intake.h. Bits of ZMQ_AFFINITY. */
#define REQUESTS_THREAD 1u
#define EVENTS_THREAD 2u

/* A socket that is told not to reconnect, or not to queue what it cannot send yet (ZMQ_IMMEDIATE),
 * throws away what waits when its connection ends, and aborts where half of a message was taken. So
 * it may reconnect, in twelve days. */
#define NEVER_MS (INT_MAX / 2)

/* A subscriber may hear nothing from a machine that lost its power; this tells it so. */
#define PEER_HEARTBEAT_MS 5000
#define PEER_SILENCE_MS 15000

#define NOT_SPOKEN "what listens there does not speak the protocol"

static bool tcp_is_valid(const char *address)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || strpbrk(address, " \t\n/") != NULL)
        return false;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0')
        return false;
    long port = strtol(colon + 1, NULL, 10);
    return port >= 1 && port <= 65535;
}

bool endpoint_is_valid(const char *endpoint)
{
    if (strncmp(endpoint, "tcp://", 6) == 0)
        return tcp_is_valid(endpoint + 6);
    size_t path_max = sizeof((struct sockaddr_un *)NULL)->sun_path;
    return strncmp(endpoint, "ipc://", 6) == 0 && endpoint[6] != '\0' &&
           strlen(endpoint + 6) < path_max;
}

static bool set_option(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_options(void *socket, int socket_type, const char *endpoint)
{
    /* With IPv6 on, a name such as localhost would mean its IPv6 address alone. */
    bool is_ipv6 = strncmp(endpoint, "tcp://[", 7) == 0;
    uint64_t thread = socket_type == ZMQ_SUB ? EVENTS_THREAD : REQUESTS_THREAD;
    return zmq_setsockopt(socket, ZMQ_AFFINITY, &thread, sizeof thread) == 0 &&
           set_option(socket, ZMQ_LINGER, 0) && set_option(socket, ZMQ_RECONNECT_IVL, NEVER_MS) &&
           set_option(socket, ZMQ_IPV6, is_ipv6) && set_option(socket, ZMQ_SNDHWM, 0) &&
           set_option(socket, ZMQ_RCVHWM, 0) &&
           (socket_type != ZMQ_SUB || (set_option(socket, ZMQ_HEARTBEAT_IVL, PEER_HEARTBEAT_MS) &&
                                       set_option(socket, ZMQ_HEARTBEAT_TIMEOUT, PEER_SILENCE_MS)));
}

static bool open_monitor(struct connection *connection)
{
    static unsigned opened; /* each monitor needs a name of its own */
    char name[40];
    snprintf(name, sizeof name, "inproc://monitor-%u", ++opened);
    if (zmq_socket_monitor(connection->socket, name, MONITORED) != 0)
        return false;
    connection->monitor = zmq_socket(connection->transport.context, ZMQ_PAIR);
    return connection->monitor != NULL && set_option(connection->monitor, ZMQ_LINGER, 0) &&
           zmq_connect(connection->monitor, name) == 0;
}

struct connection *connection_open(struct transport transport, int socket_type,
                                   const char *endpoint, const char **why)
{
    struct connection *connection = must_have(calloc(1, sizeof *connection));
    connection->transport = transport;
    connection->endpoint = endpoint;
    connection->opened_ms = clock_now_ms();
    connection->fd = -1;
    connection->why = "nobody answers there";
    connection->socket = zmq_socket(transport.context, socket_type);
    if (connection->socket != NULL && set_options(connection->socket, socket_type, endpoint) &&
        open_monitor(connection) && zmq_connect(connection->socket, endpoint) == 0)
        return connection;
    *why = zmq_strerror(zmq_errno());
    connection_close(&connection);
    return NULL;
}

void connection_close(struct connection **connection)
{
    struct connection *old = *connection;
    *connection = NULL;
    if (old == NULL)
        return;
    old->transport.verbose = false;
    if (old->monitor != NULL)
        connection_update(old); /* it may have a descriptor by now, or have lost it */
    if (old->state != CONNECTION_DOWN)
        intake_end(old->fd);
    if (old->socket != NULL) {
        zmq_socket_monitor(old->socket, NULL, 0);
        zmq_close(old->socket);
    }
    if (old->monitor != NULL)
        zmq_close(old->monitor);
    free(old);
}

_Static_assert(ZMTP_FRAME_BYTES_MAX == 1 << 20 && ZMTP_FRAMES_MAX == 4, "the text below says so");

static void take_end(struct connection *connection)
{
    enum zmtp_fault fault = intake_fault(connection->fd);
    connection->state = CONNECTION_DOWN;
    connection->refused = connection->refused || fault == ZMTP_NOT_SPOKEN;
    connection->is_broken = fault == ZMTP_TOO_LARGE;
    if (fault == ZMTP_NOT_SPOKEN)
        connection->why = NOT_SPOKEN;
    else if (fault == ZMTP_TOO_LARGE)
        connection->why = "a frame has more than 1 MiB, or a message more than 4 frames";
}

static void take_event(struct connection *connection, unsigned event, uint32_t value)
{
    switch (event) {
    case ZMQ_EVENT_CONNECTED:
        connection->fd = (int)value;
        break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        connection->state = CONNECTION_UP;
        connection->why = "the connection was closed";
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        connection->refused = true;
        connection->why = "it does not let this client in";
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        connection->refused = true;
        connection->why = value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
                              ? "it does not let this client in without encryption"
                              : NOT_SPOKEN;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        connection->why = "it closed the connection during the handshake";
        break;
    default: /* DISCONNECTED, or CLOSED: the attempt failed */
        take_end(connection);
        break;
    }
    if (connection->transport.verbose && (connection->state != CONNECTION_OPENING))
        trace_event(connection->endpoint,
                    connection->state == CONNECTION_UP ? "connected" : connection->why);
}

void connection_update(struct connection *connection)
{
    struct {
        uint16_t event;
        uint32_t value;
    } report;
    unsigned char bytes[6]; /* as zmq_socket_monitor lays them out; the address follows */
    char address[1];
    while (zmq_recv(connection->monitor, bytes, sizeof bytes, ZMQ_DONTWAIT) == sizeof bytes) {
        memcpy(&report.event, bytes, sizeof report.event);
        memcpy(&report.value, bytes + sizeof report.event, sizeof report.value);
        zmq_recv(connection->monitor, address, sizeof address, ZMQ_DONTWAIT);
        take_event(connection, report.event, report.value);
    }
}

void connection_poll_items(const struct connection *connection, bool can_send,
                           zmq_pollitem_t items[CONNECTION_POLL_ITEMS])
{
    items[0] = (zmq_pollitem_t){connection->monitor, 0, ZMQ_POLLIN, 0};
    items[1] = (zmq_pollitem_t){connection->socket, 0, ZMQ_POLLIN, 0};
    if (can_send)
        items[1].events |= ZMQ_POLLOUT;
}

void connection_subscribe(struct connection *connection, const char *prefix)
{
    zmq_setsockopt(connection->socket, ZMQ_SUBSCRIBE, prefix, strlen(prefix));
    if (connection->transport.verbose) {
        trace_event(connection->endpoint, "subscribe");
        trace_frame("->", 0, text_of(prefix), false);
    }
}

/* The first frame of the envelope of a request, where it has two. The number's byte order is
 * nobody else's business. */
static struct text number_frame(const uint32_t *number)
{
    return (struct text){(const char *)number, sizeof *number};
}

static bool send_frame(struct connection *connection, struct text frame, int flags)
{
    return zmq_send(connection->socket, frame.data, frame.len, ZMQ_DONTWAIT | flags) >= 0;
}

bool connection_send(struct connection *connection, struct text body)
{
    struct text number = number_frame(&connection->requests);
    bool is_numbered = connection->requests > 0;
    if ((is_numbered && !send_frame(connection, number, ZMQ_SNDMORE)) ||
        !send_frame(connection, text_of(""), ZMQ_SNDMORE) || !send_frame(connection, body, 0))
        return false;
    if (connection->transport.verbose) {
        if (is_numbered)
            trace_frame("->", 0, number, false);
        trace_frame("->", is_numbered, text_of(""), false);
        trace_frame("->", 1u + is_numbered, body, true);
    }
    connection->requests++;
    return true;
}

bool connection_receive(struct connection *connection, struct frames *out)
{
    out->count = 0;
    for (bool more = true; more; out->count++) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, connection->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            frames_close(out); /* empty but at a shutdown: a message arrives as a whole */
            connection->had_to_wait = intake_drained(connection->fd) || connection->had_to_wait;
            return false;
        }
        more = zmq_msg_more(&frame);
        if (connection->transport.verbose)
            trace_frame("<-", out->count, frame_text(&frame), !more);
        if (out->count < FRAMES_MAX) {
            zmq_msg_init(&out->frames[out->count]);
            zmq_msg_move(&out->frames[out->count], &frame);
        }
        zmq_msg_close(&frame);
    }
    return true;
}

zmq_msg_t *connection_take_reply(struct connection *connection, struct frames *received)
{
    uint32_t number = connection->replies++;
    zmq_msg_t *frame = received->frames;
    bool is_numbered = number > 0;
    bool is_reply = received->count == 2u + is_numbered &&
                    (!is_numbered || text_equal(frame_text(frame++), number_frame(&number))) &&
                    zmq_msg_size(frame++) == 0;
    return is_reply ? frame : NULL;
}

void frames_close(struct frames *frames)
{
    for (size_t i = 0; i < frames->count && i < FRAMES_MAX; i++)
        zmq_msg_close(&frames->frames[i]);
    frames->count = 0;
}

struct text frame_text(zmq_msg_t *frame)
{
    return (struct text){zmq_msg_data(frame), zmq_msg_size(frame)};
}
