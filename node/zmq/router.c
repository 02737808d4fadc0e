#include "node/zmq/router.h"

#include "bus/bus.h"
#include "node/front/route.h"

#include <assert.h>
#include <stdlib.h>
#include <zmq.h>

#define GROUP_BODY_BYTES_MAX ((size_t)1024 * 1024) /* of requests */
#define AHEAD_BYTES_MAX ((uint64_t)256 * 1024)     /* of replies */
#define ID_MAX 255u                                /* bytes of a routing id (RFC 28) */

/* A request, as the front passed it on: where its reply goes, and its body. Frames are never moved
 * but by libzmq. */
struct message {
    zmq_msg_t head;
    zmq_msg_t body;
};

struct waiting {
    struct waiting *next;
    struct message message;
    bool is_long_query; /* known to be one */
};

/* What waits of one client, in its order. */
struct line {
    struct line *next; /* in router.turns */
    uint32_t slot;
    struct waiting *first;
    struct waiting *last;
};

/* The requests of a group. */
struct request_group {
    struct message messages[GROUP_MAX];
    size_t count;
    size_t body_bytes;
};

struct router {
    struct inner inner;
    const struct front *front;
    unsigned char id[ID_MAX]; /* the front's routing id, which comes before each message */
    size_t id_len;
    struct line **lines;      /* by slot */
    struct line *turns_first; /* all of them, in turn */
    struct line *turns_last;
    size_t turns;
    size_t turns_left;    /* that this group may still look at */
    struct line *served;  /* whose request is being looked at; NULL: it is a new one */
    bool has_all;         /* the front has passed on its last */
    bool wants_welcome;   /* it asks for one */
    uint64_t reply_bytes; /* that were sent so far */
    uint64_t requests_dropped;
    uint64_t replies_dropped;
    struct request_group groups[2];
    struct request_group *open;
    struct request_group *sent; /* NULL: there is none */
};

struct router *router_new(void *context, char error[ERROR_BYTES])
{
    struct router *router = calloc(1, sizeof *router);
    snprintf(error, ERROR_BYTES, "cannot open the command socket");
    if (router == NULL)
        return NULL;
    router->open = &router->groups[0];
    if (!inner_open(&router->inner, context, ZMQ_ROUTER, INNER_BIND, FRONT_COMMANDS, 0))
        router_destroy(&router);
    return router;
}

bool router_set_front(struct router *router, const struct front *front)
{
    router->front = front;
    router->lines = calloc(front_slots(front), sizeof(struct line *));
    return router->lines != NULL;
}

static void close_message(struct message *message)
{
    zmq_msg_close(&message->head);
    zmq_msg_close(&message->body);
}

static void move_message(struct message *to, struct message *from)
{
    zmq_msg_init(&to->head);
    zmq_msg_init(&to->body);
    zmq_msg_move(&to->head, &from->head);
    zmq_msg_move(&to->body, &from->body);
    close_message(from);
}

static struct line *pop_turn(struct router *router)
{
    struct line *line = router->turns_first;
    router->turns_first = line->next;
    router->turns--;
    return line;
}

static void push_turn(struct router *router, struct line *line)
{
    line->next = NULL;
    if (router->turns++ == 0)
        router->turns_first = line;
    else
        router->turns_last->next = line;
    router->turns_last = line;
}

static void end_line(struct router *router, struct line *line)
{
    router->lines[line->slot] = NULL;
    free(line);
}

static void end_requests(struct request_group *group)
{
    for (size_t i = 0; i < group->count; i++)
        close_message(&group->messages[i]);
    group->count = group->body_bytes = 0;
}

void router_destroy(struct router **router)
{
    struct router *r = *router;
    if (r == NULL)
        return;
    end_requests(&r->groups[0]);
    end_requests(&r->groups[1]);
    while (r->turns > 0) {
        struct line *line = pop_turn(r);
        while (line->first != NULL) {
            struct waiting *waiting = line->first;
            line->first = waiting->next;
            close_message(&waiting->message);
            free(waiting);
        }
        end_line(r, line);
    }
    inner_close(&r->inner);
    free(r->lines);
    free(r);
    *router = NULL;
}

struct inner *router_inner(struct router *router)
{
    return &router->inner;
}

