/* What the node was told: flags over a ZPL file over defaults. The settings, with their defaults
 * and limits, are rows of node/config/settings.def. */
#ifndef NODE_CONFIG_CONFIG_H
#define NODE_CONFIG_CONFIG_H

#include "bus/ports/world.h"
#include "node/config/endpoint.h"

#include <stdio.h>

#define CONFIG_DIRECTORY_SIZE 1024 /* bytes, the NUL counted */
#define CONFIG_UPSTREAM_MAX 16

/* Plain values that own nothing; all were checked. Numbers are ints, as libzmq's options are. */
struct config {
    char commands[ENDPOINT_SIZE]; /* to bind */
    char events[ENDPOINT_SIZE];   /* to bind */
    struct {
        char items[CONFIG_UPSTREAM_MAX][ENDPOINT_SIZE]; /* to connect to, none of them twice */
        size_t count;
    } upstream;
    bool insecure_bind;
    char directory[CONFIG_DIRECTORY_SIZE];
    int map_size_gib;
    int ids_kept;
    int events_behind;
    int cache_mib;
    int check_mib;
    int max_memory_mib;
    int max_unread_mib;
    int max_subscription_kib;
    int handshake_ms;
    int heartbeat_ms;
    int heartbeat_timeout_ms;
    int backlog;
    enum log_level log_level;
};

/* What main does next. Those that are not negative are exit statuses. */
enum config_verdict {
    CONFIG_VERIFY = -2, /* as CONFIG_RUN, but look at the store and end */
    CONFIG_RUN = -1,    /* *config is complete and valid */
    CONFIG_DONE = 0,    /* what was asked for is on `out`: help, version, the configuration */
    CONFIG_WRONG = 2    /* one line on `err` says what is wrong and where */
};

/* Reads the command line and the file that it names. Requires: argv[argc] is NULL. Fills *config
 * only with CONFIG_RUN and CONFIG_VERIFY. getopt_long reorders argv and keeps state: one thread at
 * a time. */
enum config_verdict config_from_arguments(int argc, char **argv, struct config *config, FILE *out,
                                          FILE *err);

#endif
