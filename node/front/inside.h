/* What the files of the front share: its state, and what a peer is. All of it is the thread's own,
 * but for what says otherwise. */
#ifndef NODE_FRONT_INSIDE_H
#define NODE_FRONT_INSIDE_H

#include "node/front/address.h"
#include "node/front/backlog.h"
#include "node/front/budget.h"
#include "node/front/bytes.h"
#include "node/front/front.h"
#include "node/front/listener.h"
#include "node/front/prefixes.h"
#include "node/front/route.h"
#include "node/front/zmtp.h"
#include "node/zmq/inner.h"
#include "node/log.h"
#include "store/wire/codec.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#define TICK_MS 100u /* between two looks at what has a time limit */

/* ---- a peer: one connection ---- */

enum peer_kind {
    PEER_CLIENT,     /* of the command socket */
    PEER_SUBSCRIBER, /* of the event socket */
    PEER_FEED        /* an upstream node, which we connected to */
};

/*     CONNECTING --> GREETING --> HANDSHAKE --> OPEN --> GONE
 *      (a feed)      64 bytes      READY                 its end was seen, or it was cut off
 *
 * peer_take moves it on, peer_end to GONE from anywhere. */
enum peer_phase { PEER_CONNECTING, PEER_GREETING, PEER_HANDSHAKE, PEER_OPEN, PEER_GONE };

/* A message of a client as it comes (node/front/clients.c). */
struct incoming {
    struct bytes kept; /* envelope as it goes over the wire, then the body */
    size_t envelope_len;
    size_t body_len;
    unsigned frames; /* of the envelope */
    unsigned bodies;
    bool has_delimiter; /* the empty frame has come */
    bool is_too_large;  /* a body is over REQUEST_MAX_BYTES */
    bool must_drop;     /* its envelope is longer than any may be */
    bool is_keeping;    /* content of the frame under way is kept */
};

struct client {
    struct incoming incoming;
    size_t unanswered;      /* requests that were passed on */
    size_t unanswered_cost; /* bytes that these take */
    bool is_full;           /* CLIENT_IS_FULL is set */
    uint64_t turn_began_ms; /* its turn to end its message, see client_take_turn; 0: it has none */
};

struct subscriber {
    struct prefixes prefixes;
    uint64_t place;          /* in the backlog: the event that it gets next */
    bool is_listening;       /* it has subscriptions, and is in front.subscribers */
    bool is_in_long_message; /* of several frames, which asks for nothing */
    bool is_single_frame;    /* the frame under way is a message of its own */
    size_t at;               /* its index there */
};

/* What says that an upstream node is to be reached; it outlives its peers. */
struct feed;

/* A message of an upstream node as it comes (node/front/feeds.c). */
struct feeding {
    struct feed *feed;
    unsigned frames; /* of it that have begun */
    bool is_good;    /* so far */
    bool is_whole;   /* the node has no room for it yet */
};

enum watch_kind { WATCH_PEER, WATCH_LISTENER, WATCH_INNER, WATCH_WAKE };

/* What a descriptor in the epoll set belongs to; the first member of each. */
struct watch {
    enum watch_kind kind;
};

struct peer {
    struct watch watch;
    enum peer_kind kind;
    enum peer_phase phase;
    int fd; /* -1: closed */
    uint32_t slot;
    uint32_t events; /* that epoll watches for */
    struct zmtp_reader reader;
    struct bytes out;       /* to be sent */
    struct bytes unparsed;  /* received, and has to wait */
    struct bytes content;   /* of a message's frame that has not come whole */
    struct bytes command;   /* the same of a command */
    bool is_in_message;     /* a message has begun and not ended */
    bool is_last_frame;     /* of it, the one under way */
    bool is_in_command;     /* the frame under way is a command */
    bool is_held;           /* the message that begins now has to wait */
    struct zmtp_piece held; /* its first frame */
    bool is_waiting;        /* it is in front.waiting: not read from */
    bool is_unsent;         /* it is in front.unsent: `out` has something new */
    bool is_buried;         /* it is in front.buried: to be freed */
    bool is_blocked;        /* its socket takes no more for now */
    bool reads_ahead; /* it is read from all the same, as its end may stand behind what it sent */
    bool has_ended;   /* its peer has closed; what it sent before is still taken in */
    struct charge charge; /* what the budget was charged */
    size_t taken;         /* bytes that came since the last tick */
    uint64_t began_ms;    /* when the connection was made */
    uint64_t heard_ms;    /* when something came last */
    uint64_t pinged_ms;   /* when it was sent the last PING */
    uint64_t sent_ms;     /* when its socket took something last, or `out` was empty */
    uint64_t sent;        /* bytes that its socket took */
    LIST_ENTRY(peer) in_peers;
    TAILQ_ENTRY(peer) in_waiting;
    TAILQ_ENTRY(peer) in_unsent;
    SLIST_ENTRY(peer) in_buried;
    union {
        struct client client;
        struct subscriber subscriber;
        struct feeding feeding;
    } as;
};

TAILQ_HEAD(peer_queue, peer);

/* ---- the front ---- */

