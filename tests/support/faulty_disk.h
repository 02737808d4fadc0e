/* The calls that the journal makes, in the hands of a test: they fail when they are told to, wait
 * when they are told to, and may lose what was not synced. For programs that are linked with
 * --wrap for each of them (tests/CMakeLists.txt). */
#ifndef TESTS_SUPPORT_FAULTY_DISK_H
#define TESTS_SUPPORT_FAULTY_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum disk_call {
    DISK_PWRITE,
    DISK_PWRITEV, /* entries alone are written with it */
    DISK_FDATASYNC,
    DISK_FSYNC,
    DISK_RENAME,
    DISK_UNLINK,
    DISK_OPEN,
    DISK_ANY /* the n-th call of whatever kind */
};

#define DISK_SHORT (-1) /* in place of an errno: the write writes a part */

/* All as it should be: no call fails or waits, and none has been counted. */
void faulty_disk_reset(void);

/* The n-th such call from now on (1: the next one) fails with that errno; with `for_good` so do all
 * of that kind behind it. n = 0: none fails. Replaces what was ordered before. */
void faulty_disk_fail(enum disk_call call, uint64_t n, int code, bool for_good);

/* Whether a call has failed since. */
bool faulty_disk_has_failed(void);

/* How many such calls there were since the reset. */
uint64_t faulty_disk_calls(enum disk_call call);

/* Syncs wait until the release. */
void faulty_disk_hold(void);
void faulty_disk_release(void);

/* From now on what is not synced is remembered. */
void faulty_disk_watch(void);

/* The power goes: some sectors and names that were not synced become what they were before, and the
 * process dies by SIGKILL. */
_Noreturn void faulty_disk_cut_power(uint64_t chance);

#endif
