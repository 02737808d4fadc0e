/* Spare segments: files of zeros that wait to be begun. A file has its full size on disk before
 * anything is written to it, so that an append changes blocks that are there already: it cannot
 * find the disk full, and its sync has nothing to do with the file's size. */
#ifndef STORE_JOURNAL_SPARE_H
#define STORE_JOURNAL_SPARE_H

#include "bus/ports/result.h"

#include <stdbool.h>
#include <stdint.h>

/* One that is being made. */
struct spare {
    int fd; /* -1: none is */
    uint64_t ordinal;
    uint64_t bytes;
    uint64_t done;
};

/* The functions return STORE_OK, STORE_FULL or STORE_FAILED; after a failure nothing is left of the
 * file, and none is being made. */

/* Requires: none is being made. */
enum store_result spare_begin(struct spare *spare, int directory_fd, uint64_t ordinal,
                              uint64_t bytes);

/* Writes and syncs some more of it: little enough that an entry can wait for it. *is_ready says
 * that all of it is on disk, and that it is no longer being made. */
enum store_result spare_go_on(struct spare *spare, int directory_fd, bool *is_ready);

/* Gives up the one that is being made, if one is. */
void spare_drop(struct spare *spare, int directory_fd);

/* All of one. */
enum store_result spare_make(int directory_fd, uint64_t ordinal, uint64_t bytes);

#endif
