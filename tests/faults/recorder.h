/* What the node did to its data directory, and what left it, in the order in which it happened.
 *
 * tests/faults/interpose.c calls each of these after the real call has succeeded, with what it
 * really did: a short write is recorded short. Only descriptors and paths of the directory that
 * ALLOCD_WATCH names come here, and what is sent by ZeroMQ. Several threads call them. Nothing here
 * fails, nothing here changes errno, and nothing here may make a call that would be recorded
 * itself. */
#ifndef FAULTS_RECORDER_H
#define FAULTS_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

void recorder_opened(int fd, int flags);

/* One call wrote `len` bytes, which stand in the pieces. */
void recorder_wrote(int fd, const struct iovec *pieces, size_t len, off_t offset);

/* A call that should have written has not. */
void recorder_failed(int fd);
void recorder_resized(int fd, off_t length);

/* A sync is about what was written before it began, and another thread may write meanwhile. So
 * recorder_syncing comes before the call, and gives the number that recorder_synced takes behind
 * it. `all`: it was fsync, and not fdatasync. */
uint64_t recorder_syncing(int fd);
void recorder_synced(int fd, uint64_t sync, bool done, bool all);

/* `path` in the directory that is open as that descriptor. */
void recorder_made(int directory, const char *path);
void recorder_unlinked(int directory, const char *path);
void recorder_renamed(int from, const char *path, int to, const char *new_path);

/* One frame; `more`: the message goes on. */
void recorder_sent(const void *bytes, size_t len, bool more);

#endif
