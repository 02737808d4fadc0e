/* What is on the disk, what is on its way there, and which of it a power cut leaves.
 *
 * A disk keeps what was synced. Of the rest each write may be there whole, in part (any of its
 * sectors) or not at all, in any order; a file may be as long as it was to become, or shorter; a
 * directory entry may be missing until its directory is synced. The files of the model stand in a
 * directory of their own, where they are what the disk keeps; `disk_cut` makes them what a cut
 * leaves, and `disk_mend` takes that back. */
#ifndef FAULTS_POWER_LOSS_DISK_H
#define FAULTS_POWER_LOSS_DISK_H

#include "tests/faults/power_loss_trace.h"

#define SECTOR_BYTES ((size_t)512)
#define DISK_FILES_MAX 4

enum unit_kind { UNIT_WRITE, UNIT_RESIZE, UNIT_ENTRY };

struct disk_file {
    const char *name; /* NULL: the directory itself */
    int fd;
    unsigned char *durable;
    size_t len;           /* of the durable bytes */
    size_t capacity;      /* of `durable` */
    size_t wanted_len;    /* once all that waits is on disk */
    bool is_there;        /* has a directory entry, as the node sees it */
    bool is_kept;         /* has one on disk */
    bool is_in_directory; /* of the model, at this moment */
};

/* Something that is not on disk yet. */
struct unit {
    enum unit_kind kind;
    struct disk_file *file;
    size_t at; /* offset, or the new length */
    const unsigned char *bytes;
    size_t len;
    size_t commit; /* how many writes to meta pages came before it */
};

/* What it says it has synced and has not, so that it can be seen what comes of that. */
enum disk_lies { DISK_IS_HONEST, DISK_SYNCS_NO_FILE, DISK_SYNCS_NO_META };

struct disk {
    int directory_fd; /* where the model stands */
    int hidden_fd;    /* where the files are that are missing */
    struct disk_file files[DISK_FILES_MAX];
    size_t file_count;
    struct unit *units; /* in the order in which they came */
    size_t unit_count;
    size_t unit_capacity;
    size_t commits;
    enum disk_lies lies;
};

/* A disk with nothing on it. `directory` and `hidden` are there and empty. */
void disk_init(struct disk *disk, const char *directory, const char *hidden, enum disk_lies lies);
void disk_release(struct disk *disk);

/* Takes in what an entry says. One that writes with O_DSYNC is not yet on disk after this: it is on
 * its way until disk_settle_write. */
void disk_take(struct disk *disk, const struct trace_entry *entry);

/* True where the entry is a write that is on disk once its call returns. */
bool disk_is_synced_write(const struct trace_entry *entry);
void disk_settle_write(struct disk *disk, const struct trace_entry *entry);

/* What becomes of one unit. */
enum fate { FATE_LOST, FATE_KEPT, FATE_FIRST_SECTORS, FATE_SOME_SECTORS };

struct unit_fate {
    enum fate fate;
    uint64_t chance; /* decides which sectors */
};

enum length_fate { LENGTH_OF_WHAT_IS_THERE, LENGTH_AS_WANTED, LENGTH_CUT };

/* Turns the model into what a cut leaves; `fates` has one for each unit. */
void disk_cut(struct disk *disk, const struct unit_fate *fates, enum length_fate length,
              uint64_t chance);
void disk_mend(struct disk *disk);

/* A number that looks random, the same for the same input. */
uint64_t mixed(uint64_t value);

#endif
