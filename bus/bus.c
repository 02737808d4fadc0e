#include "bus/bus.h"

#include "bus/dispatch.h"
#include "domain/base/crash_point.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define DAMAGES_LOGGED_MAX 100u
#define EXCESS ((size_t)64 * 1024) /* events that lists are kept large enough for */
#define DAMAGE_LINE_BYTES 400u

/* One request of a group. The request is kept until its end, as a query has to be answered anew
 * where the group fails. */
struct entry {
    struct request request;
    struct reply reply;
    void *origin;
    bool is_refusal; /* by the edge: there is no request */
};

struct group {
    struct entry *entries; /* GROUP_MAX of them */
    size_t count;
    struct arena *arena; /* what its replies and events are made of */
    struct outbox outbox;
    enum store_result failure; /* why it is lost, STORE_OK while it is well */
    uint64_t last_seq;         /* of the newest event at its end */
    bool has_unit;             /* it has done more than to ask */
    bool is_complete;          /* its replies are what they will be */
};

/* Two groups take turns: while one is made durable, the other is open.
 *
 *     open  --bus_submit-->  sent  --bus_take-->  complete  --bus_end_group-->  empty, the next
 * open
 */
struct bus {
    struct handling handling;
    struct group groups[2];
    struct group *open;
    struct group *sent;     /* NULL: there is none */
    uint64_t last_seq;      /* of the newest event, those of both groups counted */
    uint64_t published_seq; /* of the newest one that left */
    unsigned damages_logged;
};

static bool group_init(struct group *group)
{
    group->arena = arena_new();
    group->entries = malloc(GROUP_MAX * sizeof *group->entries);
    return group->arena != NULL && group->entries != NULL;
}

static void group_release(struct group *group)
{
    arena_destroy(&group->arena);
    free(group->entries);
    free(group->outbox.items);
}

/* Handlers work for this group from now on. */
static void turn_to(struct bus *bus, struct group *group)
{
    bus->handling.arena = group->arena;
    bus->handling.outbox = &group->outbox;
}

struct bus *bus_new(const struct bus_parts *parts)
{
    struct bus *bus = calloc(1, sizeof *bus);
    if (bus == NULL)
        return NULL;
    bus->handling.parts = *parts;
    bus->open = &bus->groups[0];
    bool has_groups = group_init(&bus->groups[0]);
    has_groups = group_init(&bus->groups[1]) && has_groups;
    struct store_figures figures;
    if (!has_groups || parts->reader->ops->figures(parts->reader, &figures) != STORE_OK) {
        bus_destroy(&bus);
        return NULL;
    }
    turn_to(bus, bus->open);
    bus->last_seq = bus->published_seq = figures.seq;
    return bus;
}

/* A unit under way is the store's to end. */
void bus_destroy(struct bus **bus)
{
    if (*bus == NULL)
        return;
    struct unit_of_work *unit = (*bus)->handling.parts.unit;
    if (!unit->is_under_way)
        unit_rollback(unit);
    queue_release(&(*bus)->handling.queue);
    event_list_release(&(*bus)->handling.decided);
    group_release(&(*bus)->groups[0]);
    group_release(&(*bus)->groups[1]);
    free(*bus);
    *bus = NULL;
}

