/* What is on the disk, what is on its way there, and which of it a power cut leaves.
 *
 * A disk keeps what was synced:
 * - Of the rest each write may be there whole, in part (any of its sectors) or not at all, in any
 *   order; a file may be as long as it was to become, with zeros or anything in it, or shorter.
 * - A name that was made, changed or taken away may be so or not, each by itself, until its
 *   directory is synced. What a directory holds goes with its own name.
 * - In the journal's directory only fsync keeps what makes a file longer: the journal promises that
 *   no other sync of its files has to.
 * - What was being written when a sync failed is what the system takes for written: a later sync
 *   does not write it, unless its page is written to again.
 *
 * The files of the model stand in a directory of their own, where they are what the disk keeps;
 * `disk_cut` makes them what a cut leaves, and `disk_mend` takes that back. */
#ifndef FAULTS_POWER_LOSS_DISK_H
#define FAULTS_POWER_LOSS_DISK_H

#include "tests/faults/power_loss_trace.h"

#define SECTOR_BYTES ((size_t)512)

struct inode {
    char name[16]; /* in the hidden directory */
    int fd;        /* -1: it is a directory */
    bool is_of_journal;
    bool is_mark; /* of the journal: never synced */
    unsigned char *durable;
    size_t len;        /* of the durable bytes */
    size_t capacity;   /* of `durable` */
    size_t wanted_len; /* once all that waits is on disk */
};

/* A directory that is synced as one. */
enum disk_place { PLACE_ABOVE, PLACE_DATA, PLACE_JOURNAL };

struct disk_name {
    char *path; /* below the data directory; "." is itself, and stands in the one above */
    enum disk_place place;
    struct inode *now;   /* what it means to the node; NULL: nothing, as in these: */
    struct inode *kept;  /* on disk */
    struct inode *left;  /* by a cut */
    struct inode *shown; /* in the model, at this moment */
};

struct name_change {
    struct disk_name *name;
    struct inode *inode;
};

enum unit_kind { UNIT_WRITE, UNIT_RESIZE, UNIT_NAME };

/* Something that is not on disk yet. */
struct unit {
    enum unit_kind kind;
    uint64_t stamp; /* of the moment at which it came */
    struct inode *inode;
    size_t at; /* offset, or the new length */
    const unsigned char *bytes;
    size_t len;
    bool is_stuck; /* its sync failed */
    struct name_change changes[2];
    int change_count;
};

/* What it says it has synced and has not, so that it can be seen what comes of that. */
enum disk_lies { DISK_IS_HONEST, DISK_SYNCS_NO_JOURNAL, DISK_SYNCS_NO_TABLES, DISK_SYNCS_NO_NAMES };

/* A sync that has begun. */
struct disk_sync {
    size_t opened;
    uint64_t number;
    uint64_t stamp;
};

struct disk {
    int directory_fd; /* where the model stands */
    int hidden_fd;    /* where all files are */
    struct inode **inodes;
    size_t inode_count;
    struct disk_name **names;
    size_t name_count;
    struct inode **opened; /* by the trace's number of the open; NULL: a directory */
    size_t opened_count;
    struct unit *units; /* in the order in which they came */
    size_t unit_count;
    size_t unit_capacity;
    struct disk_sync *syncs;
    size_t sync_count;
    uint64_t stamp;
    bool makes_tables; /* their file is being made, or was damaged: a start makes it anew */
    bool has_made_tables;
    enum disk_lies lies;
};

/* A disk with nothing on it. `directory` and `hidden` are there and empty. */
void disk_init(struct disk *disk, const char *directory, const char *hidden, enum disk_lies lies);
void disk_release(struct disk *disk);

/* The disk begins with a copy of a data directory, all of which it keeps. Requires: nothing was
 * taken in. */
void disk_begin(struct disk *disk, const char *directory);

/* Takes in what an entry says. One that writes with O_DSYNC is not yet on disk after this: it is on
 * its way until disk_settle_write. */
void disk_take(struct disk *disk, const struct trace_entry *entry);

/* True where the entry is a write that is on disk once its call returns. */
bool disk_is_synced_write(const struct trace_entry *entry);
void disk_settle_write(struct disk *disk, const struct trace_entry *entry);

/* All that waits is on disk, whatever was synced. */
void disk_settle_all(struct disk *disk);

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

/* Whether a name is there after the cut, and the model shows it. */
bool disk_shows(const struct disk *disk, const char *path);

/* A number that looks random, the same for the same input. */
uint64_t mixed(uint64_t value);

#endif
