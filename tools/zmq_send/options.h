/* The command line of zmq-send. */
#ifndef TOOLS_ZMQ_SEND_OPTIONS_H
#define TOOLS_ZMQ_SEND_OPTIONS_H

#include "tools/zmq_send/bench/plan.h"

#include <stdbool.h>
#include <stdint.h>

enum mode {
    MODE_HELP,
    MODE_VERSION,
    MODE_REQUEST, /* TYPE field=value... */
    MODE_RAW,     /* --raw FILE */
    MODE_BATCH,   /* - */
    MODE_FOLLOW,  /* sub PREFIX... */
    MODE_BENCH,   /* bench */
};

/* Its strings are those of argv and of the environment. */
struct options {
    enum mode mode;
    const char *commands; /* endpoints */
    const char *events;
    int64_t timeout_ms;
    bool verbose;
    const char *id;       /* NULL: none */
    const char *raw_path; /* MODE_RAW; "-" is stdin */
    const char *type;     /* MODE_REQUEST */
    char **rest;          /* fields or prefixes */
    int rest_count;
    bool replay; /* MODE_FOLLOW: begin with the stored events from seq `from` on */
    uint64_t from;
    uint64_t count; /* MODE_FOLLOW: stop after so many, 0: never */
    bool has_bench_flag;
    struct bench_plan bench; /* MODE_BENCH */
};

/* False after a complaint: the command line makes no sense. */
bool options_parse(int argc, char **argv, struct options *out);

/* What --help prints. */
extern const char *const options_help;

#endif
