/* Says whether a store that a power cut left is one that the node may leave.
 *
 * It must be whole (store/verify/verify.h). Its log and its remembered replies must be, byte for
 * byte, those of the run, as some commit of the run left them. And all that had left the node when
 * the power went must be in it. */
#ifndef FAULTS_POWER_LOSS_ORACLE_H
#define FAULTS_POWER_LOSS_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct oracle_row {
    unsigned char *bytes;
    size_t len;
};

/* Rows of a table by number, which go on from `first` without a gap. */
struct oracle_rows {
    struct oracle_row *rows;
    size_t count;
    size_t capacity;
    uint64_t first;
};

struct oracle_size {
    size_t events;
    size_t replies;
};

struct oracle {
    const char *directory;       /* the one of the store */
    struct oracle_rows events;   /* of the whole run */
    struct oracle_rows replies;  /* those that are remembered */
    struct oracle_size *commits; /* what was stored after each of them */
    size_t commit_count;
    struct oracle_size *promised; /* what has to be stored once so many messages have left */
    size_t message_count;
};

/* The directory's path must outlive the oracle. */
void oracle_init(struct oracle *oracle, const char *directory);
void oracle_release(struct oracle *oracle);

/* ---- the run, from its begin to its end; false: it was wrong already, `why` says how ---- */

/* Learns what the store in the directory holds after a commit. */
bool oracle_learn(struct oracle *oracle, FILE *why);

/* Learns that a frame left the node. */
bool oracle_learn_sent(struct oracle *oracle, const unsigned char *frame, size_t len, FILE *why);

/* ---- what a cut left ---- */

/* `messages`: how many of those that were learned had left the node. False: `why` says why. */
bool oracle_check(const struct oracle *oracle, size_t messages, FILE *why);

/* Whether a commit was cut off in it, which the next start will finish. It was never told of, so
 * oracle_check looks at what there was before it. */
bool oracle_is_cut_off(const struct oracle *oracle);

/* Opens the store in `copy`, which is one of what was found good, and has it take one more command.
 * A commit that was cut off is finished then, which adds to what was stored and to *finished, and
 * changes nothing else. */
bool oracle_goes_on(const struct oracle *oracle, const char *copy, uint64_t *finished, FILE *why);

#endif