static struct entry *next_entry(struct bus *bus, void *origin)
{
    struct group *open = bus->open;
    assert(!bus_group_is_full(bus));
    struct entry *entry = &open->entries[open->count++];
    entry->reply = (struct reply){.outcome = OUTCOME_DONE};
    entry->origin = origin;
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

void bus_handle(struct bus *bus, const struct request *request, void *origin)
{
    struct entry *entry = next_entry(bus, origin);
    struct handling *h = &bus->handling;
    entry->request = *request;
    entry->reply.type = request->type;
    entry->reply.id = request->id;
    struct group *open = bus->open;
    if (open->failure != STORE_OK) /* it is answered when the group ends */
        return;
    h->reply = &entry->reply;
    if (message_is_command(request->type))
        open->failure = take_command(bus, request);
    else
        open->failure = answer_query(bus, request);
    name_refusal(&entry->reply, request);
}

void bus_refuse(struct bus *bus, const struct reply *refusal, void *origin)
{
    struct entry *entry = next_entry(bus, origin);
    entry->reply = *refusal;
    entry->reply.seq = bus->last_seq;
    entry->is_refusal = true;
}

uint64_t bus_last_seq(const struct bus *bus)
{
    return bus->published_seq;
}

size_t bus_group_count(const struct bus *bus)
{
    return bus->open->count;
}

bool bus_group_is_full(const struct bus *bus)
{
    return bus->open->count == GROUP_MAX || arena_used(bus->open->arena) >= GROUP_BYTES_MAX;
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
           arena_used(bus->open->arena) >= GROUP_PAGES_MAX;
}

/* ---- the end of a group ---- */

/* The group is lost: its commands are refused, and its queries are answered by what is there
 * without them. */
static void answer_failed_group(struct bus *bus, struct group *group)
{
    struct handling *h = &bus->handling;
    enum outcome refusal =
        group->failure == STORE_FULL ? OUTCOME_STORAGE_FULL : OUTCOME_STORAGE_FAILED;
    struct store_figures figures;
    if (h->parts.reader->ops->figures(h->parts.reader, &figures) == STORE_OK)
        bus->last_seq = figures.seq;
    turn_to(bus, group);
    for (size_t i = 0; i < group->count; i++) {
        struct entry *entry = &group->entries[i];
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
    turn_to(bus, bus->open);
}

/* With it goes what the open group has done, which was decided on what it did. */
static void lose(struct bus *bus, struct group *group, enum store_result why)
{
    group->failure = why;
    unit_rollback(bus->handling.parts.unit);
    group->outbox.count = bus->open->outbox.count = 0;
    CRASH_POINT(before_refusal);
    answer_failed_group(bus, group);
    group->last_seq = bus->last_seq;
    if (bus->open->count > 0 && bus->open->failure == STORE_OK)
        bus->open->failure = why;
}

static void complete(struct bus *bus, struct group *group)
{
    struct stats *stats = bus->handling.parts.stats;
    group->is_complete = true;
    if (group->failure == STORE_OK) {
        stats->commits += group->has_unit;
        stats->events += group->outbox.count;
    }
    bus->published_seq = group->last_seq;
    for (size_t i = 0; i < group->count; i++)
        count_reply(stats, &group->entries[i].reply);
    if (group->count > stats->group_max)
        stats->group_max = group->count;
}

bool bus_has_sent(const struct bus *bus)
{
    return bus->sent != NULL;
}

void bus_submit(struct bus *bus, bool here)
{
    struct unit_of_work *unit = bus->handling.parts.unit;
    struct group *group = bus->open;
    assert(bus->sent == NULL && group->count > 0 && !unit->is_under_way);
    bus->sent = group;
    bus->open = &bus->groups[group == &bus->groups[0]];
    bus->handling.queries_us = 0;
    assert(bus->open->count == 0);
    turn_to(bus, bus->open);
    group->last_seq = bus->last_seq;
    group->has_unit = unit->is_open;
    enum store_result result = group->failure;
    if (result == STORE_OK && group->has_unit)
        result = unit_submit(unit, here);
    if (result != STORE_OK && result != STORE_BROKEN)
        lose(bus, group, result);
    group->failure = result;
    if (result == STORE_OK ? !group->has_unit : result != STORE_BROKEN)
        complete(bus, group);
}

bool bus_take(struct bus *bus, enum store_result *result)
{
    struct group *group = bus->sent;
    if (group == NULL)
        return false;
    if (!group->is_complete && group->failure != STORE_BROKEN) {
        if (!unit_done(bus->handling.parts.unit, result))
            return false;
        if (*result == STORE_BROKEN)
            group->failure = *result;
        else if (*result != STORE_OK)
            lose(bus, group, *result);
        if (*result != STORE_BROKEN)
            complete(bus, group);
    }
    *result = group->failure;
    return true;
}

enum store_result bus_commit(struct bus *bus)
{
    enum store_result result = STORE_OK;
    struct unit_of_work *unit = bus->handling.parts.unit;
    if (bus->open->count == 0)
        return STORE_OK;
    bus_submit(bus, true);
    if (unit->is_under_way)
        unit_wait(unit);
    bool is_taken = bus_take(bus, &result);
    assert(is_taken);
    return result;
}

void bus_publish(struct bus *bus)
{
    struct handling *h = &bus->handling;
    struct outbox *outbox = bus->sent != NULL ? &bus->sent->outbox : NULL;
    for (size_t i = 0; outbox != NULL && i < outbox->count; i++) {
        const struct published *p = &outbox->items[i];
        h->parts.publisher->publish(h->parts.publisher, p->type, p->sku, p->body);
        CRASH_POINT(between_events);
        if (p->awaited != NULL)
            dispatch_committed(h, p->awaited);
    }
    if (outbox != NULL)
        outbox->count = 0;
}

const struct reply *bus_reply(const struct bus *bus, size_t index)
{
    assert(bus->sent != NULL && bus->sent->is_complete && index < bus->sent->count);
    return &bus->sent->entries[index].reply;
}

size_t bus_taken_count(const struct bus *bus)
{
    assert(bus->sent != NULL && bus->sent->is_complete);
    return bus->sent->count;
}

void *bus_origin(const struct bus *bus, size_t index)
{
    assert(bus->sent != NULL && index < bus->sent->count);
    return bus->sent->entries[index].origin;
}

/* A command that moved very many lines leaves no more memory in use than others do. */
static void give_back_excess(struct handling *h, struct outbox *outbox)
{
    if (h->queue.capacity > EXCESS)
        queue_release(&h->queue);
    if (h->decided.capacity > EXCESS)
        event_list_release(&h->decided);
    if (outbox->capacity > EXCESS) {
        free(outbox->items);
        *outbox = (struct outbox){.items = NULL};
    }
}

void bus_end_group(struct bus *bus)
{
    struct group *group = bus->sent;
    if (group == NULL)
        return;
    assert(group->is_complete);
    bus->sent = NULL;
    group->count = group->outbox.count = 0;
    group->failure = STORE_OK;
    group->has_unit = group->is_complete = false;
    arena_reset(group->arena);
    give_back_excess(&bus->handling, &group->outbox);
}
