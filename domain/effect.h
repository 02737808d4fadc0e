/* What each event does to a line and to a batch, said once: stores, views and whoever replays the
 * log go by it, so that a new event needs no change there. (`--verify` and the models of the tests
 * say it a second time, on purpose.) */
#ifndef DOMAIN_EFFECT_H
#define DOMAIN_EFFECT_H

#include "domain/batch.h"

enum line_effect {
    LINE_UNTOUCHED,
    LINE_PUT, /* it stands where `line` says: in a batch, or waiting */
    LINE_GONE /* its order has it no more */
};

enum batch_effect {
    BATCH_UNTOUCHED,
    BATCH_NEW,        /* there was none with that ref */
    BATCH_CHANGED,    /* its quantity, or its ETA */
    BATCH_TAKES_LINE, /* it holds line.qty more */
    BATCH_LOSES_LINE  /* it holds line.qty less */
};

struct effect {
    enum line_effect on_line;
    struct order_line line; /* the line; where it is GONE, as it was. Texts are the event's */
    uint64_t waited_since;  /* seq since which the line had waited until now; 0: it had not */
    enum batch_effect on_batch;
    struct text batchref; /* of that batch; absent where it is UNTOUCHED */
};

/* Requires: an event of the log, with seq, sku and line_seq set. */
struct effect effect_of(const struct event *event);

/* Whether the line begins to wait with the event, or ends to. */
static inline bool effect_moves_waiting(const struct effect *effect)
{
    return effect->waited_since != 0 ||
           (effect->on_line == LINE_PUT && order_line_waits(&effect->line));
}

#endif
