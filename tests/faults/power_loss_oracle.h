/* Says whether a store that a power cut left is one that the node may leave.
 *
 * A start must open it, and allocd --verify must find it whole (store/verify/verify.h), before the
 * start as after it: but for tables that were just being made, which a start makes anew. Its
 * journal must be, entry by entry, the beginning of that of the run, and all that had left the node
 * when the power went must be in it. An entry that was refused may stand at its end until somebody
 * is told that it was. */
#ifndef FAULTS_POWER_LOSS_ORACLE_H
#define FAULTS_POWER_LOSS_ORACLE_H

#include "domain/base/text.h"
#include "domain/messages/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct oracle_entry {
    uint64_t number;
    uint64_t first_seq;
    uint32_t events;
    uint64_t hash; /* of its body and time */
};

struct oracle_entries {
    struct oracle_entry *items;
    size_t count;
    size_t capacity;
};

/* An entry that was the newest one when something had failed. */
struct oracle_doubt {
    struct oracle_entry entry;
    size_t messages; /* that had left by then */
};

struct oracle_event {
    uint64_t hash; /* of the body */
    uint64_t entry;
};

struct oracle_reply {
    uint64_t id; /* its hash */
    enum outcome outcome;
    bool duplicate;
    uint64_t seq;
    uint64_t batchref; /* its hash; 0: absent */
    uint64_t entry;
};

struct oracle {
    const char *directory;         /* the one of the store */
    const char *copy;              /* one for a start */
    uint64_t begin;                /* entries that were there before the run */
    struct oracle_entries entries; /* of the whole run, and before it */
    struct oracle_event *events;   /* by seq, from 1 on */
    size_t event_count;
    size_t event_capacity;
    struct oracle_reply *replies;
    size_t reply_count;
    size_t reply_capacity;
    struct oracle_doubt *doubts;
    size_t doubt_count;
    uint64_t
        *promised; /* number of the entry that has to be there once so many messages have left */
    size_t message_count;
};

/* What was seen of states. */
struct oracle_figures {
    uint64_t cut;     /* a start cut off what was not written to its end */
    uint64_t rebuilt; /* a start made the tables anew */
    uint64_t refused; /* an entry was there that was refused later */
    uint64_t went_on; /* it took one more command */
    uint64_t lost;    /* no entry was there that nobody was told of yet */
};

/* The directories' paths must outlive the oracle. */
void oracle_init(struct oracle *oracle, const char *directory, const char *copy);
void oracle_release(struct oracle *oracle);

/* The run began on this store, of which no entry may be lost. True: its tables are whole too. */
bool oracle_begin(struct oracle *oracle, const char *directory);

/* ---- the run; false: it was wrong already, `why` says how ---- */

/* Something failed, or a process ended, after so many messages: takes note of the newest entry. */
void oracle_doubts(struct oracle *oracle, size_t messages);

/* Learns what the journal holds in the end. */
bool oracle_learn(struct oracle *oracle, FILE *why);

/* Learns that a frame left the node. Requires: oracle_learn. */
bool oracle_learn_sent(struct oracle *oracle, const unsigned char *frame, size_t len, FILE *why);

/* ---- what a cut left ---- */

struct oracle_state {
    size_t messages;   /* how many of those that were learned had left the node */
    bool makes_tables; /* they need not be there, nor be whole */
    bool goes_on;      /* it is to take one more command */
    uint64_t chance;
};

/* False: `why` says why. */
bool oracle_check(const struct oracle *oracle, const struct oracle_state *state,
                  struct oracle_figures *figures, FILE *why);

/* Makes a copy of what the cut left. Requires: `directory` is there. */
void oracle_keep(const struct oracle *oracle, const char *directory);

#endif
