#include "node/zmq/inner.h"

#include <string.h>

/* What one thread writes into a message before it sends it, another reads after it has received it.
 * libzmq's queues order the two. ThreadSanitizer does not see that, as libzmq is not built with it,
 * and is told here. */
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
static char handed_over[2]; /* to the front, to the node */
#define HANDS_OVER(inner) __tsan_release(&handed_over[(inner)->end == INNER_CONNECT])
#define TAKES_OVER(inner) __tsan_acquire(&handed_over[(inner)->end == INNER_BIND])
#else
#define HANDS_OVER(inner) ((void)(inner))
#define TAKES_OVER(inner) ((void)(inner))
#endif

bool inner_open(struct inner *inner, void *context, int type, enum inner_end end,
                const char *endpoint, int queue)
{
    int linger = 0;
    size_t size = sizeof inner->fd;
    inner->has_news = true;
    inner->flags = ZMQ_DONTWAIT;
    inner->end = end;
    inner->socket = zmq_socket(context, type);
    return inner->socket != NULL &&
           zmq_setsockopt(inner->socket, ZMQ_LINGER, &linger, sizeof linger) == 0 &&
           zmq_setsockopt(inner->socket, ZMQ_SNDHWM, &queue, sizeof queue) == 0 &&
           zmq_setsockopt(inner->socket, ZMQ_RCVHWM, &queue, sizeof queue) == 0 &&
           zmq_getsockopt(inner->socket, ZMQ_FD, &inner->fd, &size) == 0 &&
           (end == INNER_BIND ? zmq_bind(inner->socket, endpoint)
                              : zmq_connect(inner->socket, endpoint)) == 0;
}

bool inner_waits(struct inner *inner, int milliseconds)
{
    inner->flags = 0;
    return zmq_setsockopt(inner->socket, ZMQ_SNDTIMEO, &milliseconds, sizeof milliseconds) == 0;
}

void inner_close(struct inner *inner)
{
    if (inner->socket != NULL)
        zmq_close(inner->socket);
    inner->socket = NULL;
}

bool inner_receive(struct inner *inner, zmq_msg_t *frame)
{
    if (!inner->has_news)
        return false;
    zmq_msg_init(frame);
    if (zmq_msg_recv(frame, inner->socket, ZMQ_DONTWAIT) >= 0) {
        TAKES_OVER(inner);
        return true;
    }
    zmq_msg_close(frame);
    inner->has_news = false;
    return false;
}

bool inner_send(struct inner *inner, zmq_msg_t *frame, bool is_last)
{
    inner->has_news = true;
    HANDS_OVER(inner);
    return zmq_msg_send(frame, inner->socket, inner->flags | (is_last ? 0 : ZMQ_SNDMORE)) >= 0;
}

bool inner_send_bytes(struct inner *inner, const void *bytes, size_t len, bool is_last)
{
    zmq_msg_t frame;
    if (zmq_msg_init_size(&frame, len) != 0)
        return false;
    if (len > 0)
        memcpy(zmq_msg_data(&frame), bytes, len);
    if (inner_send(inner, &frame, is_last))
        return true;
    zmq_msg_close(&frame);
    return false;
}

void inner_settle(struct inner *inner)
{
    int events = 0;
    size_t size = sizeof events;
    if (inner->socket != NULL && inner->has_news)
        zmq_getsockopt(inner->socket, ZMQ_EVENTS, &events, &size);
    inner->has_news = false;
}
