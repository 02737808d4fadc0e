/* Who is connected to the command socket, and how much each has left unread.
 *
 * No option of libzmq bounds what waits for one peer, and a high-water mark would lose replies of
 * clients that do read. So the bytes sent to a peer are counted here against those that its
 * kernel acknowledged (tcp(7), TCP_INFO; for ipc, what unix(7) still holds), and a peer that lets
 * too much wait without reading is cut off: its connection is shut down, never closed, as the
 * descriptor is libzmq's.
 *
 * Meanwhile nothing more is read from it, and requests of it that came already are parked: it gets
 * no more replies until it has read, and nobody else waits for it. */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "node/guard.h"
#include "node/log.h"
#include "node/outstanding.h"
#include "node/parked.h"

#include <zmq.h>

#define ROUTING_ID_MAX 255u /* ZMTP */

struct peers;

struct peer;

/* NULL: no memory. What is passed in must outlive it. */
struct peers *peers_new(size_t max_unread_bytes, struct guard *guard, struct stats *stats,
                        struct logger *logger);
void peers_destroy(struct peers **peers);

/* A connection ended. */
void peers_disconnected(struct peers *peers, int fd);

enum arrival {
    ARRIVAL_TAKEN,     /* to be answered */
    ARRIVAL_LEFT_OVER, /* to be dropped: no request, or its peer was cut off */
    ARRIVAL_PARKED     /* its peer has to read first; the frames were taken */
};

/* A message was taken from libzmq, of two frames or more. `frames` are those that were kept. */
enum arrival peers_received(struct peers *peers, zmq_msg_t *frames, const struct message_size *size,
                            bool is_request);

/* Moves the frames of a message that was parked, and whose peer has read enough by now, to frames
 * that are not initialised. False: there is none. */
bool peers_next_parked(struct peers *peers, zmq_msg_t *frames, struct message_size *size);

/* Who a reply is for. `frame` is a frame of its request that is not the routing id. Nothing of the
 * request was sent yet; the recipient is good until peers_sent or peers_unreachable. */
struct recipient {
    struct peer *peer;              /* NULL: it had no reply yet */
    struct outstanding outstanding; /* then this is what it begins with ... */
    size_t id_len;                  /* ... and its routing id */
    unsigned char id[ROUTING_ID_MAX];
};

void peers_recipient(struct peers *peers, struct text routing_id, zmq_msg_t *frame,
                     struct recipient *out);

/* A reply of so many bytes on the wire was given to libzmq. */
void peers_sent(struct peers *peers, const struct recipient *recipient, size_t bytes,
                uint64_t now_ms);

/* The peer had gone when a reply was for it. */
void peers_unreachable(struct peers *peers, const struct recipient *recipient);

/* Looks at those that have left too much unread and cuts off who does not read. */
void peers_check(struct peers *peers, uint64_t now_ms);

/* True while someone has too much unread: peers_check is due again within PEERS_CHECK_MS. */
bool peers_are_slow(const struct peers *peers);

/* True while peers_next_parked may find something. */
bool peers_have_parked(const struct peers *peers);

#define PEERS_CHECK_MS 20

#endif
