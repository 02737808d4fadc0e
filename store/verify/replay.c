/* What follows from the journal. The rules of docs/PROTOCOL.md are written down here a second time,
 * from the side of who reads the events: product_apply and the tables are what is to be checked. */
#include "store/verify/inside.h"

#include <stdlib.h>

struct seen_line *verify_find_line(const struct verify *v, struct text orderid, struct text sku)
{
    struct key key = key_of_two(orderid, sku);
    return verify_table_find(&v->lines, key_text(&key));
}

/* The batch, of that event's product. NULL, and a finding: there is none. */
static struct seen_batch *batch_of(struct verify *v, const struct event *event, struct text ref)
{
    struct seen_batch *batch = verify_table_find(&v->batches, ref);
    if (batch != NULL && text_equal(batch->product->item.key, event->sku))
        return batch;
    verify_finding(v, "seq %" PRIu64 ": %s has no batch %s", event->seq,
                   verify_name(event->sku).text, verify_name(ref).text);
    return NULL;
}

/* ---- lines ---- */

static void enter_batch(struct seen_line *line, struct seen_batch *batch)
{
    line->batch = batch;
    line->older = batch->lines;
    line->newer = NULL;
    if (batch->lines != NULL)
        batch->lines->newer = line;
    batch->lines = line;
    batch->allocated += line->qty;
}

static void leave_batch(struct seen_line *line)
{
    struct seen_batch *batch = line->batch;
    if (line->newer != NULL)
        line->newer->older = line->older;
    else
        batch->lines = line->older;
    if (line->older != NULL)
        line->older->newer = line->newer;
    line->batch = NULL;
    batch->allocated -= line->qty;
}

/* The line under which an event puts its own seq: the one that waited since line_seq, or, with 0, a
 * new one. NULL: the journal contradicts itself. */
static struct seen_line *line_put(struct verify *v, const struct event *event, struct text orderid,
                                  uint32_t qty)
{
    struct key key = key_of_two(orderid, event->sku);
    struct seen_line *line = verify_table_find(&v->lines, key_text(&key));
    if (event->line_seq != 0) {
        if (line != NULL && line->batch == NULL && line->seq == event->line_seq && line->qty == qty)
            return line;
        verify_finding(v, "seq %" PRIu64 ": no line %s of %" PRIu32 " waits since seq %" PRIu64,
                       event->seq, verify_name(key_text(&key)).text, qty, event->line_seq);
        return NULL;
    }
    if (line != NULL) {
        verify_finding(v, "seq %" PRIu64 ": the line %s is there already, since seq %" PRIu64,
                       event->seq, verify_name(key_text(&key)).text, line->seq);
        return NULL;
    }
    line = verify_table_add(&v->lines, key_text(&key), sizeof *line);
    if (line == NULL) {
        v->no_memory = true;
        return NULL;
    }
    line->product = verify_table_find(&v->products, event->sku);
    line->qty = qty;
    return line;
}

/* ---- what one command has to do after it took stock away (rule 6) ---- */

static void forget_displaced(struct verify *v)
{
    while (v->displaced != NULL) {
        struct seen_line *line = v->displaced;
        v->displaced = line->older;
        free(line);
    }
}

static bool leaves_shrinking(const struct verify *v, const struct event *event)
{
    return event->type == MESSAGE_DEALLOCATED &&
           text_equal(event->as.deallocated.batchref, v->shrinking->item.key);
}

static bool moves_displaced(const struct verify *v, const struct event *event)
{
    struct text orderid;
    uint32_t qty;
    if (event->type == MESSAGE_ALLOCATED) {
        orderid = event->as.allocated.orderid;
        qty = event->as.allocated.qty;
    } else if (event->type == MESSAGE_OUT_OF_STOCK && event->as.out_of_stock.waiting) {
        orderid = event->as.out_of_stock.orderid;
        qty = event->as.out_of_stock.qty;
    } else {
        return false;
    }
    struct key key = key_of_two(orderid, event->sku);
    return event->line_seq == 0 && qty == v->displaced->qty &&
           text_equal(key_text(&key), v->displaced->item.key);
}

/* A batch that holds too much loses lines at once, and these are allocated anew or wait, the oldest
 * first. Nothing comes in between, and the journal does not end there. `event` is NULL at its end.
 */
static void check_displaced(struct verify *v, const struct event *event)
{
    if (v->shrinking != NULL) {
        if (event != NULL && leaves_shrinking(v, event))
            return;
        verify_finding(v, "after seq %" PRIu64 ": batch %s holds more than it has", v->last_seq,
                       verify_name(v->shrinking->item.key).text);
        v->shrinking = NULL;
    }
    if (v->displaced == NULL)
        return;
    if (event != NULL && moves_displaced(v, event)) {
        struct seen_line *line = v->displaced;
        v->displaced = line->older;
        free(line);
        return;
    }
    verify_finding(v, "after seq %" PRIu64 ": the line %s lost its stock and went nowhere",
                   v->last_seq, verify_name(v->displaced->item.key).text);
    forget_displaced(v);
}

/* ---- one for each type of event ---- */

static void see_batch_created(struct verify *v, const struct event *event)
{
    const struct batch_created *created = &event->as.batch_created;
    if (verify_table_find(&v->batches, created->ref) != NULL) {
        verify_finding(v, "seq %" PRIu64 ": the batch %s is there already", event->seq,
                       verify_name(created->ref).text);
        return;
    }
    struct seen_batch *batch = verify_table_add(&v->batches, created->ref, sizeof *batch);
    if (batch == NULL) {
        v->no_memory = true;
        return;
    }
    batch->product = verify_table_find(&v->products, event->sku);
    batch->age = event->seq;
    batch->eta = created->eta;
    batch->qty = created->qty;
}

