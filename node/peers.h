/* Who is connected to the command socket, and how much each has left unread.
 *
 * No option of libzmq bounds what waits for one peer, and a high-water mark would lose replies of
 * clients that do read. So the bytes sent to a peer are counted here against those that its
 * kernel acknowledged (tcp(7), TCP_INFO; for ipc, what unix(7) still holds), and a peer that lets
 * too much wait without reading is cut off: its connection is shut down, never closed, as the
 * descriptor is libzmq's. */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "bus/ports.h"
#include "node/log.h"

#include <zmq.h>

struct peers;

/* NULL: no memory. `stats` and `logger` must outlive it. */
struct peers *peers_new(size_t max_unread_bytes, struct stats *stats, struct logger *logger);
void peers_destroy(struct peers **peers);

/* From the socket monitor: a connection came or went. */
void peers_connected(struct peers *peers);
void peers_disconnected(struct peers *peers, int fd);

/* A reply of so many bytes was given to libzmq. `request` is a frame of the peer's request that is
 * not its routing id; it is looked at for the first reply alone. */
void peers_sent(struct peers *peers, const void *routing_id, size_t routing_id_len,
                zmq_msg_t *request, size_t bytes, uint64_t now_ms);

/* The peer had gone when a reply was for it. */
void peers_gone(struct peers *peers, const void *routing_id, size_t routing_id_len);

/* Looks at those that have left too much unread and cuts off who does not read. */
void peers_check(struct peers *peers, uint64_t now_ms);

/* True while someone has too much unread: peers_check is due again within PEERS_CHECK_MS. */
bool peers_are_slow(const struct peers *peers);

/* True while someone who reads has so much unread that no more should be produced for now. */
bool peers_are_full(const struct peers *peers);

#define PEERS_CHECK_MS 20

#endif