static struct route route_of(struct message *message)
{
    struct route route;
    assert(zmq_msg_size(&message->head) >= sizeof route);
    memcpy(&route, zmq_msg_data(&message->head), sizeof route);
    return route;
}

/* The front takes each reply, and counts its bytes as it does. Without memory there is none. */
static void send_reply(struct router *router, struct message *message, struct text body)
{
    router->reply_bytes += body.len; /* before the front can count them */
    inner_send_bytes(&router->inner, router->id, router->id_len, false);
    inner_send(&router->inner, &message->head, false);
    if (inner_send_bytes(&router->inner, body.data, body.len, true))
        return;
    router->reply_bytes -= body.len;
    router->replies_dropped++;
    inner_send_bytes(&router->inner, NULL, 0, true);
}

static void answer_nothing(struct router *router, struct message *message)
{
    send_reply(router, message, text_none());
    close_message(message);
}

/* ---- what waits ---- */

/* Adds a message to those of its client. False: no memory. */
static bool add_waiting(struct router *router, struct message *message, bool is_long_query)
{
    uint32_t slot = route_of(message).slot;
    struct waiting *waiting = malloc(sizeof *waiting);
    struct line *line = router->lines[slot];
    if (line == NULL && waiting != NULL) {
        line = calloc(1, sizeof *line);
        if (line != NULL) {
            line->slot = slot;
            router->lines[slot] = line;
            push_turn(router, line);
        }
    }
    if (line == NULL || waiting == NULL) {
        free(waiting);
        return false;
    }
    waiting->next = NULL;
    waiting->is_long_query = is_long_query;
    move_message(&waiting->message, message);
    if (line->first == NULL)
        line->first = waiting;
    else
        line->last->next = waiting;
    line->last = waiting;
    return true;
}

/* What a client that has gone wants is nothing to wait for. */
static bool must_wait(const struct router *router, uint32_t slot)
{
    unsigned state = front_client_state(router->front, slot);
    return (state & CLIENT_IS_FULL) != 0 && (state & CLIENT_IS_GONE) == 0;
}

/* Moves the next message that waits and may be served to `message`. */
static bool next_waiting(struct router *router, bool long_queries_wait, struct message *message)
{
    while (router->turns_left > 0) {
        struct line *line = pop_turn(router);
        router->turns_left--;
        if (must_wait(router, line->slot) || (long_queries_wait && line->first->is_long_query)) {
            push_turn(router, line);
            continue;
        }
        struct waiting *waiting = line->first;
        line->first = waiting->next;
        move_message(message, &waiting->message);
        free(waiting);
        router->served = line;
        return true;
    }
    return false;
}

/* Its client has another turn in this group, behind the others. */
static void end_turn(struct router *router)
{
    struct line *line = router->served;
    router->served = NULL;
    if (line == NULL)
        return;
    if (line->first == NULL) {
        end_line(router, line);
        return;
    }
    push_turn(router, line);
    router->turns_left++;
}

bool router_is_ahead(const struct router *router)
{
    return router->reply_bytes - front_reply_bytes(router->front) > AHEAD_BYTES_MAX;
}

bool router_has_turns(const struct router *router)
{
    for (const struct line *line = router->turns_first; line != NULL; line = line->next)
        if (!must_wait(router, line->slot))
            return true;
    return false;
}

bool router_takes_welcome(struct router *router)
{
    bool wants = router->wants_welcome;
    router->wants_welcome = false;
    return wants;
}

bool router_is_done(const struct router *router)
{
    return router->has_all && !router_has_turns(router);
}

/* ---- what comes ---- */

static bool receive_message(struct router *router, struct message *message)
{
    zmq_msg_t id;
    if (!inner_receive(&router->inner, &id))
        return false;
    if (router->id_len == 0) {
        router->id_len = zmq_msg_size(&id);
        assert(router->id_len > 0 && router->id_len <= sizeof router->id);
        memcpy(router->id, zmq_msg_data(&id), router->id_len);
    }
    zmq_msg_close(&id);
    bool is_whole = inner_receive(&router->inner, &message->head); /* messages come whole */
    assert(is_whole);
    is_whole = inner_receive(&router->inner, &message->body);
    assert(is_whole);
    return true;
}

