/* A journal in files, in a directory of its own, for tests. */
#ifndef TESTS_SUPPORT_DISK_JOURNAL_H
#define TESTS_SUPPORT_DISK_JOURNAL_H

#include "store/journal/file.h"

#include <stddef.h>

#define DISK_JOURNAL_NAMES_MAX 64

struct disk_journal {
    char directory[128]; /* the data directory */
    struct journal_file_options options;
    struct journal *journal; /* NULL: it is closed, or was refused, and `error` says why */
    char error[ERROR_BYTES];
};

/* A new directory; nothing is opened. */
void disk_journal_make(struct disk_journal *disk, uint64_t first_bytes, uint64_t largest_bytes);
/* Closes it, and removes all. */
void disk_journal_remove(struct disk_journal *disk);

/* False: it was refused. Requires: it is closed. */
bool disk_journal_open(struct disk_journal *disk);
/* Nothing to do where it is closed. */
void disk_journal_close(struct disk_journal *disk);

/* Path of a file in the journal's directory. */
void disk_journal_path(const struct disk_journal *disk, const char *name, char out[256]);

/* All of a file, or of those of the journal in the order of their names. */
struct disk_file {
    char name[64];
    unsigned char *bytes;
    size_t size;
};
struct disk_files {
    struct disk_file items[DISK_JOURNAL_NAMES_MAX];
    size_t count;
};

/* What is in the directory now. */
void disk_journal_save(const struct disk_journal *disk, struct disk_files *out);
/* Makes it so again: other files go. Requires: it is closed. */
void disk_journal_restore(const struct disk_journal *disk, const struct disk_files *files);
void disk_journal_forget(struct disk_files *files);

void disk_journal_write(const struct disk_journal *disk, const char *name, const void *bytes,
                        size_t size);

#endif