enum { LISTENER_COMMANDS, LISTENER_EVENTS, LISTENER_COUNT };

struct accepting {
    struct watch watch;
    struct listener listener;
    enum peer_kind kind;
    bool is_paused; /* until the next tick: no descriptor could be had */
};

enum queue {
    QUEUE_REQUESTS, /* a DEALER: requests to the node's ROUTER, and replies from there */
    QUEUE_EVENTS,   /* a SUB: events of its PUB */
    QUEUE_UPSTREAM, /* a PUSH: messages of upstream nodes, to its PULL; open where there are any */
    QUEUE_COUNT
};

/* Written by the thread, read by the main thread. */
struct front_counts {
    _Atomic uint64_t peers;
    _Atomic uint64_t subscribers;
    _Atomic uint64_t peers_cut;
    _Atomic uint64_t peers_flooding;
    _Atomic uint64_t peers_refused;
    _Atomic uint64_t subscribers_cut;
    _Atomic uint64_t replies_dropped;
    _Atomic uint64_t requests_dropped;
    _Atomic uint64_t events_missed;
    _Atomic uint64_t reply_bytes; /* see front_reply_bytes */
};

static inline void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static inline void uncount(_Atomic uint64_t *counter)
{
    atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);
}

#define SCRATCH_BYTES ((size_t)64 * 1024) /* read from a connection at a time */

struct front {
    const struct config *config;
    struct logger *logger;
    struct {
        struct watch watch;
        struct inner inner;
    } queues[QUEUE_COUNT];
    pthread_t thread;
    _Atomic unsigned char *states; /* by slot: enum client_state */
    struct peer **slots;           /* who has each */
    uint32_t *free_slots;
    struct front_counts counts;
    struct accepting accepting[LISTENER_COUNT];
    struct budget budget;
    struct backlog *backlog;
    LIST_HEAD(all_peers, peer) peers; /* all that are connected */
    struct peer_queue waiting;
    struct peer_queue unsent;
    size_t waiting_count;
    SLIST_HEAD(buried_peers, peer) buried; /* to be freed at the end of the turn */
    struct peer **subscribers;             /* those with subscriptions */
    size_t subscriber_count;
    size_t subscriber_capacity;
    size_t unserved;       /* subscribers that the pass under way has not come to, ... */
    size_t next_served;    /* ... where it goes on, ... */
    uint64_t served_end;   /* ... and the end of the backlog that it knows of */
    _Atomic bool is_heard; /* for the main thread: somebody has subscribed to something */
    size_t busy_clients;   /* those with unanswered requests */
    size_t turns;          /* clients with a turn to end their message */
    uint64_t welcome_ms;   /* when a Welcome was asked for */
    struct feed *feeds;
    size_t feed_count;
    uint64_t now_ms;
    uint64_t late_us;    /* when those that send much have had their part of the turn */
    uint64_t tick_ms;    /* when the next tick is due */
    uint64_t trimmed_ms; /* when free memory went back to the system */
    uint64_t relieve_ms; /* when to look again for somebody to cut off */
    struct log_limit cut_limit;
    struct log_limit refused_limit;
    char *scratch;        /* of SCRATCH_BYTES */
    unsigned effort_left; /* of this turn, for subscriptions */
    uint32_t slot_count;
    uint32_t free_count;      /* in free_slots */
    uint32_t connections;     /* that are open, ... */
    uint32_t connections_max; /* ... and how many may be */
    int epoll_fd;
    int wake_fd;       /* the main thread writes there when it wants something */
    struct watch wake; /* of that */
    bool is_started;
    _Atomic bool must_stop_reading;
    _Atomic bool must_stop;
    bool has_stopped_reading;
    bool wants_welcome; /* somebody has subscribed to Welcome/ since it was asked for */
    bool must_nudge;    /* a client is not full any more */
    bool must_tell_end; /* nothing more will be passed on */
    bool has_to_trim;   /* memory was in use that malloc would keep */
};

/* ---- peer.c: its life ---- */

/* A new peer with that descriptor, which it owns. NULL: no place, descriptor or memory; it is
 * closed. */
struct peer *peer_new(struct front *front, enum peer_kind kind, int fd, enum peer_phase phase);

/* Ends the connection. What it passed on is still answered, to nobody. Harmless where it is gone.
 */
void peer_end(struct front *front, struct peer *peer);

/* The other end has left: nobody waits for its replies, and what it left unread is gone. */
void peer_has_left(struct front *front, struct peer *peer);

/* Where a peer is gone and nothing that it passed on is unanswered any more, it is to be freed at
 * the end of the turn. To be called again after each answer. */
void peer_release(struct front *front, struct peer *peer);

/* Frees those, and their slots. */
void peers_bury(struct front *front);

/* Has epoll watch for what is wanted of it now. */
void peer_watch(struct front *front, struct peer *peer);

/* Gives back buffers that nothing waits in, which stay for the next message otherwise. */
void peer_release_empty(struct peer *peer);

/* Whether it has more than it may have now. */
static inline bool peer_is_over_its_share(const struct front *front, const struct peer *peer)
{
    return peer->charge.bytes > budget_allows(&front->budget);
}

