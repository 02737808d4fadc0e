#include "tools/zmq_send/bench/results.h"

#include "tools/zmq_send/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

void node_stats_add(struct node_stats *sum, const struct node_stats *before,
                    const struct node_stats *after)
{
    sum->requests += after->requests - before->requests;
    sum->commits += after->commits - before->commits;
    sum->cpu_us += after->cpu_us - before->cpu_us;
    sum->group_max = after->group_max;
    sum->store_bytes = after->store_bytes;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static double percentile_us(const struct figures *figures, double percent)
{
    return (double)latency_percentile(&figures->latency, percent / 100) / 1000;
}

static double max_us(const struct figures *figures)
{
    return (double)figures->latency.max_ns / 1000;
}

static double commit_us(const struct commits *commits)
{
    return (double)latency_percentile(&commits->latency, 0.5) / 1000;
}

static double cpu_us(const struct node_stats *stats)
{
    return share((double)stats->cpu_us, (double)stats->requests);
}

static double group_size(const struct node_stats *stats)
{
    return share((double)stats->requests, (double)stats->commits);
}

/* A request that waits for nothing but its way and its commit would take 1. */
static double latency_ratio(const struct results *results)
{
    return share(percentile_us(&results->node, 50),
                 percentile_us(&results->echo, 50) + commit_us(&results->commits));
}

static double rate_ratio(const struct results *results)
{
    return share(figures_rate(&results->node), figures_rate(&results->echo));
}

static void print_line(const char *what, const struct figures *figures)
{
    printf("%-8s %10.0f /s   p50 %.0f us   p99 %.0f us   max %.0f us\n", what,
           figures_rate(figures), percentile_us(figures, 50), percentile_us(figures, 99),
           max_us(figures));
}

static double heard_rate(const struct heard *heard)
{
    return share((double)heard->events, heard->seconds);
}

static double lag_us(const struct heard *heard, double percent)
{
    return (double)latency_percentile(&heard->lag, percent / 100) / 1000;
}

static void print_heard(const struct heard *heard)
{
    printf("events   %10.0f /s   %" PRIu64 " in all, %" PRIu64 " lost, %" PRIu64
           " gaps   lag p50 %.0f us   p99 %.0f us   max %.0f us\n",
           heard_rate(heard), heard->events, heard->lost, heard->gaps, lag_us(heard, 50),
           lag_us(heard, 99), lag_us(heard, 100));
}

void results_print(const struct results *results, const struct bench_plan *plan)
{
    const struct node_stats *stats = &results->stats;
    printf("%" PRIu64 " connections, %" PRIu64 " requests in flight on each, %" PRIu64
           " SKUs, %.1f s\n",
           plan->clients, plan->inflight, plan->skus, results->node.seconds);
    print_line("allocd", &results->node);
    printf("         groups of %.0f, largest since its start %" PRIu64
           ", %.2f us of CPU a request, store %.1f MiB\n",
           group_size(stats), stats->group_max, cpu_us(stats),
           (double)stats->store_bytes / (1024 * 1024));
    printf("         %" PRIu64 " refused", results->node.refused);
    for (size_t i = 0; i < REFUSALS_MAX && results->node.refusals[i].count > 0; i++)
        printf("%s %s %" PRIu64, i == 0 ? ":" : ",", results->node.refusals[i].code,
               results->node.refusals[i].count);
    putchar('\n');
    if (plan->queries > 0)
        print_line("pages", &results->pages);
    if (plan->subscribers > 0)
        print_heard(&results->heard);
    if (!plan->ceiling)
        return;
    print_line("echo", &results->echo);
    printf("commits  %10.0f /s   p50 %.0f us\n",
           share((double)results->commits.latency.count, results->commits.seconds),
           commit_us(&results->commits));
    printf("allocd / echo %.3f   p50 / (echo + commit) %.2f\n", rate_ratio(results),
           latency_ratio(results));
}

static json_t *figures_json(const struct figures *figures)
{
    json_t *refusals = must_have(json_object());
    for (size_t i = 0; i < REFUSALS_MAX && figures->refusals[i].count > 0; i++)
        json_object_set_new(refusals, figures->refusals[i].code,
                            json_integer((json_int_t)figures->refusals[i].count));
    return must_have(json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:o}", "replies",
                               (json_int_t)figures->replies, "seconds", figures->seconds, "rate",
                               figures_rate(figures), "p50_us", percentile_us(figures, 50),
                               "p99_us", percentile_us(figures, 99), "max_us", max_us(figures),
                               "refused", (json_int_t)figures->refused, "refusals", refusals));
}

static json_t *heard_json(const struct heard *heard)
{
    return must_have(json_pack("{s:I, s:f, s:f, s:I, s:I, s:f, s:f, s:f}", "events",
                               (json_int_t)heard->events, "seconds", heard->seconds, "rate",
                               heard_rate(heard), "lost", (json_int_t)heard->lost, "gaps",
                               (json_int_t)heard->gaps, "lag_p50_us", lag_us(heard, 50),
                               "lag_p99_us", lag_us(heard, 99), "lag_max_us", lag_us(heard, 100)));
}

void results_print_json(const struct results *results, const struct bench_plan *plan)
{
    const struct node_stats *stats = &results->stats;
    json_t *root = must_have(
        json_pack("{s:I, s:I, s:I, s:o, s:f, s:I, s:f, s:I}", "clients", (json_int_t)plan->clients,
                  "inflight", (json_int_t)plan->inflight, "skus", (json_int_t)plan->skus, "allocd",
                  figures_json(&results->node), "group_size", group_size(stats), "group_max",
                  (json_int_t)stats->group_max, "cpu_us", cpu_us(stats), "store_bytes",
                  (json_int_t)stats->store_bytes));
    if (plan->queries > 0)
        json_object_set_new(root, "pages", figures_json(&results->pages));
    if (plan->subscribers > 0)
        json_object_set_new(root, "heard", heard_json(&results->heard));
    if (plan->ceiling) {
        json_object_set_new(root, "echo", figures_json(&results->echo));
        json_object_set_new(root, "commit_us", json_real(commit_us(&results->commits)));
        json_object_set_new(root, "rate_ratio", json_real(rate_ratio(results)));
        json_object_set_new(root, "latency_ratio", json_real(latency_ratio(results)));
    }
    json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(root);
}
