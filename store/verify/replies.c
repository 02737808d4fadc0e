/* Remembered replies. They are numbered in the order in which they were given, and the seq of each
 * is that of the last event stored before it was given. So an event with a cause belongs to the
 * first reply that is not older, and that reply is to the command of that id. */
#include "store/verify/inside.h"

static struct text number_key(const uint64_t *number)
{
    return (struct text){(const char *)number, sizeof *number};
}

/* ---- reading ---- */

static void check_id(struct verify *v, struct text id)
{
    if (!text_is_name(id, ID_MAX_BYTES))
        verify_finding(v, "number %" PRIu64 " has no valid id", v->replies.number);
    else if (verify_table_find(&v->replies.ids, id) != NULL)
        verify_finding(v, "the id %s is remembered twice", verify_name(id).text);
    else if (verify_table_add(&v->replies.ids, id, sizeof(struct verify_item)) == NULL)
        v->no_memory = true;
}

static void check_reply(struct verify *v, uint64_t seq_before)
{
    struct verify_replies *r = &v->replies;
    const struct remembered *reply = &r->reply;
    struct reply refusal;
    check_id(v, reply->id);
    r->has_request =
        codec_decode_request(v->codec, reply->request, &r->request, &refusal) == OUTCOME_DONE &&
        message_is_command(r->request.type);
    if (!r->has_request)
        verify_finding(v, "number %" PRIu64 ": the request cannot be read", r->number);
    if (!outcome_info(reply->outcome)->remembered)
        verify_finding(v, "number %" PRIu64 ": %s is not to be remembered", r->number,
                       outcome_info(reply->outcome)->code);
    if (reply->seq < seq_before || reply->seq > v->meta.last_seq)
        verify_finding(v, "number %" PRIu64 " is of seq %" PRIu64 ", after %" PRIu64, r->number,
                       reply->seq, seq_before);
    bool has_batch =
        reply->outcome == OUTCOME_DONE && r->has_request && r->request.type == MESSAGE_ALLOCATE;
    if (r->has_request && has_batch == text_is_none(reply->batchref))
        verify_finding(v, "number %" PRIu64 ": a batch is named where none belongs, or none is",
                       r->number);
}

static void read_next(struct verify *v)
{
    struct verify_replies *r = &v->replies;
    uint64_t seq_before = r->reply.seq;
    r->has_reply = r->has_begun = r->has_stored = false;
    if (r->is_broken || r->number == v->meta.ids_next)
        return;
    enum store_result result = lmdb_walk_next(&r->walk);
    if (result != STORE_OK || !text_equal(r->walk.key, number_key(&r->number)) ||
        !record_get_remembered(r->number, r->walk.value, &r->reply)) {
        verify_finding(v, "number %" PRIu64 " is damaged or missing", r->number);
        r->is_broken = true;
        return;
    }
    r->has_reply = true;
    r->is_first = r->number == v->meta.ids_first && v->meta.ids_first != 0;
    check_reply(v, seq_before);
    r->number++;
}

void verify_replies_begin(struct verify *v)
{
    struct verify_replies *r = &v->replies;
    verify_turn_to(v, &v->reply_check);
    r->number = v->meta.ids_first;
    if (v->meta.ids_next < v->meta.ids_first ||
        lmdb_walk_begin(&r->walk, v->txn, v->env.remembered, text_none()) != STORE_OK) {
        verify_finding(v, "the remembered replies cannot be read");
        r->is_broken = true;
        return;
    }
    read_next(v);
}

/* ---- against the log ---- */

static bool same_text(const struct request *request, const char *field, struct text text)
{
    return text_equal(request_text(request, field), text);
}

/* Whether the first event of a command is what it asked for. */
static bool asks_for_batch_created(const struct request *request, const struct remembered *reply,
                                   const struct event *event)
{
    return request->type == MESSAGE_CREATE_BATCH && reply->outcome == OUTCOME_DONE &&
           same_text(request, "ref", event->as.batch_created.ref) &&
           same_text(request, "sku", event->sku) &&
           request->as.create_batch.qty == event->as.batch_created.qty &&
           request->as.create_batch.eta.yyyymmdd == event->as.batch_created.eta.yyyymmdd;
}

static bool asks_for_batch_quantity_changed(const struct request *request,
                                            const struct remembered *reply,
                                            const struct event *event)
{
    return request->type == MESSAGE_CHANGE_BATCH_QUANTITY && reply->outcome == OUTCOME_DONE &&
           same_text(request, "ref", event->as.batch_quantity_changed.ref) &&
           request->as.change_batch_quantity.qty == event->as.batch_quantity_changed.qty;
}

static bool asks_for_batch_eta_changed(const struct request *request,
                                       const struct remembered *reply, const struct event *event)
{
    return request->type == MESSAGE_CHANGE_BATCH_ETA && reply->outcome == OUTCOME_DONE &&
           same_text(request, "ref", event->as.batch_eta_changed.ref) &&
           request->as.change_batch_eta.eta.yyyymmdd == event->as.batch_eta_changed.eta.yyyymmdd;
}