/* Charges the budget with what the peer takes now. */
void peer_charge(struct front *front, struct peer *peer);

/* Nothing more is read from anybody: to be called once has_stopped_reading is set. */
void peers_stop_reading(struct front *front);

/* ---- reading.c ---- */

/* Whether it sends so much that others come first. */
bool peer_is_busy(const struct peer *peer);

/* Whether those that are busy have had their part of the turn. */
bool front_is_late(const struct front *front);

/* The other end has closed, or the connection broke. Harmless where that is known. */
void peer_ended(struct front *front, struct peer *peer);

/* Something can be read from it, or written to it, or its end has come. */
void peer_ready(struct front *front, struct peer *peer, uint32_t events);

/* Reads on, or no more, from a client that has to wait: see there. */
void client_read_ahead(struct front *front, struct peer *peer);

/* Takes in what came and had to wait. True: somebody can go on at once. */
bool peers_resume(struct front *front);

/* ---- sending.c ---- */

/* Room for bytes to be sent, to be filled before bytes_added says how many there are. Without
 * memory the connection ends. NULL: it has ended. */
unsigned char *peer_room(struct front *front, struct peer *peer, size_t len);

/* Copies bytes to be sent. False: it has ended. */
bool peer_put(struct front *front, struct peer *peer, const void *data, size_t len);

/* It is to have its turn in peers_send. */
void peer_wants_sending(struct front *front, struct peer *peer);

/* Sends what is in `out`. False: not all of it could be, or it has ended. */
bool peer_flush(struct front *front, struct peer *peer);

/* Its socket takes no more: epoll tells when it does. */
void peer_is_blocked(struct front *front, struct peer *peer);

/* Sends what waits in `out` of those that have something new. */
void peers_send(struct front *front);

/* ---- limits.c ---- */

/* Time limits: handshakes, heartbeats, replies that nobody reads. */
void peers_tick(struct front *front);

/* Cuts off those that have most, where all together have more than they may. */
void peers_relieve(struct front *front);

/* ---- what is different for each kind: clients.c, subscribers.c, feeds.c ---- */

/* Whether the next message has to wait. */
bool client_must_wait(const struct front *front, const struct peer *peer);
bool subscriber_must_wait(const struct front *front, const struct peer *peer);
bool feed_must_wait(struct front *front, struct peer *peer);

/* Hands a message over that has come whole, if there is one. False: the node has no room for it,
 * and nothing more may be read, as the end of the connection would take it along. */
bool feed_hand_over(struct front *front, struct peer *peer);

/* Where it is crowded, whoever has more than its share waits, and it would wait as long as others
 * keep halves of messages. So each of these has a turn, with a few others at a time, in which it
 * may take as much as its message does. Whose message does not get on then is cut off. */
void client_take_turn(struct front *front, struct peer *peer);
void client_end_turn(struct front *front, struct peer *peer);
bool client_has_turn(const struct peer *peer);

/* A frame of a message begins, and then its content comes. False: the connection has to end. */
bool client_frame(struct front *front, struct peer *peer, unsigned flags, size_t size);
bool client_content(struct front *front, struct peer *peer, struct text content, bool ends);
bool subscriber_frame(struct front *front, struct peer *peer, unsigned flags, size_t size);
bool subscriber_content(struct front *front, struct peer *peer, struct text content, bool ends);
bool feed_frame(struct front *front, struct peer *peer, unsigned flags, size_t size);
bool feed_content(struct front *front, struct peer *peer, struct text content, bool ends);

/* A command of ZMTP 3.1 that a subscriber may send. False: the connection has to end. */
bool subscriber_command(struct front *front, struct peer *peer, struct text command);

/* What else it has is given back. */
void client_gone(struct front *front, struct peer *peer);
void subscriber_gone(struct front *front, struct peer *peer);
void feed_gone(struct front *front, struct peer *peer);

/* Takes replies from the node and puts them where they belong. True: there may be more. */
bool clients_take_replies(struct front *front);

/* A client has read replies: it is not full any more, if it was. */
void client_was_read(struct front *front, struct peer *peer);

/* Tells the node something that is no request: NUDGE, WELCOME or END. False: no memory. */
bool clients_signal(struct front *front, enum route_kind kind);

/* Takes events from the node into the backlog. True: there may be more. */
bool subscribers_take_events(struct front *front);

/* Sends events to those that can take some, until front_is_late. True: somebody could take more. */
bool subscribers_serve(struct front *front);

/* Somebody may be able to take events that could not before. */
void subscribers_look_again(struct front *front);

/* Asks for a Welcome where somebody waits for one. */
void subscribers_ask_for_welcome(struct front *front);

/* One for each upstream endpoint, of which there is at least one. NULL: no memory. */
struct feed *feeds_new(const struct config *config);
void feeds_destroy(struct front *front);

/* Connects where that is due. */
void feeds_tick(struct front *front);

/* A step of making its connection is done. */
void feed_connected(struct front *front, struct peer *peer);

#endif
