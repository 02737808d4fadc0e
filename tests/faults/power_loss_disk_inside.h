/* What the files of the model of a disk share. */
#ifndef FAULTS_POWER_LOSS_DISK_INSIDE_H
#define FAULTS_POWER_LOSS_DISK_INSIDE_H

#include "tests/faults/power_loss_disk.h"

#define CAPACITY ((size_t)256 * 1024 * 1024) /* address space of a file's bytes */
#define PAGE_BYTES ((size_t)4096)            /* of the system's memory of files */
#define DISK_JOURNAL "journal"
#define DISK_TABLES "data.mdb"

/* Ends the program where it is not so; errno says why. */
void disk_must(bool is_so, const char *what);
void *disk_grown(void *items, size_t count, size_t size);

enum disk_place disk_place_of(const char *path);
/* Made where it is not known yet. */
struct disk_name *disk_name_of(struct disk *disk, const char *path);
/* The path is what it is called first. */
struct inode *disk_new_inode(struct disk *disk, const char *path, bool is_directory);

void disk_add_unit(struct disk *disk, struct unit unit);
/* Has it on disk. */
void disk_keep_unit(struct disk *disk, const struct unit *unit);

/* What a sync is about. */
struct settled {
    const struct inode *inode; /* NULL: the names of a place */
    enum disk_place place;
    size_t from; /* bytes of the file */
    size_t to;
    bool all;        /* its length too, where the file is not the journal's */
    uint64_t before; /* this moment it came */
};

void disk_settle(struct disk *disk, const struct settled *settled);

#endif
