/* Remembered replies. Each stands in the journal behind the events of its command, in one entry
 * with them: so an event with a cause belongs to the reply that comes next, which has that id. */
#include "store/verify/inside.h"

#include "store/hash.h"

/* ---- against the events ---- */

static bool same_text(const struct request *request, const char *field, struct text text)
{
    return text_equal(request_text(request, field), text);
}

/* Whether the first event of a command is what it asked for. */
static bool asks_for_batch_created(const struct request *request, const struct entry_reply *reply,
                                   const struct event *event)
{
    return request->type == MESSAGE_CREATE_BATCH && reply->outcome == OUTCOME_DONE &&
           same_text(request, "ref", event->as.batch_created.ref) &&
           same_text(request, "sku", event->sku) &&
           request->as.create_batch.qty == event->as.batch_created.qty &&
           request->as.create_batch.eta.yyyymmdd == event->as.batch_created.eta.yyyymmdd;
}

static bool asks_for_batch_quantity_changed(const struct request *request,
                                            const struct entry_reply *reply,
                                            const struct event *event)
{
    return request->type == MESSAGE_CHANGE_BATCH_QUANTITY && reply->outcome == OUTCOME_DONE &&
           same_text(request, "ref", event->as.batch_quantity_changed.ref) &&
           request->as.change_batch_quantity.qty == event->as.batch_quantity_changed.qty;
}

static bool asks_for_batch_eta_changed(const struct request *request,
                                       const struct entry_reply *reply, const struct event *event)
{
    return request->type == MESSAGE_CHANGE_BATCH_ETA && reply->outcome == OUTCOME_DONE &&
           same_text(request, "ref", event->as.batch_eta_changed.ref) &&
           request->as.change_batch_eta.eta.yyyymmdd == event->as.batch_eta_changed.eta.yyyymmdd;
}

static bool asks_for_allocated(const struct request *request, const struct entry_reply *reply,
                               const struct event *event)
{
    return request->type == MESSAGE_ALLOCATE && reply->outcome == OUTCOME_DONE &&
           event->seq == reply->seq && same_text(request, "orderid", event->as.allocated.orderid) &&
           same_text(request, "sku", event->sku) &&
           request->as.allocate.qty == event->as.allocated.qty &&
           text_equal(reply->batchref, event->as.allocated.batchref);
}

static bool asks_for_deallocated(const struct request *request, const struct entry_reply *reply,
                                 const struct event *event)
{
    return request->type == MESSAGE_DEALLOCATE && reply->outcome == OUTCOME_DONE &&
           same_text(request, "orderid", event->as.deallocated.orderid) &&
           same_text(request, "sku", event->sku);
}

static bool asks_for_out_of_stock(const struct request *request, const struct entry_reply *reply,
                                  const struct event *event)
{
    return request->type == MESSAGE_ALLOCATE && reply->outcome == OUTCOME_OUT_OF_STOCK &&
           event->seq == reply->seq && !event->as.out_of_stock.waiting &&
           same_text(request, "orderid", event->as.out_of_stock.orderid) &&
           same_text(request, "sku", event->sku) &&
           request->as.allocate.qty == event->as.out_of_stock.qty;
}

static bool is_asked_for(const struct request *request, const struct entry_reply *reply,
                         const struct event *event)
{
    typedef bool asks(const struct request *, const struct entry_reply *, const struct event *);
    static asks *const asking[MESSAGE_TYPES] = {
#define EVENT(upper, lower, wire) [MESSAGE_##upper] = asks_for_##lower,
#include "domain/messages/messages.def"
    };
    return asking[event->type](request, reply, event);
}

