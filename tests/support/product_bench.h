/* A product on the bench, without a bus: with what a repository keeps beside it, and its log. Tests
 * fail where it is asked for the impossible. */
#ifndef TESTS_SUPPORT_PRODUCT_BENCH_H
#define TESTS_SUPPORT_PRODUCT_BENCH_H

#include "domain/product.h"
#include "tests/support/build.h"

#define BENCH_LINES_MAX 64u
#define BENCH_SKU "RED"

struct bench {
    struct product *product;
    uint64_t seq;                             /* of the newest event */
    struct order_line lines[BENCH_LINES_MAX]; /* allocated ones and those that wait */
    size_t line_count;
    struct event_list decided; /* by the decision under way */
    struct event *log;
    size_t log_count;
};

void bench_init(struct bench *bench);
void bench_release(struct bench *bench);

/* NULL: the order has no line. */
struct order_line *bench_find_line(struct bench *bench, struct text orderid);

/* Gives the event its seq, logs and applies it. Its texts must outlive the bench. */
void bench_happen(struct bench *bench, struct event event);

/* The same for an event in the notation of tests/support/build.h, with what a decision would have
 * found out about its line. */
void bench_happen_as_told(struct bench *bench, const char *told);

/* Does what a handler does: looks up what the decision is about, and asks the product for it. */
enum outcome bench_decide(struct bench *bench, const struct request *request,
                          struct text *batchref);

/* Lets what was decided happen. */
void bench_apply_decided(struct bench *bench);

#endif
