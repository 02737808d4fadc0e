/* zmq-send: the command-line client of allocd. */
#include "tools/zmq_send/batch.h"
#include "tools/zmq_send/bench/bench.h"
#include "tools/zmq_send/follow.h"
#include "tools/zmq_send/intake.h"
#include "tools/zmq_send/options.h"
#include "tools/zmq_send/report.h"
#include "tools/zmq_send/request.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A closed standard descriptor would be taken by the next socket, and replies be written into it.
 * Something that refuses to be read or written takes its place. */
static void guard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            _exit(STATUS_BAD_INPUT);
}

static enum status print(const char *text)
{
    fputs(text, stdout);
    return flush_output();
}

static enum status talk(const struct options *options)
{
    struct transport transport = {zmq_ctx_new(), options->verbose};
    if (transport.context == NULL ||
        zmq_ctx_set(transport.context, ZMQ_IO_THREADS, CONNECTION_IO_THREADS) != 0) {
        complain("cannot start ZeroMQ: %s", zmq_strerror(zmq_errno()));
        return STATUS_BAD_INPUT;
    }
    intake_start();
    enum status status = STATUS_BAD_INPUT;
    if (options->mode == MODE_FOLLOW)
        status = follow_run(transport, options);
    else if (options->mode == MODE_BATCH)
        status = batch_run(transport, options);
    else
        status = request_run(transport, options);
    intake_stop();
    zmq_ctx_term(transport.context);
    return status;
}

static enum status run(int argc, char **argv)
{
    struct options options;
    if (!options_parse(argc, argv, &options))
        return STATUS_BAD_INPUT;
    if (options.mode == MODE_HELP)
        return print(options_help);
    if (options.mode == MODE_VERSION)
        return print("zmq-send " ALLOCD_VERSION "\n");
    if (options.mode == MODE_BENCH)
        return bench_run(&options);
    return talk(&options);
}

int main(int argc, char **argv)
{
    guard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a write that fails is reported where it fails */
    return (int)run(argc, argv);
}