static bool asks_for_allocated(const struct request *request, const struct remembered *reply,
                               const struct event *event)
{
    return request->type == MESSAGE_ALLOCATE && reply->outcome == OUTCOME_DONE &&
           event->seq == reply->seq && same_text(request, "orderid", event->as.allocated.orderid) &&
           same_text(request, "sku", event->sku) &&
           request->as.allocate.qty == event->as.allocated.qty &&
           text_equal(reply->batchref, event->as.allocated.batchref);
}

static bool asks_for_deallocated(const struct request *request, const struct remembered *reply,
                                 const struct event *event)
{
    return request->type == MESSAGE_DEALLOCATE && reply->outcome == OUTCOME_DONE &&
           same_text(request, "orderid", event->as.deallocated.orderid) &&
           same_text(request, "sku", event->sku);
}

static bool asks_for_out_of_stock(const struct request *request, const struct remembered *reply,
                                  const struct event *event)
{
    return request->type == MESSAGE_ALLOCATE && reply->outcome == OUTCOME_OUT_OF_STOCK &&
           event->seq == reply->seq && !event->as.out_of_stock.waiting &&
           same_text(request, "orderid", event->as.out_of_stock.orderid) &&
           same_text(request, "sku", event->sku) &&
           request->as.allocate.qty == event->as.out_of_stock.qty;
}

static bool is_asked_for(const struct request *request, const struct remembered *reply,
                         const struct event *event)
{
    typedef bool asks(const struct request *, const struct remembered *, const struct event *);
    static asks *const asking[MESSAGE_TYPES] = {
#define EVENT(upper, lower, wire) [MESSAGE_##upper] = asks_for_##lower,
#include "domain/messages/messages.def"
    };
    return asking[event->type](request, reply, event);
}

/* The oldest reply that is kept may stand for others of that id that were forgotten. */
static void match_event(struct verify *v, const struct event *event)
{
    struct verify_replies *r = &v->replies;
    if (r->is_first && event->seq != r->reply.seq)
        return;
    if (!r->has_begun && r->has_request && !r->is_first &&
        (r->reply.duplicate || !is_asked_for(&r->request, &r->reply, event)))
        verify_finding(v, "seq %" PRIu64 " is not what id %s asked for, or was answered",
                       event->seq, verify_name(r->reply.id).text);
    r->has_begun = true;
    r->has_stored = event->seq == r->reply.seq;
}

/* What a reply without an event of its own says is so already. The model is as it was then. */
static bool is_so_already(struct verify *v, const struct remembered *reply,
                          const struct request *request)
{
    if (request->type != MESSAGE_ALLOCATE)
        return reply->duplicate;
    struct seen_line *line =
        verify_find_line(v, request->as.allocate.orderid, request->as.allocate.sku);
    if (line == NULL || line->qty != request->as.allocate.qty)
        return false;
    if (reply->outcome == OUTCOME_OUT_OF_STOCK)
        return line->batch == NULL;
    return reply->duplicate && line->batch != NULL &&
           text_equal(line->batch->item.key, reply->batchref);
}

/* No event that comes later is of the reply at hand. */
static void finish_reply(struct verify *v)
{
    const struct verify_replies *r = &v->replies;
    bool may_store = r->reply.outcome == OUTCOME_DONE || r->reply.outcome == OUTCOME_OUT_OF_STOCK;
    if (r->has_begun && !r->has_stored)
        verify_finding(v, "id %s has no event at seq %" PRIu64, verify_name(r->reply.id).text,
                       r->reply.seq);
    else if (!r->has_begun && may_store && r->has_request && v->log_check.findings == 0 &&
             !is_so_already(v, &r->reply, &r->request))
        verify_finding(v, "id %s was answered at seq %" PRIu64 ", and no event says so",
                       verify_name(r->reply.id).text, r->reply.seq);
}

static void take_event(struct verify *v, const struct event *event)
{
    struct verify_replies *r = &v->replies;
    while (r->has_reply && r->reply.seq < event->seq) {
        finish_reply(v);
        read_next(v);
    }
    if (text_is_none(event->cause) || r->is_broken)
        return;
    if (r->has_reply && text_equal(r->reply.id, event->cause))
        match_event(v, event);
    else if (!r->has_reply || !(r->is_first))
        verify_finding(v, "seq %" PRIu64 ": no reply is remembered for its cause %s", event->seq,
                       verify_name(event->cause).text);
}

void verify_replies_event(struct verify *v, const struct event *event)
{
    struct verify_check *before = verify_turn_to(v, &v->reply_check);
    take_event(v, event);
    verify_turn_to(v, before);
}

void verify_replies_end(struct verify *v)
{
    struct verify_replies *r = &v->replies;
    verify_turn_to(v, &v->reply_check);
    while (r->has_reply) {
        finish_reply(v);
        read_next(v);
    }
    if (!r->is_broken && r->walk.cursor != NULL && lmdb_walk_next(&r->walk) != STORE_NOT_FOUND)
        verify_finding(v, "there are more than the counters say");
    lmdb_walk_end(&r->walk);
    verify_table_release(&r->ids);
    verify_end(v, "%" PRIu64 " remembered", r->number - v->meta.ids_first);
}
