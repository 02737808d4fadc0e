#include "tools/zmq_send/bench/bench.h"

#include "tools/zmq_send/bench/echo.h"
#include "tools/zmq_send/bench/load.h"
#include "tools/zmq_send/bench/readers.h"
#include "tools/zmq_send/bench/results.h"
#include "tools/zmq_send/clock.h"
#include "tools/zmq_send/pipeline.h"
#include "tools/zmq_send/report.h"

#include <math.h>
#include <msgpack.h>

#define ROUNDS 3u /* with a ceiling: node, echo and commits take turns */
#define COMMIT_SECONDS 1.0
#define SETUP_INFLIGHT 4096u

struct bench {
    const struct options *options;
    const struct bench_plan *plan;
    struct transport transport;
    struct load *load;
    struct echo echo;
    uint64_t next; /* request */
    struct results results;
};

/* ---- statistics of the node ---- */

static uint64_t integer_in(const msgpack_object *map, const char *key)
{
    uint64_t found = 0;
    body_count(map, key, &found);
    return found;
}

static enum status ask_node(struct bench *bench, struct node_stats *out)
{
    static const char body[] = "\x81\xa4type\xa8GetStats";
    struct pipeline *pipeline =
        pipeline_new(bench->transport, bench->options->commands, bench->options->timeout_ms);
    struct answer answer;
    msgpack_unpacked reply;
    pipeline_add(pipeline, (struct text){body, sizeof body - 1});
    while (!pipeline_take(pipeline, &answer))
        pipeline_wait(pipeline, NULL);
    enum status status = STATUS_DONE;
    if (answer_reply(&answer, &reply)) {
        *out = (struct node_stats){.requests = integer_in(&reply.data, "commands") +
                                               integer_in(&reply.data, "queries"),
                                   .commits = integer_in(&reply.data, "commits"),
                                   .cpu_us = integer_in(&reply.data, "cpu_us"),
                                   .group_max = integer_in(&reply.data, "group_max"),
                                   .store_bytes = integer_in(&reply.data, "store_bytes")};
        msgpack_unpacked_destroy(&reply);
    } else {
        answer_complain(&answer);
        status = answer_failure_status(&answer);
    }
    answer_close(&answer);
    pipeline_destroy(&pipeline);
    return status;
}

/* ---- parts of a run ---- */

static struct text make_batch(void *load, uint64_t n)
{
    return load_batch(load, n);
}

static struct text make_line(void *load, uint64_t n)
{
    return load_line(load, n);
}

static struct text make_request(void *load, uint64_t n)
{
    return load_request(load, n);
}

static struct drive drive_of(const struct bench *bench)
{
    return (struct drive){.context = bench->transport.context,
                          .endpoint = bench->options->commands,
                          .clients = bench->plan->clients,
                          .inflight = bench->plan->inflight,
                          .first = bench->next,
                          .timeout_ms = bench->options->timeout_ms,
                          .request = make_request,
                          .maker = bench->load};
}

/* Sends the requests up to number `count`, which nobody measures. */
static enum status set_up(struct bench *bench, struct text (*request)(void *load, uint64_t n),
                          uint64_t count)
{
    struct drive drive = drive_of(bench);
    struct figures ignored = {.replies = 0};
    drive.clients = 1;
    drive.inflight = SETUP_INFLIGHT;
    drive.first = 0;
    drive.count = count;
    drive.request = request;
    return drive_run(&drive, &ignored, &bench->next);
}

/* A batch for each SKU; those of an earlier run are there already, which is as good. Then lines. */
static enum status stock_up(struct bench *bench)
{
    enum status status = set_up(bench, make_batch, bench->plan->skus);
    bench->next = 0;
    if (status == STATUS_DONE && bench->plan->lines > 0)
        status = set_up(bench, make_line, bench->plan->lines);
    return status;
}

