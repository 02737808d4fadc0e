/* Faults to order: ALLOCD_FAULT=CALL:ERROR:N or CALL:ERROR:N:forever.
 *
 * CALL is the name of a call, or one of these: "pwrite of meta" writes to a meta page of LMDB,
 * "openat of spare" opens a spare segment of the journal in order to begin it.
 * The Nth call of that name, in whichever thread, fails with that error, or with `forever` all from
 * the Nth on. ERROR is the name of an errno, or SHORT: the call does half of what it was asked for.
 * The file that ALLOCD_FAULT_FIRED names is made when the first one fails, and says which file that
 * call was about, where it was about one. */
#ifndef FAULTS_INJECTOR_H
#define FAULTS_INJECTOR_H

#include <stdbool.h>
#include <stddef.h>

/* The next calls of this thread are about the file; -1: about none. */
void injector_is_about(int fd);

/* True: the call must fail, and errno is set. */
bool injector_fails(const char *call);

/* The same for a call that moves `*len` bytes; SHORT halves them. */
bool injector_fails_or_cuts(const char *call, size_t *len);

#endif
