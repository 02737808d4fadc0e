#include "tests/support/faulty_store.h"

static struct faulty_store *faulty_of(struct unit_of_work *unit)
{
    return (struct faulty_store *)unit; /* its first member */
}

static struct faulty_store *faulty_of_reader(struct reader *reader)
{
    return (struct faulty_store *)(void *)((char *)reader - offsetof(struct faulty_store, reader));
}

/* True, and *out is set, where this call is the one to fail. */
static bool fails(struct faulty_store *faulty, enum faulty_call call, enum store_result *out)
{
    if (faulty->countdown == 0 || (faulty->call != FAULTY_ANY && faulty->call != call))
        return false;
    if (--faulty->countdown > 0)
        return false;
    faulty->failures++;
    *out = faulty->failure;
    return true;
}

static enum store_result begin(struct unit_of_work *unit, uint64_t now_ms)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    return fails(faulty, FAULTY_BEGIN, &result) ? result : unit_begin(faulty->inner_unit, now_ms);
}

static enum store_result product(struct unit_of_work *unit, struct text sku, struct product **out)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    return fails(faulty, FAULTY_PRODUCT, &result) ? result
                                                  : unit_product(faulty->inner_unit, sku, out);
}

static enum store_result add_product(struct unit_of_work *unit, struct text sku,
                                     struct product **out)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    if (fails(faulty, FAULTY_ADD_PRODUCT, &result))
        return result;
    return unit_add_product(faulty->inner_unit, sku, out);
}

static enum store_result batch(struct unit_of_work *unit, struct text ref, struct product **owner,
                               const struct batch **out)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    return fails(faulty, FAULTY_BATCH, &result) ? result
                                                : unit_batch(faulty->inner_unit, ref, owner, out);
}

static enum store_result line(struct unit_of_work *unit, struct text orderid, struct text sku,
                              struct order_line *out)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    return fails(faulty, FAULTY_LINE, &result) ? result
                                               : unit_line(faulty->inner_unit, orderid, sku, out);
}

static enum store_result newest_lines(struct unit_of_work *unit, const struct product *owner,
                                      const struct batch *of, uint32_t units,
                                      struct order_line **out, size_t *count)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    if (fails(faulty, FAULTY_NEWEST_LINES, &result))
        return result;
    return unit_newest_lines(faulty->inner_unit, owner, of, units, out, count);
}

static enum store_result append(struct unit_of_work *unit, struct product *owner,
                                struct event *event, struct text *body)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    if (fails(faulty, FAULTY_APPEND, &result))
        return result;
    return unit_append(faulty->inner_unit, owner, event, body);
}

static enum store_result recall(struct unit_of_work *unit, const struct request *request,
                                struct reply *out)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    return fails(faulty, FAULTY_RECALL, &result) ? result
                                                 : unit_recall(faulty->inner_unit, request, out);
}

static enum store_result remember(struct unit_of_work *unit, const struct request *request,
                                  const struct reply *reply)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    if (fails(faulty, FAULTY_REMEMBER, &result))
        return result;
    return unit_remember(faulty->inner_unit, request, reply);
}

static uint64_t last_seq(const struct unit_of_work *unit)
{
    return unit_last_seq(((const struct faulty_store *)unit)->inner_unit);
}

static enum store_result submit(struct unit_of_work *unit, bool here)
{
    struct faulty_store *faulty = faulty_of(unit);
    enum store_result result;
    return fails(faulty, FAULTY_SUBMIT, &result) ? result : unit_submit(faulty->inner_unit, here);
}

/* What the store behind it has not told is not durable. */
static bool done(struct unit_of_work *unit, enum store_result *result)
{
    struct faulty_store *faulty = faulty_of(unit);
    if (faulty->is_held)
        return false;
    if (!fails(faulty, FAULTY_DONE, result))
        return unit_done(faulty->inner_unit, result);
    faulty->inner_unit->is_under_way = false;
    faulty->inner_unit->is_lost = true;
    return true;
}

static void wait_(struct unit_of_work *unit)
{
    faulty_of(unit)->is_held = false;
    unit_wait(faulty_of(unit)->inner_unit);
}

static int fd(const struct unit_of_work *unit)
{
    return unit_fd(((const struct faulty_store *)unit)->inner_unit);
}

static void rollback(struct unit_of_work *unit)
{
    unit_rollback(faulty_of(unit)->inner_unit);
}

static const struct unit_of_work_ops unit_ops = {
    .begin = begin,
    .product = product,
    .add_product = add_product,
    .batch = batch,
    .line = line,
    .newest_lines = newest_lines,
    .append = append,
    .recall = recall,
    .remember = remember,
    .last_seq = last_seq,
    .submit = submit,
    .done = done,
    .wait = wait_,
    .fd = fd,
    .rollback = rollback,
};

/* One function of the reader that hands on a query. */
#define READ(name, query_type, out_type)                                                           \
    static enum store_result read_##name(struct reader *reader, const struct query_type *query,    \
                                         struct arena *arena, struct out_type *out)                \
    {                                                                                              \
        struct faulty_store *faulty = faulty_of_reader(reader);                                    \
        enum store_result result;                                                                  \
        if (fails(faulty, FAULTY_READ, &result))                                                   \
            return result;                                                                         \
        faulty->inner_reader->clock = reader->clock;                                               \
        faulty->inner_reader->page_ends_us = reader->page_ends_us;                                 \
        return faulty->inner_reader->ops->name(faulty->inner_reader, query, arena, out);           \
    }

READ(lines, get_allocations, line_page)
READ(stock, get_stock, stock_view)
READ(batches, list_batches, batch_page)
READ(batch, get_batch, batch_view)
READ(products, list_products, product_page)
READ(events, get_events, event_page)

static enum store_result read_figures(struct reader *reader, struct store_figures *out)
{
    struct faulty_store *faulty = faulty_of_reader(reader);
    enum store_result result;
    if (fails(faulty, FAULTY_READ, &result))
        return result;
    return faulty->inner_reader->ops->figures(faulty->inner_reader, out);
}

static const struct reader_ops reader_ops = {
    .lines = read_lines,
    .stock = read_stock,
    .batches = read_batches,
    .batch = read_batch,
    .products = read_products,
    .events = read_events,
    .figures = read_figures,
};

void faulty_store_init(struct faulty_store *faulty, struct unit_of_work *unit,
                       struct reader *reader)
{
    *faulty = (struct faulty_store){.unit = {.ops = &unit_ops, .is_open = unit->is_open},
                                    .reader = {.ops = &reader_ops},
                                    .inner_unit = unit,
                                    .inner_reader = reader};
}

void faulty_store_fail(struct faulty_store *faulty, enum faulty_call call, uint64_t n,
                       enum store_result failure)
{
    faulty->call = call;
    faulty->countdown = n;
    faulty->failure = failure;
}
