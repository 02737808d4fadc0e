/* The message bus: takes one request at a time through its handler and all that follows from it
 * ("Architecture Patterns with Python", chapters 8 to 11), in groups that are one transaction. */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "bus/ports/reader.h"
#include "bus/ports/unit_of_work.h"

struct bus;

/* What a bus is made of. All of it outlives the bus; `stats` is shared with whoever counts too. */
struct bus_parts {
    struct unit_of_work *unit;
    struct reader *reader;
    struct publisher *publisher;
    struct notifier *notifier;
    struct clock *clock;
    struct logger *logger;
    struct stats *stats;
};

/* NULL: no memory. */
struct bus *bus_new(const struct bus_parts *parts);
void bus_destroy(struct bus **bus);

/* A group of requests: handled one by one, then made durable as one transaction. While that is
 * under way the next group is open. */
#define GROUP_MAX 8192u                       /* requests */
#define GROUP_BYTES_MAX ((size_t)1024 * 1024) /* of memory for replies */
#define GROUP_PAGES_MAX ((size_t)256 * 1024)  /* of that: then further pages have to wait */
#define GROUP_QUERIES_US ((uint64_t)1000)     /* of time for long queries */

/* Takes one request into the open group. The reply is for after bus_take: until then it may still
 * change. `origin` comes back with it, and is not looked at. Requires: the group is not full; the
 * request's texts live until the end of the group. */
void bus_handle(struct bus *bus, const struct request *request, void *origin);

/* Seq of the newest event that may be told: none that is not durable yet. 0: none. */
uint64_t bus_last_seq(const struct bus *bus);

/* A request that could not even be decoded: its place in the order, and the refusal for it. */
void bus_refuse(struct bus *bus, const struct reply *refusal, void *origin);

/* Requests in the open group, and whether it has room for more. */
size_t bus_group_count(const struct bus *bus);
bool bus_group_is_full(const struct bus *bus);

/* Whether the long queries of the group have had their time or their room: a further one would get
 * a page of next to nothing, or leave no place for commands, and had better wait for the next
 * group. */
bool bus_long_queries_must_wait(const struct bus *bus);

/* Whether it is one of these: a query whose reply is a page, or as long as one. */
bool bus_is_long_query(enum message_type type);

/* Ends the open group, which begins to become durable; the next one is open from now on. `here`: as
 * unit_submit. Requires: it has requests, and no group is sent. */
void bus_submit(struct bus *bus, bool here);

/* Whether a group was sent whose end has not come: bus_end_group. */
bool bus_has_sent(const struct bus *bus);

/* Whether the replies of the group that was sent are known; *result says what the store said. Where
 * it failed the whole group is rolled back, and what the open one has done too, which will be sent
 * in vain: commands are refused (storage_full, storage_failed) and queries are answered anew. After
 * STORE_BROKEN the process must end, and no reply may leave. */
bool bus_take(struct bus *bus, enum store_result *result);

/* Both at once: blocks until the open group is durable, or lost. Nothing to do where it is empty.
 */
enum store_result bus_commit(struct bus *bus);

/* Publishes the events of the group that was taken, and has them reach the handlers that wait for
 * the commit. */
void bus_publish(struct bus *bus);

/* The reply to request `index` of the group that was taken, in the order of bus_handle. It lives
 * until bus_end_group. */
const struct reply *bus_reply(const struct bus *bus, size_t index);

/* Requests in the group that was taken, and where each came from. */
size_t bus_taken_count(const struct bus *bus);
void *bus_origin(const struct bus *bus, size_t index);

/* Ends the life of the replies of the group that was taken. */
void bus_end_group(struct bus *bus);

#endif
