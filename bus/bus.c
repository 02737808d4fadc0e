#include "bus/bus.h"

#include "bus/dispatch.h"
#include "domain/base/crash_point.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define DAMAGES_LOGGED_MAX 100u
#define EXCESS ((size_t)64 * 1024) /* events that lists are kept large enough for */
#define DAMAGE_LINE_BYTES 400u

/* One request of the group. The request is kept until the commit, as a query has to be answered
 * anew where the group fails. */
struct entry {
    struct request request;
    struct reply reply;
    bool is_refusal; /* by the edge: there is no request */
};

struct bus {
    struct handling handling;
    struct entry *entries; /* GROUP_MAX of them */
    size_t count;
    enum store_result failure; /* why the group is lost, STORE_OK while it is well */
    uint64_t last_seq;         /* of the newest event, those of the group counted */
    unsigned damages_logged;
};

struct bus *bus_new(const struct bus_parts *parts)
{
    struct bus *bus = calloc(1, sizeof *bus);
    if (bus == NULL)
        return NULL;
    bus->handling.parts = *parts;
    bus->handling.arena = arena_new();
    bus->entries = malloc(GROUP_MAX * sizeof *bus->entries);
    struct store_figures figures;
    if (bus->handling.arena == NULL || bus->entries == NULL ||
        parts->reader->ops->figures(parts->reader, &figures) != STORE_OK) {
        bus_destroy(&bus);
        return NULL;
    }
    bus->last_seq = figures.seq;
    return bus;
}

void bus_destroy(struct bus **bus)
{
    if (*bus == NULL)
        return;
    unit_rollback((*bus)->handling.parts.unit);
    queue_release(&(*bus)->handling.queue);
    event_list_release(&(*bus)->handling.decided);
    arena_destroy(&(*bus)->handling.arena);
    free((*bus)->handling.published);
    free((*bus)->entries);
    free(*bus);
    *bus = NULL;
}

static struct entry *next_entry(struct bus *bus)
{
    assert(!bus_group_is_full(bus));
    struct entry *entry = &bus->entries[bus->count++];
    entry->reply = (struct reply){.outcome = OUTCOME_DONE};
    entry->is_refusal = false;
    return entry;
}

/* What a refusal names is in the request, so that a remembered reply need not keep it. */
static void name_refusal(struct reply *reply, const struct request *request)
{
    const struct outcome_info *info = outcome_info(reply->outcome);
    if (info->about != NULL)
        reply->about = request_text(request, info->about);
    if (info->about_more != NULL)
        reply->about_more = request_text(request, info->about_more);
}

/* A damaged record is the trouble of whoever asks for it. It is logged by what was asked for, but
 * not for ever. */
static enum store_result refuse_damaged(struct bus *bus, const struct request *request)
{
    struct logger *logger = bus->handling.parts.logger;
    if (bus->damages_logged++ < DAMAGES_LOGGED_MAX) {
        const char *key = text_is_none(request_text(request, "ref")) ? "orderid" : "ref";
        char line[DAMAGE_LINE_BYTES];
        snprintf(line, sizeof line, "damaged record in the store: %s %.*s %.*s",
                 message_info(request->type)->name, TEXT_ARG(request_text(request, key)),
                 TEXT_ARG(request_text(request, "sku")));
        logger->log(logger, LOG_ERROR, line);
    }
    return handling_refuse(&bus->handling, OUTCOME_STORAGE_FAILED);
}

/* Runs the queue to its end: whatever follows from a command belongs to it. */
static enum store_result run_queue(struct handling *h)
{
    struct queued item;
    enum store_result result = STORE_OK;
    while (result == STORE_OK && queue_pop(&h->queue, &item))
        result = dispatch_event(h, item.product, &item.event);
    return result;
}

static enum store_result run_command(struct handling *h, const struct request *request)
{
    h->cause = request->id;
    h->decided.count = 0;
    queue_clear(&h->queue);
    enum store_result result = dispatch_request(h, request);
    if (result == STORE_OK)
        result = run_queue(h);
    h->reply->seq = unit_last_seq(h->parts.unit);
    bool remember = !text_is_none(request->id) && outcome_info(h->reply->outcome)->remembered;
    if (result == STORE_OK && remember)
        result = unit_remember(h->parts.unit, request, h->reply);
    return result;
}

static enum store_result take_command(struct bus *bus, const struct request *request)
{
    struct handling *h = &bus->handling;
    struct unit_of_work *unit = h->parts.unit;
    if (!unit->is_open) {
        enum store_result begun = unit_begin(unit, h->parts.clock->now_ms(h->parts.clock));
        if (begun != STORE_OK)
            return begun;
    }
    h->reply->seq = bus->last_seq = unit_last_seq(unit);
    enum store_result result = STORE_NOT_FOUND;
    if (!text_is_none(request->id))
        result = unit_recall(unit, request, h->reply);
    if (result == STORE_NOT_FOUND)
        result = run_command(h, request);
    else if (result == STORE_OTHER)
        result = handling_refuse(h, OUTCOME_ID_REUSED);
    bool did_nothing = unit_last_seq(unit) == bus->last_seq;
    if (result == STORE_DAMAGED && did_nothing)
        result = refuse_damaged(bus, request);
    bus->last_seq = unit_last_seq(unit);
    return result;
}

/* A query that brings the open unit down takes the group with it. */
static enum store_result answer_query(struct bus *bus, const struct request *request)
{
    enum store_result result = dispatch_request(&bus->handling, request);

