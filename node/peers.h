/* Who is connected to the command socket, and how much each has left unread.
 *
 * No option of libzmq bounds what waits for one peer, and a high-water mark would lose replies of
 * clients that do read. So the bytes sent to a peer are counted here against those that its
 * kernel acknowledged (tcp(7), TCP_INFO; for ipc, what unix(7) still holds), and a peer that lets
 * too much wait without reading is cut off: its connection is shut down, never closed, as the
 * descriptor is libzmq's. */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "node/guard.h"
#include "node/log.h"
#include "node/outstanding.h"

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

/* A message of so many bytes on the wire was taken from libzmq. `frame` is a frame of it that is
 * not the routing id. False: it is left over from a peer that was cut off, and is to be dropped. */
bool peers_received(struct peers *peers, struct text routing_id, zmq_msg_t *frame, size_t bytes);

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

/* True while someone who reads has so much unread that no more should be produced for now. */
bool peers_are_full(const struct peers *peers);

#define PEERS_CHECK_MS 20

#endif
