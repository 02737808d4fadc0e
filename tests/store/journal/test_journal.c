/* Both journals pass one suite: the one in files, with segments as they are and with very small
 * ones, and the one in memory. */
#include "tests/support/disk_journal.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/journal_contract.h"
#include "tests/support/memory_journal.h"

#include <errno.h>
#include <stdlib.h>

/* ---- in files ---- */

static void open_it(struct disk_journal *disk)
{
    bool is_open = disk_journal_open(disk);
    assert(is_open);
}

static void *create_with(uint64_t first_bytes, uint64_t largest_bytes)
{
    struct disk_journal *disk = malloc(sizeof *disk);
    assert(disk != NULL);
    faulty_disk_reset();
    disk_journal_make(disk, first_bytes, largest_bytes);
    open_it(disk);
    return disk;
}

static void *create_small(void)
{
    return create_with(32768, 65536);
}

static void *create_usual(void)
{
    return create_with(JOURNAL_FIRST_BYTES, JOURNAL_LARGEST_BYTES);
}

static struct journal *journal_of_disk(void *handle)
{
    return ((struct disk_journal *)handle)->journal;
}

static void reopen_disk(void *handle)
{
    struct disk_journal *disk = handle;
    faulty_disk_reset();
    disk_journal_close(disk);
    open_it(disk);
}

static void fail_disk(void *handle, uint64_t n, enum store_result result)
{
    (void)handle;
    faulty_disk_fail(DISK_PWRITEV, n, result == STORE_FULL ? ENOSPC : EIO, false);
}

static void hold_disk(void *handle)
{
    (void)handle;
    faulty_disk_hold();
}

static void release_disk(void *handle)
{
    (void)handle;
    faulty_disk_release();
}

static void set_disk_full(void *handle, bool is_full)
{
    (void)handle;
    faulty_disk_fail(DISK_OPEN, is_full ? 1 : 0, ENOSPC, true);
}

static void destroy_disk(void *handle)
{
    faulty_disk_reset();
    disk_journal_remove(handle);
    free(handle);
}

/* ---- in memory ---- */

struct in_memory {
    struct journal *journal;
};

static void *create_memory(void)
{
    struct in_memory *memory = malloc(sizeof *memory);
    assert(memory != NULL);
    memory->journal = memory_journal_new();
    return memory;
}

static struct journal *journal_of_memory(void *handle)
{
    return ((struct in_memory *)handle)->journal;
}

static void reopen_memory(void *handle)
{
    memory_journal_fail(journal_of_memory(handle), 0, STORE_FULL);
    memory_journal_reopen(journal_of_memory(handle));
}

static void fail_memory(void *handle, uint64_t n, enum store_result result)
{
    memory_journal_fail(journal_of_memory(handle), n, result);
}

static void hold_memory(void *handle)
{
    memory_journal_hold(journal_of_memory(handle));
}

static void release_memory(void *handle)
{
    memory_journal_release(journal_of_memory(handle));
}

static void set_memory_full(void *handle, bool is_full)
{
    memory_journal_set_room(journal_of_memory(handle), is_full ? 1000 : INT64_MAX);
}

static void destroy_memory(void *handle)
{
    memory_journal_destroy(&((struct in_memory *)handle)->journal);
    free(handle);
}

int main(void)
{
    struct journal_factory in_files = {.create = create_usual,
                                       .journal = journal_of_disk,
                                       .reopen = reopen_disk,
                                       .fail_at = fail_disk,
                                       .hold = hold_disk,
                                       .release = release_disk,
                                       .set_full = set_disk_full,
                                       .destroy = destroy_disk};
    const struct journal_factory in_memory = {.create = create_memory,
                                              .journal = journal_of_memory,
                                              .reopen = reopen_memory,
                                              .fail_at = fail_memory,
                                              .hold = hold_memory,
                                              .release = release_memory,
                                              .set_full = set_memory_full,
                                              .destroy = destroy_memory};
    int failed = journal_contract_run("journal in files", &in_files);
    in_files.create = create_small;
    failed += journal_contract_run("journal in small files", &in_files);
    failed += journal_contract_run("journal in memory", &in_memory);
    return failed;
}