    if (result == STORE_OK)
        return STORE_OK;
    if (result == STORE_DAMAGED)
        return refuse_damaged(bus, request);
    handling_refuse(&bus->handling, OUTCOME_STORAGE_FAILED);
    return bus->handling.parts.unit->is_open ? result : STORE_OK;
}

static void count_reply(struct stats *stats, const struct reply *reply)
{
    if (reply->type != MESSAGE_NONE) {
        if (message_is_command(reply->type))
            stats->commands++;
        else
            stats->queries++;
    }
    if (reply->outcome != OUTCOME_DONE)
        stats->refusals++;
    if (reply->outcome == OUTCOME_MALFORMED || reply->outcome == OUTCOME_TOO_LARGE)
        stats->malformed++;
}

void bus_handle(struct bus *bus, const struct request *request)
{
    struct entry *entry = next_entry(bus);
    struct handling *h = &bus->handling;
    entry->request = *request;
    entry->reply.type = request->type;
    entry->reply.id = request->id;
    if (bus->failure != STORE_OK) /* it is answered when the group ends */
        return;
    h->reply = &entry->reply;
    if (message_is_command(request->type))
        bus->failure = take_command(bus, request);
    else
        bus->failure = answer_query(bus, request);
    name_refusal(&entry->reply, request);
}

void bus_refuse(struct bus *bus, const struct reply *refusal)
{
    struct entry *entry = next_entry(bus);
    entry->reply = *refusal;
    entry->reply.seq = bus->last_seq;
    entry->is_refusal = true;
}

uint64_t bus_last_seq(const struct bus *bus)
{
    return bus->last_seq;
}

size_t bus_group_count(const struct bus *bus)
{
    return bus->count;
}

bool bus_group_is_full(const struct bus *bus)
{
    return bus->count == GROUP_MAX || arena_used(bus->handling.arena) >= GROUP_BYTES_MAX;
}

bool bus_is_long_query(enum message_type type)
{
    return type == MESSAGE_GET_ALLOCATIONS || type == MESSAGE_GET_STOCK ||
           type == MESSAGE_LIST_BATCHES || type == MESSAGE_LIST_PRODUCTS ||
           type == MESSAGE_GET_EVENTS;
}

bool bus_long_queries_must_wait(const struct bus *bus)
{
    return bus->handling.queries_us >= GROUP_QUERIES_US - GROUP_QUERIES_US / 8 ||
           arena_used(bus->handling.arena) >= GROUP_PAGES_MAX;
}

/* The group is lost: its commands are refused, and its queries are answered by what is there
 * without them. */
static void answer_failed_group(struct bus *bus, enum outcome refusal)
{
    struct handling *h = &bus->handling;
    struct store_figures figures;
    if (h->parts.reader->ops->figures(h->parts.reader, &figures) == STORE_OK)
        bus->last_seq = figures.seq;
    for (size_t i = 0; i < bus->count; i++) {
        struct entry *entry = &bus->entries[i];
        entry->reply.seq = bus->last_seq;
        if (entry->is_refusal)
            continue;
        const struct request *request = &entry->request;
        entry->reply = (struct reply){
            .outcome = refusal, .type = request->type, .id = request->id, .seq = bus->last_seq};
        if (message_is_command(request->type))
            continue;
        h->reply = &entry->reply;
        entry->reply.outcome = OUTCOME_DONE;
        answer_query(bus, request);
        name_refusal(&entry->reply, request);
    }
}

enum store_result bus_commit(struct bus *bus)
{
    struct handling *h = &bus->handling;
    struct stats *stats = h->parts.stats;
    enum store_result result = bus->failure;
    bool has_unit = h->parts.unit->is_open;
    if (result == STORE_OK && has_unit)
        result = unit_commit(h->parts.unit);
    if (result == STORE_BROKEN)
        return result;
    if (result == STORE_OK) {
        stats->commits += has_unit;
        stats->events += h->published_count;
    } else {
        unit_rollback(h->parts.unit);
        h->published_count = 0;
        CRASH_POINT(before_refusal);
        answer_failed_group(bus,
                            result == STORE_FULL ? OUTCOME_STORAGE_FULL : OUTCOME_STORAGE_FAILED);
    }
    for (size_t i = 0; i < bus->count; i++)
        count_reply(stats, &bus->entries[i].reply);
    if (bus->count > stats->group_max)
        stats->group_max = bus->count;
    return result;
}

void bus_publish(struct bus *bus)
{
    struct handling *h = &bus->handling;
    for (size_t i = 0; i < h->published_count; i++) {
        const struct published *p = &h->published[i];
        h->parts.publisher->publish(h->parts.publisher, p->type, p->sku, p->body);
        CRASH_POINT(between_events);
        if (p->awaited != NULL)
            dispatch_committed(h, p->awaited);
    }
    h->published_count = 0;
}

const struct reply *bus_reply(const struct bus *bus, size_t index)
{
    assert(index < bus->count);
    return &bus->entries[index].reply;
}

/* A command that moved very many lines leaves no more memory in use than others do. */
static void give_back_excess(struct handling *h)
{
    if (h->queue.capacity > EXCESS)
        queue_release(&h->queue);
    if (h->decided.capacity > EXCESS)
        event_list_release(&h->decided);
    if (h->published_capacity > EXCESS) {
        free(h->published);
        h->published = NULL;
        h->published_capacity = 0;
    }
}

void bus_end_group(struct bus *bus)
{
    bus->count = 0;
    bus->failure = STORE_OK;
    bus->handling.queries_us = 0;
    arena_reset(bus->handling.arena);
    give_back_excess(&bus->handling);
}
