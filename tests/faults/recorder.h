/* What the node did to its data directory, and what left it, in the order in which it happened.
 *
 * tests/faults/interpose.c calls each of these after the real call has succeeded, with what it
 * really did: a short write is recorded short. Only descriptors and paths of the directory that
 * ALLOCD_WATCH names come here, and what is sent by ZeroMQ. Nothing here fails, and nothing here
 * may make a call that would be recorded itself. */
#ifndef FAULTS_RECORDER_H
#define FAULTS_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* `path` as the node gave it: below the directory, or the name of a file in it. */
void recorder_opened(int fd, const char *path, int flags);
void recorder_wrote(int fd, const void *bytes, size_t len, off_t offset);
void recorder_resized(int fd, off_t length);
void recorder_synced(int fd);
void recorder_closed(int fd);
void recorder_unlinked(const char *path);

/* One frame; `more`: the message goes on. */
void recorder_sent(const void *bytes, size_t len, bool more);

#endif
