#include "tests/support/disk_journal.h"

#include "tests/support/sample_store.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void disk_journal_make(struct disk_journal *disk, uint64_t first_bytes, uint64_t largest_bytes)
{
    *disk = (struct disk_journal){.journal = NULL};
    sample_directory_make(disk->directory);
    disk->options = (struct journal_file_options){
        .directory = disk->directory, .first_bytes = first_bytes, .largest_bytes = largest_bytes};
}

void disk_journal_remove(struct disk_journal *disk)
{
    disk_journal_close(disk);
    sample_directory_remove(disk->directory);
}

bool disk_journal_open(struct disk_journal *disk)
{
    assert(disk->journal == NULL);
    int fd = open(disk->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(fd >= 0);
    disk->options.directory = disk->directory; /* the struct may have been moved */
    disk->journal = journal_file_open(fd, &disk->options, disk->error);
    close(fd);
    return disk->journal != NULL;
}

void disk_journal_close(struct disk_journal *disk)
{
    journal_file_close(&disk->journal);
}

void disk_journal_path(const struct disk_journal *disk, const char *name, char out[256])
{
    int len = snprintf(out, 256, "%s/" JOURNAL_DIRECTORY "/%s", disk->directory, name);
    assert(len > 0 && len < 256);
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void save_file(const struct disk_journal *disk, struct disk_file *file)
{
    char path[256];
    struct stat status;
    disk_journal_path(disk, file->name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd >= 0 ? fstat(fd, &status) : -1;
    assert(rc == 0);
    file->size = (size_t)status.st_size;
    file->bytes = malloc(file->size + 1);
    assert(file->bytes != NULL);
    ssize_t got = pread(fd, file->bytes, file->size, 0);
    assert(got == status.st_size);
    close(fd);
}

void disk_journal_save(const struct disk_journal *disk, struct disk_files *out)
{
    char path[256];
    struct dirent **names;
    disk_journal_path(disk, "", path);
    int count = scandir(path, &names, is_file, alphasort);
    assert(count >= 0 && count <= DISK_JOURNAL_NAMES_MAX);
    out->count = 0;
    for (int i = 0; i < count; i++) {
        struct disk_file *file = &out->items[out->count++];
        int len = snprintf(file->name, sizeof file->name, "%s", names[i]->d_name);
        assert(len > 0 && (size_t)len < sizeof file->name);
        save_file(disk, file);
        free(names[i]);
    }
    free(names);
}

void disk_journal_write(const struct disk_journal *disk, const char *name, const void *bytes,
                        size_t size)
{
    char path[256];
    disk_journal_path(disk, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(fd >= 0);
    ssize_t written = write(fd, bytes, size);
    assert(written == (ssize_t)size);
    close(fd);
}

void disk_journal_restore(const struct disk_journal *disk, const struct disk_files *files)
{
    char path[256];
    struct dirent **names;
    disk_journal_path(disk, "", path);
    int count = scandir(path, &names, is_file, alphasort);
    assert(count >= 0);
    for (int i = 0; i < count; i++) {
        disk_journal_path(disk, names[i]->d_name, path);
        int rc = unlink(path);
        assert(rc == 0);
        free(names[i]);
    }
    free(names);
    for (size_t i = 0; i < files->count; i++)
        disk_journal_write(disk, files->items[i].name, files->items[i].bytes, files->items[i].size);
}

void disk_journal_forget(struct disk_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->items[i].bytes);
    files->count = 0;
}
