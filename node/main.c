/* allocd: the program. */
#include "node/node.h"
#include "store/verify/verify.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_CANNOT_START = 1, EXIT_STORE_BROKE = 1, EXIT_NOT_WHOLE = 1 };

/* As many connections as the machine allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* What is opened later must not be taken for stderr, to which libraries write too. */
static void occupy_standard_descriptors(void)
{
    int fd = STDIN_FILENO;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd >= 0)
        close(fd);
}

/* A page of a query is some 200 KiB, which malloc would take from the system and give back each
 * time, at more than the page itself costs. What is free at the end of the heap goes back beyond a
 * limit, and the rest when the front finds that much came free. */
static void keep_large_blocks(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
}

static int serve(const struct config *config, struct node_log *log)
{
    char error[ERROR_BYTES];
    struct node *node = node_new(config, log, error);
    if (node == NULL) {
        log_printf(&log->port, LOG_ERROR, "cannot start: %s", error);
        return EXIT_CANNOT_START;
    }
    node_log_always(log, "ready commands=%s events=%s", node_commands(node), node_events(node));
    if (!node_run(node)) {
        /* What is stored now is known after the next start alone: no reply, no event, no tidying
         * up. Clients find out with their ids. */
        log_printf(&log->port, LOG_ERROR, "%s: ending at once", node_complaint(node));
        _exit(EXIT_STORE_BROKE);
    }
    log_printf(&log->port, LOG_INFO, "stopping");
    node_destroy(&node);
    return EXIT_SUCCESS;
}

static int verify(const struct config *config)
{
    bool is_whole = lmdb_verify(config->directory, (size_t)config->map_size_gib << 30, stdout);
    return is_whole && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_NOT_WHOLE;
}

int main(int argc, char **argv)
{
    static struct config config;
    occupy_standard_descriptors();
    enum config_verdict verdict = config_from_arguments(argc, argv, &config, stdout, stderr);
    if (verdict == CONFIG_VERIFY)
        return verify(&config);
    if (verdict != CONFIG_RUN)
        return (int)verdict;
    umask(0077);
    raise_descriptor_limit();
    keep_large_blocks();
    node_block_signals();
    struct node_log log;
    node_log_init(&log, STDERR_FILENO, config.log_level);
    int status = serve(&config, &log);
    node_log_release(&log);
    return status;
}