static void see_batch_quantity_changed(struct verify *v, const struct event *event)
{
    const struct batch_quantity_changed *changed = &event->as.batch_quantity_changed;
    struct seen_batch *batch = batch_of(v, event, changed->ref);
    if (batch == NULL)
        return;
    if (batch->qty == changed->qty)
        verify_finding(v, "seq %" PRIu64 " changes nothing", event->seq);
    batch->qty = changed->qty;
    if (batch->allocated > batch->qty)
        v->shrinking = batch;
}

static void see_batch_eta_changed(struct verify *v, const struct event *event)
{
    const struct batch_eta_changed *changed = &event->as.batch_eta_changed;
    struct seen_batch *batch = batch_of(v, event, changed->ref);
    if (batch == NULL)
        return;
    if (batch->eta.yyyymmdd == changed->eta.yyyymmdd)
        verify_finding(v, "seq %" PRIu64 " changes nothing", event->seq);
    batch->eta = changed->eta;
}

static void see_allocated(struct verify *v, const struct event *event)
{
    const struct allocated *allocated = &event->as.allocated;
    struct seen_batch *batch = batch_of(v, event, allocated->batchref);
    struct seen_line *line =
        batch != NULL ? line_put(v, event, allocated->orderid, allocated->qty) : NULL;
    if (line == NULL)
        return;
    if (batch->allocated + allocated->qty > batch->qty)
        verify_finding(v, "seq %" PRIu64 ": batch %s has not so much available", event->seq,
                       verify_name(allocated->batchref).text);
    if (event->line_seq != 0)
        v->waiting--;
    line->seq = event->seq;
    enter_batch(line, batch);
}

static void see_deallocated(struct verify *v, const struct event *event)
{
    const struct deallocated *gone = &event->as.deallocated;
    struct seen_line *line = verify_find_line(v, gone->orderid, event->sku);
    struct text batchref =
        line != NULL && line->batch != NULL ? line->batch->item.key : text_none();
    if (line == NULL || line->qty != gone->qty || !text_equal(batchref, gone->batchref) ||
        line->seq != event->line_seq) {
        verify_finding(v, "seq %" PRIu64 ": there is no such line of %s", event->seq,
                       verify_name(gone->orderid).text);
        return;
    }
    verify_table_take(&v->lines, line);
    if (line->batch == NULL) {
        v->waiting--;
        free(line);
        return;
    }
    const struct seen_batch *batch = line->batch;
    if (batch->allocated > batch->qty && batch->lines != line)
        verify_finding(v, "seq %" PRIu64 ": %s is not the newest allocation of batch %s",
                       event->seq, verify_name(line->item.key).text,
                       verify_name(batch->item.key).text);
    leave_batch(line);
    if (v->shrinking == NULL) {
        free(line);
        return;
    }
    line->older = v->displaced;
    v->displaced = line;
    if (v->shrinking->allocated <= v->shrinking->qty)
        v->shrinking = NULL;
}

static void see_out_of_stock(struct verify *v, const struct event *event)
{
    const struct out_of_stock *refused = &event->as.out_of_stock;
    if (!refused->waiting) {
        if (verify_find_line(v, refused->orderid, event->sku) != NULL)
            verify_finding(v, "seq %" PRIu64 ": %s has that line", event->seq,
                           verify_name(refused->orderid).text);
        return;
    }
    struct seen_line *line = line_put(v, event, refused->orderid, refused->qty);
    if (line == NULL)
        return;
    line->seq = event->seq;
    v->waiting++;
}

/* ---- all of them ---- */

/* Whether an event of the type may name a line of before, said here a second time on purpose. */
static bool may_have_line_of_before(enum message_type type)
{
    return type == MESSAGE_ALLOCATED || type == MESSAGE_DEALLOCATED;
}

/* The product of an event; its first one creates its first batch. */
static struct seen_product *product_of(struct verify *v, const struct event *event)
{
    struct seen_product *product = verify_table_find(&v->products, event->sku);
    if (product == NULL) {
        product = verify_table_add(&v->products, event->sku, sizeof *product);
        v->no_memory = v->no_memory || product == NULL;
    }
    if (product != NULL && product->version == 0 && event->type != MESSAGE_BATCH_CREATED)
        verify_finding(v, "seq %" PRIu64 ": there is no product %s", event->seq,
                       verify_name(event->sku).text);
    return product;
}

void verify_replay(struct verify *v, const struct event *event)
{
    typedef void see(struct verify *, const struct event *);
    static see *const seers[MESSAGE_TYPES] = {
#define EVENT(upper, lower, wire) [MESSAGE_##upper] = see_##lower,
#include "domain/messages/messages.def"
    };
    check_displaced(v, event);
    if (event == NULL)
        return;
    struct seen_product *product = product_of(v, event);
    if (product == NULL)
        return;
    if (event->version != product->version + 1)
        verify_finding(v, "seq %" PRIu64 ": version %" PRIu64 " of %s follows %" PRIu64, event->seq,
                       event->version, verify_name(event->sku).text, product->version);
    if (!may_have_line_of_before(event->type) && event->line_seq != 0)
        verify_finding(v, "seq %" PRIu64 " has a line of before, which its type has not",
                       event->seq);
    product->version = event->version;
    product->last_seq = event->seq;
    seers[event->type](v, event);
}
