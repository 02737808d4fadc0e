/* Reading and writing of files as a whole: what is cut short is gone on with, and what a signal
 * interrupts is done again. Functions that return false leave in errno why. */
#ifndef STORE_JOURNAL_DISK_H
#define STORE_JOURNAL_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Requires: len > 0. */
bool disk_write(int fd, const void *bytes, size_t len, uint64_t at);

/* All pieces, one behind the other. The pieces are used up. Requires: count > 0. */
bool disk_write_pieces(int fd, struct iovec *pieces, int count, uint64_t at);

/* Requires: from <= to. */
bool disk_write_zeros(int fd, uint64_t from, uint64_t to);

/* Up to `len` bytes; *got is how many there are before the file ends. Requires: len > 0. */
bool disk_read(int fd, void *bytes, size_t len, uint64_t at, size_t *got);

/* What was written to blocks that the file has already is on disk then. */
bool disk_sync(int fd);

/* All of it: size and blocks too, or the names in a directory. */
bool disk_sync_all(int fd);

/* Locks what is open, against whoever else opens it under any name, for as long as it is open.
 * errno is EWOULDBLOCK where somebody else has it. */
bool disk_lock(int fd);

/* Whether that errno means that there is no room: a limit on the size of files is one too. */
bool disk_is_full(int code);

#endif