/* With connections that read lists beside it, where they are wanted. */
static enum status drive_among_readers(struct bench *bench, const struct drive *drive)
{
    const struct bench_plan *plan = bench->plan;
    struct results *results = &bench->results;
    if (plan->queries == 0)
        return drive_run(drive, &results->node, &bench->next);
    struct readers *readers = readers_start(drive->context, drive->endpoint, plan->queries);
    if (readers == NULL)
        return STATUS_BAD_INPUT;
    enum status status = drive_run(drive, &results->node, &bench->next);
    return status_worse(status, readers_stop(&readers, &results->pages));
}

/* With subscribers beside it too. */
static enum status drive_among_others(struct bench *bench, const struct drive *drive)
{
    const struct bench_plan *plan = bench->plan;
    enum status status = STATUS_DONE;
    if (plan->subscribers + plan->deaf == 0)
        return drive_among_readers(bench, drive);
    struct audience *audience = audience_start(bench->options->events, plan->subscribers,
                                               plan->deaf, drive->timeout_ms, &status);
    if (audience == NULL)
        return status;
    status = drive_among_readers(bench, drive);
    return status_worse(status, audience_stop(&audience, &bench->results.heard));
}

static enum status measure_node(struct bench *bench, double seconds)
{
    struct node_stats before = {0};
    struct node_stats after = {0};
    struct drive drive = drive_of(bench);
    drive.seconds = seconds;
    drive.rate = bench->plan->rate;
    enum status status = ask_node(bench, &before);
    if (status == STATUS_DONE)
        status = drive_among_others(bench, &drive);
    if (status == STATUS_DONE)
        status = ask_node(bench, &after);
    node_stats_add(&bench->results.stats, &before, &after);
    return status;
}

static enum status measure_ceiling(struct bench *bench, double seconds)
{
    struct drive drive = drive_of(bench);
    uint64_t next;
    drive.seconds = seconds;
    drive.endpoint = bench->echo.endpoint;
    drive.is_echo = true;
    enum status status = drive_run(&drive, &bench->results.echo, &next);
    if (status == STATUS_DONE &&
        !commits_run(bench->plan->ceiling_directory, fmin(seconds, COMMIT_SECONDS),
                     &bench->results.commits))
        status = STATUS_BAD_INPUT;
    return status;
}

static enum status measure(struct bench *bench)
{
    unsigned rounds = bench->plan->ceiling ? ROUNDS : 1;
    double seconds = bench->plan->seconds / rounds;
    struct node_stats ignored;
    enum status status = ask_node(bench, &ignored); /* is there one? */
    if (status == STATUS_DONE)
        status = stock_up(bench);
    for (unsigned i = 0; i < rounds && status == STATUS_DONE; i++) {
        status = measure_node(bench, seconds);
        if (status == STATUS_DONE && bench->plan->ceiling)
            status = measure_ceiling(bench, seconds);
    }
    return status;
}

static enum status run(struct bench *bench)
{
    bench->transport = (struct transport){zmq_ctx_new(), false};
    if (bench->transport.context == NULL) {
        complain("cannot start ZeroMQ: %s", zmq_strerror(zmq_errno()));
        return STATUS_BAD_INPUT;
    }
    /* Sockets that were closed count until libzmq has tidied up. */
    zmq_ctx_set(bench->transport.context, ZMQ_MAX_SOCKETS,
                (int)(bench->plan->clients + bench->plan->queries) + 1024);
    bench->load = load_new(bench->plan, (uint64_t)clock_now_ms() % 100000000u);
    enum status status = measure(bench);
    load_destroy(&bench->load);
    zmq_ctx_term(bench->transport.context);
    return status;
}

enum status bench_run(const struct options *options)
{
    static struct bench bench; /* histograms are large */
    bench.options = options;
    bench.plan = &options->bench;
    if (bench.plan->ceiling && !echo_start(&bench.echo))
        return STATUS_BAD_INPUT;
    enum status status = run(&bench);
    if (bench.plan->ceiling)
        echo_stop(&bench.echo);
    if (status != STATUS_DONE)
        return status;
    if (bench.plan->json)
        results_print_json(&bench.results, bench.plan);
    else
        results_print(&bench.results, bench.plan);
    return flush_output();
}
