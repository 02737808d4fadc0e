/* One transaction for a group of commands, with the repository of products, the events, the
 * views and the remembered replies in it. After a function returned STORE_FULL or STORE_FAILED
 * only unit_last_seq and unit_rollback may follow. Running a group again after a rollback is
 * harmless.
 *
 *              unit_begin           unit_submit            unit_done
 *     closed ------------> open ------------------> closed, and under way -----------> durable
 *
 * While one is under way the next may be open: it sees what that one did, and is lost with it if it
 * does not become durable. What a unit gave out lives as long as it says below, so that the group
 * of the one under way can still be answered. */
#ifndef BUS_PORTS_UNIT_OF_WORK_H
#define BUS_PORTS_UNIT_OF_WORK_H

#include "bus/ports/result.h"
#include "domain/messages/reply.h"
#include "domain/product.h"

#include <assert.h>

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
    enum store_result (*recall)(struct unit_of_work *unit, const struct request *request,
                                struct reply *out);
    enum store_result (*remember)(struct unit_of_work *unit, const struct request *request,
                                  const struct reply *reply);
    uint64_t (*last_seq)(const struct unit_of_work *unit);
    enum store_result (*submit)(struct unit_of_work *unit, bool here);
    bool (*done)(struct unit_of_work *unit, enum store_result *result);
    void (*wait)(struct unit_of_work *unit);
    int (*fd)(const struct unit_of_work *unit);
    void (*rollback)(struct unit_of_work *unit);
};

struct unit_of_work {
    const struct unit_of_work_ops *ops;
    bool is_open;      /* both are kept by the functions below */
    bool is_under_way; /* one that was submitted */
    bool is_lost;      /* that one failed */
};

/* Opens the unit. `now_ms` is the time of all its events, unless an earlier event has a later
 * one: time never goes back from one event to the next. Requires: it is not open. Does not block
 * for long. What is said below to live until "the unit after the next" lives until the second
 * unit_begin from then.
 */
static inline enum store_result unit_begin(struct unit_of_work *unit, uint64_t now_ms)
{
    assert(!unit->is_open);
    enum store_result result = unit->ops->begin(unit, now_ms);
    unit->is_open = result == STORE_OK;
    return result;
}

/* The product of that SKU; it belongs to the unit and lives until the next unit_begin or
 * unit_rollback, with all texts of it. STORE_NOT_FOUND: no product has it, *out untouched. */
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

/* Gives the event its seq, prev, time, SKU and version, adds it to the group's entry, applies it to
 * the product and brings the view of lines by order up to date: the one way in which state changes.
 * *body is what is to be published once the unit is durable; it lives until the unit after the next
 * begins. Texts of the event must live until the next unit_begin. */
static inline enum store_result unit_append(struct unit_of_work *unit, struct product *product,
                                            struct event *event, struct text *body)
{
    assert(unit->is_open && message_is_event(event->type));
    return unit->ops->append(unit, product, event, body);
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

/* Closes the unit and begins to make it durable, which unit_done tells of. With `here` that happens
 * before it returns: one unit alone need not wait for another thread. After a failure nothing of it
 * is stored, and unit_rollback must follow. Requires: it is open, and none is under way. */
static inline enum store_result unit_submit(struct unit_of_work *unit, bool here)
{
    assert(unit->is_open && !unit->is_under_way);
    enum store_result result = unit->ops->submit(unit, here);
    unit->is_open = result != STORE_OK;
    unit->is_under_way = result == STORE_OK;
    return result;
}

/* What became of the unit under way. False, with *result untouched: it is not known yet. STORE_OK:
 * everything in it is durable. After a failure nothing of it is stored, nor will be of the one that
 * is open, and unit_rollback must follow. */
static inline bool unit_done(struct unit_of_work *unit, enum store_result *result)
{
    if (!unit->is_under_way || !unit->ops->done(unit, result))
        return false;
    unit->is_under_way = false;
    unit->is_lost = *result != STORE_OK;
    return true;
}

/* Blocks until unit_done can tell. */
static inline void unit_wait(struct unit_of_work *unit)
{
    assert(unit->is_under_way);
    unit->ops->wait(unit);
}

/* A descriptor that is readable once unit_done can tell of a unit that was not done `here`. -1:
 * there is no such thing. */
static inline int unit_fd(const struct unit_of_work *unit)
{
    return unit->ops->fd(unit);
}

/* All of it at once: blocks until the unit is on disk. After STORE_OK it is closed and everything
 * in it durable. After a failure nothing of it is stored, and unit_rollback must follow. */
static inline enum store_result unit_commit(struct unit_of_work *unit)
{
    enum store_result result = unit_submit(unit, true);
    if (result != STORE_OK)
        return result;
    unit_wait(unit);
    bool is_told = unit_done(unit, &result);
    assert(is_told);
    return result;
}

/* Forgets all of the unit, and of one that failed, and closes it. Nothing to do where there is
 * none. Requires: none is under way. */
static inline void unit_rollback(struct unit_of_work *unit)
{
    assert(!unit->is_under_way);
    if (unit->is_open || unit->is_lost)
        unit->ops->rollback(unit);
    unit->is_open = unit->is_lost = false;
}

#endif
