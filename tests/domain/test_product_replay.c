/* A product is what its events made it: replaying them, or loading what they led to, gives an equal
 * one. */
#include "tests/support/product_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void products_differ_where_their_events_do(void **state)
{
    (void)state;
    static const char *const histories[][3] = {
        {"BatchCreated b1 10 -", "BatchCreated b2 10 -", "Allocated o1 3 b1"},
        {"BatchCreated b1 10 -", "BatchCreated b2 10 -", "Allocated o1 3 b2"},
        {"BatchCreated b1 10 -", "BatchCreated b2 10 -", "Allocated o1 4 b1"},
        {"BatchCreated b1 10 -", "BatchCreated b2 10 -", "OutOfStock o1 11 -"},
        {"BatchCreated b1 10 -", "BatchCreated b2 10 -", "OutOfStock o1 11 waiting"},
        {"BatchCreated b1 10 -", "BatchCreated b2 10 -", "OutOfStock o1 12 waiting"},
        {"BatchCreated b1 10 -", "BatchCreated b2 10 -", "OutOfStock o2 11 waiting"},
        {"BatchCreated b1 10 -", "BatchCreated b2 10 2030-01-01", "OutOfStock o1 11 -"},
        {"BatchCreated b2 10 -", "BatchCreated b1 10 -", "OutOfStock o1 11 -"},
        {"BatchCreated b1 9 -", "BatchCreated b2 11 -", "OutOfStock o1 11 -"},
    };
    struct bench benches[COUNT(histories)];
    for (size_t i = 0; i < COUNT(histories); i++) {
        bench_init(&benches[i]);
        for (size_t k = 0; k < 3; k++)
            bench_happen_as_told(&benches[i], histories[i][k]);
    }
    for (size_t i = 0; i < COUNT(histories); i++)
        for (size_t k = 0; k < COUNT(histories); k++)
            if (product_equal(benches[i].product, benches[k].product) != (i == k))
                fail_msg("histories %zu and %zu", i, k);
    for (size_t i = 0; i < COUNT(histories); i++)
        bench_release(&benches[i]);

    struct product *red = product_new(text_of("RED"));
    struct product *blue = product_new(text_of("BLUE"));
    assert_false(product_equal(red, blue));
    product_destroy(&red);
    product_destroy(&blue);
}

static struct product *replay(const struct event *log, size_t count)
{
    struct product *product = product_new(text_of(BENCH_SKU));
    assert_non_null(product);
    for (size_t i = 0; i < count; i++)
        assert_true(product_apply(product, &log[i]));
    return product;
}

/* A product as a repository would load it. */
static struct product *restore(const struct product *original)
{
    struct product *product = product_new(product_sku(original));
    assert_non_null(product);
    product_restore_totals(product, product_totals(original));
    const struct batch *batch = NULL;
    while ((batch = product_next_batch(original, batch)) != NULL)
        assert_true(product_restore_batch(product, batch));
    struct waiting_line line = {.seq = 0};
    while (product_next_waiting(original, line.seq, &line))
        assert_true(product_restore_waiting(product, &line));
    return product;
}

static uint64_t random_state;

static uint32_t draw(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static struct request random_command(void)
{
    static const char *const refs[] = {"b1", "b2", "b3", "b4", "b5"};
    static const char *const orders[] = {"o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8"};
    static const int32_t etas[] = {0, 20300101, 20300102};
    struct text ref = text_of(refs[draw(COUNT(refs))]);
    struct text order = text_of(orders[draw(COUNT(orders))]);
    struct date eta = {etas[draw(COUNT(etas))]};
    uint32_t qty = 1 + draw(12);
    struct request r = {.type = MESSAGE_NONE};
    switch (draw(8)) {
    case 0:
        r.type = MESSAGE_CREATE_BATCH;
        r.as.create_batch = (struct create_batch){ref, text_of(BENCH_SKU), qty, eta, 0};
        break;
    case 1:
        r.type = MESSAGE_CHANGE_BATCH_ETA;
        r.as.change_batch_eta = (struct change_batch_eta){ref, eta, 0};
        break;
    case 2:
    case 3:
        r.type = MESSAGE_CHANGE_BATCH_QUANTITY;
        r.as.change_batch_quantity = (struct change_batch_quantity){ref, qty - 1, 0};
        break;
    case 4:
        r.type = MESSAGE_DEALLOCATE;
        r.as.deallocate = (struct deallocate){order, text_of(BENCH_SKU), 0};
        break;
    default:
        r.type = MESSAGE_ALLOCATE;
        r.as.allocate = (struct allocate){order, text_of(BENCH_SKU), qty, 0};
    }
    return r;
}

/* The lines that a command displaced, then those that wait, are tried again as handlers do. */
static void reallocate_all(struct bench *bench, const struct event *displaced, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        struct waiting_line line = {displaced[i - 1].as.deallocated.orderid,
                                    displaced[i - 1].as.deallocated.qty, 0};
        product_reallocate(bench->product, &line, &bench->decided);
        bench_apply_decided(bench);
    }
    struct waiting_line line = {.seq = 0};
    while (product_next_servable(bench->product, line.seq, &line)) {
        line.orderid = bench_find_line(bench, line.orderid)->orderid;
        assert_int_equal(product_reallocate(bench->product, &line, &bench->decided), OUTCOME_DONE);
        bench_apply_decided(bench);
    }
}

static void random_step(struct bench *bench)
{
    struct request request = random_command();
    if ((request.type == MESSAGE_CHANGE_BATCH_QUANTITY &&
         product_batch(bench->product, request.as.change_batch_quantity.ref) == NULL) ||
        (request.type == MESSAGE_CHANGE_BATCH_ETA &&
         product_batch(bench->product, request.as.change_batch_eta.ref) == NULL))
        return; /* a handler refuses these before it comes to a decision */
    struct text batchref;
    bench_decide(bench, &request, &batchref);
    struct event displaced[BENCH_LINES_MAX];
    size_t count = 0;
    for (size_t i = 1; i < bench->decided.count; i++)
        displaced[count++] = bench->decided.items[i];
    bench_apply_decided(bench);
    reallocate_all(bench, displaced, count);
}

/* Orders and refs are literals, so that texts in the log live as long as is needed. */
static void replaying_the_events_gives_an_equal_product(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct bench bench;
        bench_init(&bench);
        random_state = seed;
        for (uint32_t i = 0; i < 200; i++)
            random_step(&bench);
        struct product *replayed = replay(bench.log, bench.log_count);
        struct product *restored = restore(bench.product);
        struct product *shorter = replay(bench.log, bench.log_count - 1);
        if (!product_equal(bench.product, replayed) || !product_equal(bench.product, restored) ||
            product_equal(bench.product, shorter))
            fail_msg("seed %u", (unsigned)seed);
        product_destroy(&replayed);
        product_destroy(&restored);
        product_destroy(&shorter);
        bench_release(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_differ_where_their_events_do),
        cmocka_unit_test(replaying_the_events_gives_an_equal_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
