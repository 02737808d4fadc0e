#include "tools/zmq_send/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t requested;
static int ends[2] = {-1, -1};

static void on_signal(int number)
{
    (void)number;
    int saved = errno;
    requested = 1;
    ssize_t written = write(ends[1], "", 1);
    (void)written; /* a full pipe is readable already */
    errno = saved;
}

int stop_install(void)
{
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0)
        return -1;
    return ends[0];
}

bool stop_requested(void)
{
    return requested != 0;
}
