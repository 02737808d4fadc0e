/* All that the use cases ask of the world. The caller owns an interface, so these stand here and
 * store/ and node/ implement them ("Architecture Patterns with Python", chapters 2, 6 and 13).
 *
 * A port is a struct with a table of functions as its first member; an adapter embeds the port in
 * a struct of its own. Callers use the inline functions below, which assert what must hold for
 * every adapter. No port function may be called from another one, nor from a second thread. */
#ifndef BUS_PORTS_H
#define BUS_PORTS_H

#include "domain/messages/reply.h"
#include "domain/base/arena.h"
#include "domain/product.h"

#include <assert.h>

enum store_result {
    STORE_OK,
    STORE_NOT_FOUND,
    STORE_OTHER,   /* recall: the id was used with another request */
    STORE_DAMAGED, /* a record that was read is damaged; the unit may go on without it */
    STORE_FULL,    /* no space; nothing of the group is stored, later it may succeed */
    STORE_FAILED,  /* anything else; nothing of the group is stored */
    STORE_BROKEN   /* nobody can tell what is stored: the process must end, and answer nothing */
};

/* ---- unit of work -------------------------------------------------------------------------
 * One transaction for a group of commands, with the repository of products, the event log, the
 * views and the remembered replies in it. After a function returned STORE_FULL or STORE_FAILED
 * only unit_last_seq and unit_rollback may follow. Running a group again after a rollback is
 * harmless. */

struct unit_of_work;

struct unit_of_work_ops {
    enum store_result (*begin)(struct unit_of_work *unit, uint64_t now_ms);
    enum store_result (*product)(struct unit_of_work *unit, struct text sku, struct product **out);
    enum store_result (*add_product)(struct unit_of_work *unit, struct text sku,
                                     struct product **out);
    enum store_result (*batch)(struct unit_of_work *unit, struct text ref, struct product **product,
                               const struct batch **batch);
    enum store_result (*line)(struct unit_of_work *unit, struct text orderid, struct text sku,
                              struct order_line *out);
    enum store_result (*newest_lines)(struct unit_of_work *unit, const struct product *product,
                                      const struct batch *batch, uint32_t units,
                                      struct order_line **out, size_t *count);
    enum store_result (*append)(struct unit_of_work *unit, struct product *product,
                                struct event *event, struct text *body);
    enum store_result (*project)(struct unit_of_work *unit, const struct event *event);
    enum store_result (*recall)(struct unit_of_work *unit, const struct request *request,
                                struct reply *out);
    enum store_result (*remember)(struct unit_of_work *unit, const struct request *request,
                                  const struct reply *reply);
    uint64_t (*last_seq)(const struct unit_of_work *unit);
    enum store_result (*commit)(struct unit_of_work *unit);
    void (*rollback)(struct unit_of_work *unit);
};

struct unit_of_work {
    const struct unit_of_work_ops *ops;
    bool is_open; /* between begin and commit or rollback; kept by the functions below */
};

/* Opens the unit. `now_ms` is the time of all its events, unless an earlier event has a later
 * one: time never goes back in the log. Requires: it is not open. Does not block for long. */
static inline enum store_result unit_begin(struct unit_of_work *unit, uint64_t now_ms)
{
    assert(!unit->is_open);
    enum store_result result = unit->ops->begin(unit, now_ms);
    unit->is_open = result == STORE_OK;
    return result;
}

/* The product of that SKU; it belongs to the unit and lives until the next unit_begin or
 * unit_rollback. STORE_NOT_FOUND: no product has it, *out untouched. */
static inline enum store_result unit_product(struct unit_of_work *unit, struct text sku,
                                             struct product **out)
{
    assert(unit->is_open);
    return unit->ops->product(unit, sku, out);
}

/* Puts a new product into the repository; it is stored with its first event. Requires: there is
 * none of that SKU. */
static inline enum store_result unit_add_product(struct unit_of_work *unit, struct text sku,
                                                 struct product **out)
{
    assert(unit->is_open);
    return unit->ops->add_product(unit, sku, out);
}

/* The batch with that ref, exhausted or not, loaded into its product. STORE_NOT_FOUND: the node
 * has no such batch. *batch lives until the next append. */
static inline enum store_result unit_batch(struct unit_of_work *unit, struct text ref,
                                           struct product **product, const struct batch **batch)
{
    assert(unit->is_open);
    return unit->ops->batch(unit, ref, product, batch);
}

/* A line, with its batch loaded into its product. STORE_NOT_FOUND: the order has none for that
 * SKU. Texts in *out live until the next unit_begin. */
static inline enum store_result unit_line(struct unit_of_work *unit, struct text orderid,
                                          struct text sku, struct order_line *out)
{
    assert(unit->is_open);
    return unit->ops->line(unit, orderid, sku, out);
}

/* The newest lines of a batch, the newest first, just so many that they hold `units` or more.
 * The array and its texts live until the next unit_begin. */
static inline enum store_result unit_newest_lines(struct unit_of_work *unit,
                                                  const struct product *product,
                                                  const struct batch *batch, uint32_t units,
                                                  struct order_line **out, size_t *count)
{
    assert(unit->is_open);
    return unit->ops->newest_lines(unit, product, batch, units, out, count);
}

/* Gives the event its seq, prev, time, SKU and version, adds it to the log and applies it to the
 * product: the one way in which state changes. *body is what is to be published after the commit;
 * it lives until the next unit_begin. Texts of the event must live as long. */
