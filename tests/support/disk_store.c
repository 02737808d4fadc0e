#include "tests/support/disk_store.h"

#include "tests/support/sample_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct lmdb_store_options disk_store_options = {
    .map_size_bytes = (size_t)1024 * 1024 * 1024, /* valgrind cannot map much more */
    .cache_bytes = (size_t)64 * 1024 * 1024,
    .check_bytes = UINT64_MAX,
    .events_behind = 7, /* so that tables are written behind the log in every test */
    .ids_kept = 1000000};

bool disk_store_open(struct disk_store *disk)
{
    disk->error[0] = '\0';
    disk->store = lmdb_store_open(&disk->options, disk->error);
    return disk->store != NULL;
}

struct disk_store *disk_store_create(void)
{
    struct disk_store *disk = calloc(1, sizeof *disk);
    assert_non_null(disk);
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL || strlen(tmp) >= 32) /* in memory, as tests/support/sample_store.c */
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(disk->directory, sizeof disk->directory, "%s/disk_store.XXXXXX", tmp);
    assert_non_null(mkdtemp(disk->directory));
    disk->options = disk_store_options;
    disk->options.directory = disk->directory;
    if (!disk_store_open(disk))
        fail_msg("%s", disk->error);
    return disk;
}

void disk_store_destroy(struct disk_store *disk)
{
    lmdb_store_close(&disk->store);
    sample_directory_remove(disk->directory);
    free(disk);
}

static void *create(void)
{
    return disk_store_create();
}

static void reopen(void *store)
{
    struct disk_store *disk = store;
    lmdb_store_close(&disk->store);
    assert_null(disk->store);
    if (!disk_store_open(disk))
        fail_msg("%s", disk->error);
}

static struct unit_of_work *unit(void *store)
{
    return lmdb_store_unit(((struct disk_store *)store)->store);
}

static struct reader *reader(void *store)
{
    return lmdb_store_reader(((struct disk_store *)store)->store);
}

static void destroy(void *store)
{
    disk_store_destroy(store);
}

const struct store_factory disk_store_factory = {.is_durable = true,
                                                 .create = create,
                                                 .reopen = reopen,
                                                 .unit = unit,
                                                 .reader = reader,
                                                 .destroy = destroy};
