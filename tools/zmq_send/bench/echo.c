#include "tools/zmq_send/bench/echo.h"

#include "tools/zmq_send/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#define FRAMES_AT_ONCE 16384u

/* Frames up to the end of the last message that has come. */
static size_t drain(void *router, zmq_msg_t *frames)
{
    size_t count = 0;
    bool more = true;
    while (count < FRAMES_AT_ONCE || more) {
        if (count == FRAMES_AT_ONCE + 1) /* no message of a benchmark has so many frames */
            return count;
        zmq_msg_init(&frames[count]);
        if (zmq_msg_recv(&frames[count], router, ZMQ_DONTWAIT) < 0)
            break;
        more = zmq_msg_more(&frames[count++]) != 0;
    }
    return count;
}

static void answer(void *router, zmq_msg_t *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int more = zmq_msg_more(&frames[i]) ? ZMQ_SNDMORE : 0;
        if (zmq_msg_send(&frames[i], router, more | ZMQ_DONTWAIT) < 0)
            zmq_msg_close(&frames[i]);
    }
}

static void serve(void *router, int lifeline)
{
    static zmq_msg_t frames[FRAMES_AT_ONCE + 2];
    zmq_pollitem_t items[] = {{router, 0, ZMQ_POLLIN, 0}, {NULL, lifeline, ZMQ_POLLIN, 0}};
    while (items[1].revents == 0) {
        zmq_poll(items, 2, -1);
        answer(router, frames, drain(router, frames));
    }
}

static void be_echo(int report, int lifeline)
{
    char endpoint[ECHO_ENDPOINT_BYTES] = "";
    size_t size = sizeof endpoint;
    int none = 0;
    void *context = zmq_ctx_new();
    void *router = context != NULL ? zmq_socket(context, ZMQ_ROUTER) : NULL;
    if (router == NULL || zmq_setsockopt(router, ZMQ_SNDHWM, &none, sizeof none) != 0 ||
        zmq_setsockopt(router, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_bind(router, "tcp://127.0.0.1:*") != 0 ||
        zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0 ||
        write(report, endpoint, sizeof endpoint) != (ssize_t)sizeof endpoint)
        _exit(1);
    close(report);
    serve(router, lifeline);
    zmq_close(router);
    zmq_ctx_term(context);
    exit(0);
}

bool echo_start(struct echo *echo)
{
    int report[2] = {-1, -1};
    int lifeline[2] = {-1, -1};
    bool piped = pipe(report) == 0 && pipe(lifeline) == 0;
    echo->pid = piped ? fork() : -1;
    if (echo->pid == 0) {
        close(report[0]);
        close(lifeline[1]);
        be_echo(report[1], lifeline[0]);
    }
    close(report[1]);
    close(lifeline[0]);
    echo->lifeline = lifeline[1];
    ssize_t size = echo->pid > 0 ? read(report[0], echo->endpoint, sizeof echo->endpoint) : -1;
    close(report[0]);
    if (size == (ssize_t)sizeof echo->endpoint)
        return true;
    complain("cannot start an echo to compare with: %s", strerror(errno));
    echo_stop(echo);
    return false;
}

void echo_stop(struct echo *echo)
{
    close(echo->lifeline);
    if (echo->pid > 0)
        while (waitpid(echo->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    echo->pid = -1;
}
