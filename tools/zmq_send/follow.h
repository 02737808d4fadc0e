/* `sub`: events as JSON lines, in the order of their seq, without gap or repeat.
 *
 * The feed of the SUB socket says quickly that something happened; the event log says what. An
 * event from the feed is printed at once where nothing that was asked for can lie between it and
 * what was printed before: where its seq is the next one, or where one type alone was asked for
 * and its `prev` is not newer than what is complete. In all other cases, and whenever a Heartbeat
 * or Welcome tells of a higher seq, the log is read up to there. */
#ifndef TOOLS_ZMQ_SEND_FOLLOW_H
#define TOOLS_ZMQ_SEND_FOLLOW_H

#include "tools/zmq_send/connection.h"
#include "tools/zmq_send/options.h"
#include "tools/zmq_send/status.h"

enum status follow_run(struct transport transport, const struct options *options);

#endif
