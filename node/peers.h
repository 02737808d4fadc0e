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

struct peer;

/* Descriptors from `fd_limit` on are refused: libzmq spins when it runs out of them. NULL: no
 * memory. `stats` and `logger` must outlive it. */
struct peers *peers_new(size_t max_unread_bytes, int fd_limit, struct stats *stats,
                        struct logger *logger);
void peers_destroy(struct peers **peers);

/* From the socket monitor: a connection came or went. */
void peers_connected(struct peers *peers, int fd, uint64_t now_ms);
void peers_disconnected(struct peers *peers, int fd);

/* Who sent a request. `frame` is a frame of it that is not the routing id, and that was not sent
 * yet; it is looked at for the peer's first request alone. NULL: the peer has gone, or there is no
 * memory: then nobody is watched. The peer is good until the next call of any function here that
 * is not peers_sent. */
struct peer *peers_find(struct peers *peers, const void *routing_id, size_t routing_id_len,
                        zmq_msg_t *frame);

/* A reply of so many bytes on the wire was given to libzmq. `peer` may be NULL. */
void peers_sent(struct peers *peers, struct peer *peer, size_t bytes, uint64_t now_ms);

/* The peer had gone when a reply was for it. It may be NULL. */
void peers_gone(struct peers *peers, struct peer *peer);

/* Looks at those that have left too much unread and cuts off who does not read. */
void peers_check(struct peers *peers, uint64_t now_ms);

/* True while someone has too much unread: peers_check is due again within PEERS_CHECK_MS. */
bool peers_are_slow(const struct peers *peers);

/* True while someone who reads has so much unread that no more should be produced for now. */
bool peers_are_full(const struct peers *peers);

#define PEERS_CHECK_MS 20

#endif