/* What a reply without an event of its own says is so already. The model is as it was then. */
static bool is_so_already(struct verify *v, const struct entry_reply *reply,
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

/* The events that were seen are those of no reply. */
static void drop_events(struct verify *v)
{
    struct verify_replies *r = &v->replies;
    if (r->has_begun)
        verify_finding(v, "seq %" PRIu64 ": no reply is remembered for its cause %s", r->first.seq,
                       verify_name(r->first.cause).text);
    r->has_begun = false;
}

static void match(struct verify *v, const struct entry_reply *reply, const struct request *request)
{
    struct verify_replies *r = &v->replies;
    bool may_store = reply->outcome == OUTCOME_DONE || reply->outcome == OUTCOME_OUT_OF_STOCK;
    if (r->has_begun && !text_equal(r->first.cause, reply->id))
        drop_events(v);
    if (!r->has_begun) {
        if (may_store && v->log_check.findings == 0 && !is_so_already(v, reply, request))
            verify_finding(v, "id %s was answered at seq %" PRIu64 ", and no event says so",
                           verify_name(reply->id).text, reply->seq);
        return;
    }
    if (reply->duplicate || !is_asked_for(request, reply, &r->first))
        verify_finding(v, "seq %" PRIu64 " is not what id %s asked for, or was answered",
                       r->first.seq, verify_name(reply->id).text);
    if (r->last_seq != reply->seq)
        verify_finding(v, "id %s has no event at seq %" PRIu64, verify_name(reply->id).text,
                       reply->seq);
    r->has_begun = false;
}

/* ---- each by itself ---- */

/* False: what it is a reply to cannot be told. */
static bool check_reply(struct verify *v, const struct entry_reply *reply, struct request *request)
{
    uint64_t number = v->replies.number;
    struct reply refusal;
    if (!text_is_name(reply->id, ID_MAX_BYTES))
        verify_finding(v, "number %" PRIu64 " has no valid id", number);
    if (!outcome_info(reply->outcome)->remembered)
        verify_finding(v, "number %" PRIu64 ": %s is not to be remembered", number,
                       outcome_info(reply->outcome)->code);
    if (reply->seq != v->last_seq)
        verify_finding(v, "number %" PRIu64 " is of seq %" PRIu64 ", at %" PRIu64, number,
                       reply->seq, v->last_seq);
    if (codec_decode_request(v->store->codec, reply->request, request, &refusal) != OUTCOME_DONE ||
        !message_is_command(request->type)) {
        verify_finding(v, "number %" PRIu64 ": the request cannot be read", number);
        return false;
    }
    bool has_batch = reply->outcome == OUTCOME_DONE && request->type == MESSAGE_ALLOCATE;
    if (has_batch == text_is_none(reply->batchref))
        verify_finding(v, "number %" PRIu64 ": a batch is named where none belongs, or none is",
                       number);
    return true;
}

/* What the table should have of it. */
static void expect_stored(struct verify *v, const struct entry_reply *reply)
{
    struct verify_replies *r = &v->replies;
    const struct remembered_replies *stored = &v->store->replies;
    if (!v->has_tables || r->number < stored->first || r->number >= stored->next)
        return;
    struct remembered remembered = {.id = reply->id,
                                    .request =
                                        hash_bytes(reply->request.data, reply->request.len, 0),
                                    .outcome = reply->outcome,
                                    .duplicate = reply->duplicate,
                                    .seq = reply->seq,
                                    .batchref = reply->batchref};
    struct key key = key_of_number(r->number);
    struct record record;
    record_put_remembered(&record, key_text(&key), &remembered);
    struct seen_reply *kept = verify_table_add(&r->kept, key_text(&key), sizeof *kept);
    if (kept != NULL)
        kept->hash = hash_bytes(record.bytes, record.len, 0);
    if (verify_table_find(&r->ids, reply->id) != NULL)
        verify_finding(v, "the id %s is remembered twice", verify_name(reply->id).text);
    else if (verify_table_add(&r->ids, reply->id, sizeof(struct verify_item)) == NULL)
        v->no_memory = true;
    v->no_memory = v->no_memory || kept == NULL;
}

/* ---- in the order of the journal ---- */

void verify_replies_event(struct verify *v, const struct event *event)
{
    struct verify_check *before = verify_turn_to(v, &v->reply_check);
    struct verify_replies *r = &v->replies;
    if (r->has_begun && !text_equal(r->first.cause, event->cause))
        drop_events(v);
    if (!text_is_none(event->cause)) {
        if (!r->has_begun)
            r->first = *event;
        r->has_begun = true;
        r->last_seq = event->seq;
    }
    verify_turn_to(v, before);
}

void verify_replies_reply(struct verify *v, const struct entry_reply *reply)
{
    struct verify_check *before = verify_turn_to(v, &v->reply_check);
    struct request request;
    if (check_reply(v, reply, &request))
        match(v, reply, &request);
    v->replies.has_begun = false;
    expect_stored(v, reply);
    v->replies.number++;
    verify_turn_to(v, before);
}

void verify_replies_end_entry(struct verify *v)
{
    struct verify_check *before = verify_turn_to(v, &v->reply_check);
    drop_events(v);
    verify_turn_to(v, before);
}

void verify_replies_end(struct verify *v)
{
    const struct meta *meta = &v->store->meta;
    verify_turn_to(v, &v->reply_check);
    if (v->has_tables && v->is_replayed && v->replies.number != meta->ids_next)
        verify_finding(v, "there are %" PRIu64 ", and the counters say %" PRIu64, v->replies.number,
                       meta->ids_next);
    verify_end(v, "%" PRIu64 " in the journal", v->replies.number);
}