/* True: it is no request, and was taken in. */
static bool take_signal(struct router *router, struct message *message)
{
    uint32_t kind = route_of(message).kind;
    if (kind != ROUTE_NUDGE && kind != ROUTE_WELCOME && kind != ROUTE_END)
        return false;
    router->wants_welcome = router->wants_welcome || kind == ROUTE_WELCOME;
    router->has_all = router->has_all || kind == ROUTE_END;
    close_message(message);
    return true;
}

/* False: it has to wait, behind those of its client, and the next one may come. Without memory for
 * that it gets no reply, as it must not come before them. */
static bool is_for_now(struct router *router, struct message *message)
{
    uint32_t slot = route_of(message).slot;
    if (router->lines[slot] == NULL && !must_wait(router, slot))
        return true;
    if (!add_waiting(router, message, false)) {
        router->replies_dropped++;
        answer_nothing(router, message);
    }
    return false;
}

static bool next_new(struct router *router, struct message *message)
{
    while (receive_message(router, message))
        if (!take_signal(router, message) && is_for_now(router, message))
            return true;
    return false;
}

/* The one that router_next gives out. */
static struct message *at_hand(struct router *router)
{
    return &router->open->messages[router->open->count];
}

void router_begin_group(struct router *router)
{
    router->turns_left = router->turns;
}

static enum arrival arrival_of(const struct route *route)
{
    if (route->kind == ROUTE_TOO_LARGE)
        return ARRIVAL_TOO_LARGE;
    return route->kind == ROUTE_REQUEST ? ARRIVAL_REQUEST : ARRIVAL_NOT_ONE_BODY;
}

bool router_has_room(const struct router *router)
{
    return router->open->count < GROUP_MAX && router->open->body_bytes <= GROUP_BODY_BYTES_MAX;
}

enum arrival router_next(struct router *router, bool long_queries_wait, struct text *body,
                         void **origin)
{
    struct message *message = at_hand(router);
    if (!router_has_room(router) ||
        (!next_waiting(router, long_queries_wait, message) && !next_new(router, message)))
        return ARRIVAL_NONE;
    struct route route = route_of(message);
    *body = (struct text){zmq_msg_data(&message->body), zmq_msg_size(&message->body)};
    *origin = message;
    return arrival_of(&route);
}

bool router_client_is_gone(struct router *router)
{
    uint32_t slot = route_of(at_hand(router)).slot;
    return (front_client_state(router->front, slot) & CLIENT_IS_GONE) != 0;
}

void router_take(struct router *router)
{
    router->open->body_bytes += zmq_msg_size(&at_hand(router)->body);
    router->open->count++;
    end_turn(router);
}

/* It goes back to where it was, or is the first one of its client that waits. */
bool router_defer(struct router *router)
{
    struct message *message = at_hand(router);
    struct line *line = router->served;
    if (line == NULL)
        return add_waiting(router, message, true);
    struct waiting *waiting = malloc(sizeof *waiting);
    if (waiting == NULL)
        return false;
    waiting->is_long_query = true;
    waiting->next = line->first;
    move_message(&waiting->message, message);
    if (line->first == NULL)
        line->last = waiting;
    line->first = waiting;
    router->served = NULL;
    push_turn(router, line);
    return true;
}

void router_drop(struct router *router)
{
    router->requests_dropped++;
    answer_nothing(router, at_hand(router));
    end_turn(router);
}

void router_figures(const struct router *router, struct stats *stats)
{
    stats->requests_dropped += router->requests_dropped;
    stats->replies_dropped += router->replies_dropped;
}

void router_send_group(struct router *router)
{
    assert(router->sent == NULL);
    router->sent = router->open;
    router->open = &router->groups[router->open == &router->groups[0]];
    assert(router->open->count == 0);
}

void router_reply(struct router *router, void *origin, struct text body)
{
    struct message *message = origin;
    assert(router->sent != NULL && message >= router->sent->messages &&
           message < router->sent->messages + router->sent->count);
    router->replies_dropped += body.len == 0;
    send_reply(router, message, body);
}

void router_end_group(struct router *router)
{
    assert(router->sent != NULL);
    end_requests(router->sent);
    router->sent = NULL;
}
