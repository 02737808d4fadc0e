/* What the files of the oracle of power cuts share. */
#ifndef FAULTS_POWER_LOSS_INSIDE_H
#define FAULTS_POWER_LOSS_INSIDE_H

#include "bus/ports/journal.h"
#include "domain/base/error.h"
#include "tests/faults/power_loss_oracle.h"

#include <inttypes.h>

static inline bool oracle_entry_equal(const struct oracle_entry *a, const struct oracle_entry *b)
{
    return a->number == b->number && a->first_seq == b->first_seq && a->events == b->events &&
           a->hash == b->hash;
}

/* False: the entry is not what it has to be. */
typedef bool power_loss_entry_seen(void *context, const struct journal_entry *entry);

/* Adds all entries of the journal in a data directory to *out, and shows each to `seen`, unless it
 * is NULL. Changes nothing on disk. False: it cannot be read; `error` says why. */
bool power_loss_read_journal(const char *directory, struct oracle_entries *out,
                             power_loss_entry_seen *seen, void *context, char error[ERROR_BYTES]);

#endif