static inline enum store_result unit_append(struct unit_of_work *unit, struct product *product,
                                            struct event *event, struct text *body)
{
    assert(unit->is_open && message_is_event(event->type));
    return unit->ops->append(unit, product, event, body);
}

/* Brings the view of allocations (lines by order) up to date with an event that was appended. */
static inline enum store_result unit_project(struct unit_of_work *unit, const struct event *event)
{
    assert(unit->is_open && event->seq != 0);
    return unit->ops->project(unit, event);
}

/* The reply remembered for the request's id. STORE_NOT_FOUND: none; STORE_OTHER: one for another
 * request. Fills outcome, seq, duplicate and batchref alone. Requires: the request has an id. */
static inline enum store_result unit_recall(struct unit_of_work *unit,
                                            const struct request *request, struct reply *out)
{
    assert(unit->is_open && !text_is_none(request->id));
    return unit->ops->recall(unit, request, out);
}

/* Remembers a reply by the request's id, with the change that it reports. Requires: the request
 * has an id, and unit_recall just said STORE_NOT_FOUND. */
static inline enum store_result
unit_remember(struct unit_of_work *unit, const struct request *request, const struct reply *reply)
{
    assert(unit->is_open && !text_is_none(request->id));
    return unit->ops->remember(unit, request, reply);
}

/* Seq of the newest event, those of this unit counted; 0: none. */
static inline uint64_t unit_last_seq(const struct unit_of_work *unit)
{
    assert(unit->is_open);
    return unit->ops->last_seq(unit);
}

/* Blocks until all is on disk. After STORE_OK the unit is closed and everything in it durable.
 * After a failure nothing of it is stored, and unit_rollback must follow. */
static inline enum store_result unit_commit(struct unit_of_work *unit)
{
    assert(unit->is_open);
    enum store_result result = unit->ops->commit(unit);
    unit->is_open = result != STORE_OK;
    return result;
}

/* Forgets all of the unit and closes it. Nothing to do where it is not open. */
static inline void unit_rollback(struct unit_of_work *unit)
{
    if (unit->is_open)
        unit->ops->rollback(unit);
    unit->is_open = false;
}

/* ---- reader -------------------------------------------------------------------------------
 * Queries (CQRS, chapter 12): views and tables, never the model. It sees what a unit that is open
 * has done so far, so that a client reads its own writes. Rows and texts are taken from `arena`,
 * or are the query's own.
 * A page holds at most `limit` rows and is cut by bytes, by records looked at and by time as well.
 * It looks at one record at least, so that whoever goes on from `next` comes to the end.
 * STORE_NOT_FOUND leaves *out untouched. */

struct reader;

struct store_figures {
    uint64_t seq; /* of the newest event */
    uint64_t products;
    uint64_t waiting_lines;
    uint64_t bytes;
    uint64_t
        events_behind; /* newest events that some tables lack: a start goes through them again */
};

struct reader_ops {
    enum store_result (*lines)(struct reader *reader, const struct get_allocations *query,
                               struct arena *arena, struct line_page *out);
    enum store_result (*stock)(struct reader *reader, const struct get_stock *query,
                               struct arena *arena, struct stock_view *out);
    enum store_result (*batches)(struct reader *reader, const struct list_batches *query,
                                 struct arena *arena, struct batch_page *out);
    enum store_result (*batch)(struct reader *reader, const struct get_batch *query,
                               struct arena *arena, struct batch_view *out);
    enum store_result (*products)(struct reader *reader, const struct list_products *query,
                                  struct arena *arena, struct product_page *out);
    enum store_result (*events)(struct reader *reader, const struct get_events *query,
                                struct arena *arena, struct event_page *out);
    enum store_result (*figures)(struct reader *reader, struct store_figures *out);
};

struct clock {
    uint64_t (*now_ms)(struct clock *clock);       /* since 1970, UTC; it may jump */
    uint64_t (*monotonic_us)(struct clock *clock); /* since some moment, for time spans */
};

struct reader {
    const struct reader_ops *ops;
    struct clock *clock;   /* NULL: pages are not cut by time; set while a page is asked for */
    uint64_t page_ends_us; /* when a page has to be enough, by the monotonic clock */
};

#define PAGE_BYTES_MAX ((size_t)256 * 1024) /* of rows in a page, roughly */
#define PAGE_SCAN_MAX 10000u                /* records looked at for a page */
#define PAGE_CLOCK_EVERY ((size_t)16)       /* records between two looks at the clock */
#define STOCK_BATCHES_MAX 1000u             /* batches that GetStock tells */

/* Whether a page that has looked at so many records has to be enough. For adapters. */
static inline bool reader_is_late(const struct reader *reader, size_t looked_at)
{
    return reader->clock != NULL && looked_at > 0 && looked_at % PAGE_CLOCK_EVERY == 0 &&
           reader->clock->monotonic_us(reader->clock) >= reader->page_ends_us;
}

/* ---- the smaller ports --------------------------------------------------------------------*/

/* Sends one event to whoever listens. Called after the commit, in the order of seq. Must not
 * block; what it cannot send it drops, as every event can be read again. */
struct publisher {
    void (*publish)(struct publisher *publisher, enum message_type type, struct text sku,
                    struct text body);
};

/* Tells purchasing that a line found no stock. False: it failed; that is counted and logged. */
struct notifier {
    bool (*out_of_stock)(struct notifier *notifier, const struct event *event);
};

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct logger {
    void (*log)(struct logger *logger, enum log_level level, const char *message);
};

#endif
