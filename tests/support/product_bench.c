#include "tests/support/product_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

void bench_init(struct bench *bench)
{
    *bench = (struct bench){.product = product_new(text_of(BENCH_SKU))};
    assert_non_null(bench->product);
}

void bench_release(struct bench *bench)
{
    product_destroy(&bench->product);
    assert_null(bench->product);
    event_list_release(&bench->decided);
    free(bench->log);
}

struct order_line *bench_find_line(struct bench *bench, struct text orderid)
{
    for (size_t i = 0; i < bench->line_count; i++)
        if (text_equal(bench->lines[i].orderid, orderid))
            return &bench->lines[i];
    return NULL;
}

static struct order_line *line_of(struct bench *bench, struct text orderid, uint32_t qty)
{
    struct order_line *line = bench_find_line(bench, orderid);
    if (line == NULL) {
        assert_true(bench->line_count < BENCH_LINES_MAX);
        line = &bench->lines[bench->line_count++];
        *line = (struct order_line){.orderid = orderid, .sku = text_of(BENCH_SKU), .qty = qty};
    }
    return line;
}

/* Keeps the lines in step with an event that is about to be applied. */
static void move_line(struct bench *bench, const struct event *event)
{
    struct order_line *line;
    switch (event->type) {
    case MESSAGE_ALLOCATED: {
        const struct allocated *allocated = &event->as.allocated;
        line = line_of(bench, allocated->orderid, allocated->qty);
        line->batchref = allocated->batchref;
        line->seq = event->seq;
        break;
    }
    case MESSAGE_DEALLOCATED:
        line = bench_find_line(bench, event->as.deallocated.orderid);
        assert_non_null(line);
        *line = bench->lines[--bench->line_count];
        break;
    case MESSAGE_OUT_OF_STOCK:
        if (!event->as.out_of_stock.waiting)
            break;
        line = line_of(bench, event->as.out_of_stock.orderid, event->as.out_of_stock.qty);
        line->batchref = text_none();
        line->seq = event->seq;
        break;
    default:
        break;
    }
}

void bench_happen(struct bench *bench, struct event event)
{
    event.seq = ++bench->seq;
    event.sku = text_of(BENCH_SKU);
    event.version = product_totals(bench->product)->version + 1;
    bench->log = realloc(bench->log, (bench->log_count + 1) * sizeof event);
    assert_non_null(bench->log);
    bench->log[bench->log_count++] = event;
    move_line(bench, &event);
    assert_true(product_apply(bench->product, &event));
}

void bench_happen_as_told(struct bench *bench, const char *told)
{
    struct event event = build_event(told);
    struct text orderid = event.type == MESSAGE_ALLOCATED     ? event.as.allocated.orderid
                          : event.type == MESSAGE_DEALLOCATED ? event.as.deallocated.orderid
                                                              : text_none();
    const struct order_line *line = bench_find_line(bench, orderid);
    if (line != NULL)
        event.line_seq = line->seq;
    bench_happen(bench, event);
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = ((const struct order_line *)a)->seq;
    uint64_t y = ((const struct order_line *)b)->seq;
    return (x < y) - (x > y);
}

static enum outcome decide_quantity(struct bench *bench,
                                    const struct change_batch_quantity *command)
{
    struct order_line newest[BENCH_LINES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < bench->line_count; i++)
        if (text_equal(bench->lines[i].batchref, command->ref))
            newest[count++] = bench->lines[i];
    if (count > 1)
        qsort(newest, count, sizeof *newest, newest_first);
    return product_change_batch_quantity(bench->product, command, newest, count, &bench->decided);
}

enum outcome bench_decide(struct bench *bench, const struct request *request, struct text *batchref)
{
    struct product *product = bench->product;
    bench->decided.count = 0;
    switch (request->type) {
    case MESSAGE_CREATE_BATCH:
        return product_create_batch(&request->as.create_batch,
                                    product_batch(product, request->as.create_batch.ref),
                                    product_sku(product), &bench->decided);
    case MESSAGE_ALLOCATE:
        return product_allocate(product, &request->as.allocate,
                                bench_find_line(bench, request->as.allocate.orderid), batchref,
                                &bench->decided);
    case MESSAGE_CHANGE_BATCH_QUANTITY:
        return decide_quantity(bench, &request->as.change_batch_quantity);
    case MESSAGE_CHANGE_BATCH_ETA:
        return product_change_batch_eta(product, &request->as.change_batch_eta, &bench->decided);
    default:
        assert_int_equal(request->type, MESSAGE_DEALLOCATE);
        return product_deallocate(bench_find_line(bench, request->as.deallocate.orderid),
                                  &bench->decided);
    }
}

void bench_apply_decided(struct bench *bench)
{
    for (size_t i = 0; i < bench->decided.count; i++)
        bench_happen(bench, bench->decided.items[i]);
    bench->decided.count = 0;
}
