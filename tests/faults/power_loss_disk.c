#include "tests/faults/power_loss_disk.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPACITY ((size_t)256 * 1024 * 1024) /* address space of a file's bytes */

uint64_t mixed(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    perror(what);
    exit(2);
}

static int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0, path);
    return fd;
}

void disk_init(struct disk *disk, const char *directory, const char *hidden, enum disk_lies lies)
{
    *disk = (struct disk){.directory_fd = open_directory(directory),
                          .hidden_fd = open_directory(hidden),
                          .lies = lies};
    disk->files[disk->file_count++] = (struct disk_file){.fd = -1}; /* the directory itself */
}

void disk_release(struct disk *disk)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        struct disk_file *file = &disk->files[i];
        if (file->name == NULL)
            continue;
        close(file->fd);
        unlinkat(file->is_in_directory ? disk->directory_fd : disk->hidden_fd, file->name, 0);
        free(file->durable);
    }
    free(disk->units);
    close(disk->directory_fd);
    close(disk->hidden_fd);
}

static struct disk_file *file_of(struct disk *disk, const char *name)
{
    for (size_t i = 1; i < disk->file_count; i++)
        if (strcmp(disk->files[i].name, name) == 0)
            return &disk->files[i];
    must(disk->file_count < DISK_FILES_MAX, "too many files");
    struct disk_file *file = &disk->files[disk->file_count++];
    *file = (struct disk_file){.name = name};
    unlinkat(disk->directory_fd, name, 0); /* of a run that died */
    unlinkat(disk->hidden_fd, name, 0);
    file->fd = openat(disk->hidden_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    must(file->fd >= 0, name);
    return file;
}

static void show(struct disk *disk, struct disk_file *file, bool shown)
{
    if (file->is_in_directory == shown)
        return;
    int from = shown ? disk->hidden_fd : disk->directory_fd;
    int to = shown ? disk->directory_fd : disk->hidden_fd;
    must(renameat(from, file->name, to, file->name) == 0, file->name);
    file->is_in_directory = shown;
}

static void show_what_is_kept(struct disk *disk)
{
    for (size_t i = 1; i < disk->file_count; i++)
        show(disk, &disk->files[i], disk->files[0].is_kept && disk->files[i].is_kept);
}

static void put(const struct disk_file *file, const unsigned char *bytes, size_t len, size_t at)
{
    must(pwrite(file->fd, bytes, len, (off_t)at) == (ssize_t)len, file->name);
}

static void set_length(const struct disk_file *file, size_t len)
{
    struct stat now;
    must(fstat(file->fd, &now) == 0, file->name);
    if ((size_t)now.st_size != len)
        must(ftruncate(file->fd, (off_t)len) == 0, file->name);
}

/* ---- what waits, and what is on disk ---- */

static void add_unit(struct disk *disk, struct unit unit)
{
    if (disk->unit_count == disk->unit_capacity) {
        disk->unit_capacity = disk->unit_capacity > 0 ? 2 * disk->unit_capacity : 64;
        disk->units = realloc(disk->units, disk->unit_capacity * sizeof *disk->units);
        must(disk->units != NULL, "units");
    }
    unit.commit = disk->commits;
    disk->units[disk->unit_count++] = unit;
}

static void keep_length(struct disk_file *file, size_t len)
{
    if (len > file->capacity) {
        size_t capacity = len > 2 * file->capacity ? len : 2 * file->capacity;
        must(len <= CAPACITY, "a file is too large for a replay");
        file->durable = realloc(file->durable, capacity);
        must(file->durable != NULL, "durable bytes");
        file->capacity = capacity;
    }
    if (len > file->len) {
        assert(file->durable != NULL);
        memset(file->durable + file->len, 0, len - file->len);
    }
    file->len = len;
    set_length(file, len);
}

static void keep_unit(struct disk *disk, const struct unit *unit)
{
    struct disk_file *file = unit->file;
    switch (unit->kind) {
    case UNIT_WRITE:
        if (unit->at + unit->len > file->len)
            keep_length(file, unit->at + unit->len);
        memcpy(file->durable + unit->at, unit->bytes, unit->len);
        put(file, unit->bytes, unit->len, unit->at);
        break;
    case UNIT_RESIZE:
        keep_length(file, unit->at);
        break;
    case UNIT_ENTRY:
        file->is_kept = file->is_there;
        show_what_is_kept(disk);
        break;
    }
}

/* What a sync is about. */
struct settled {
    enum { BYTES_OF_FILE, ENTRIES_IN_DIRECTORY, ENTRY_OF_DIRECTORY } what;
    const struct disk_file *file;
    size_t from; /* bytes of the file */
    size_t to;
};

static bool is_settled(const struct unit *unit, const struct settled *settled)
{
    bool is_entry = unit->kind == UNIT_ENTRY;
    switch (settled->what) {
    case ENTRIES_IN_DIRECTORY:
        return is_entry && unit->file->name != NULL;
    case ENTRY_OF_DIRECTORY:
        return is_entry && unit->file->name == NULL;
    default:
        return !is_entry && unit->file == settled->file && unit->at < settled->to &&
               unit->at + unit->len >= settled->from;
    }
}

static void settle(struct disk *disk, struct settled settled)
{
    size_t left = 0;
    for (size_t i = 0; i < disk->unit_count; i++) {
        struct unit unit = disk->units[i];
        if (is_settled(&unit, &settled))
            keep_unit(disk, &unit);
        else
            disk->units[left++] = unit;
    }
    disk->unit_count = left;
}

static void set_entry(struct disk *disk, struct disk_file *file, bool is_there)
{
    if (file->is_there == is_there)
        return;
    file->is_there = is_there;
    for (size_t i = 0; i < disk->unit_count; i++)
        if (disk->units[i].kind == UNIT_ENTRY && disk->units[i].file == file)
            return; /* the one that waits says what comes of it */
    add_unit(disk, (struct unit){.kind = UNIT_ENTRY, .file = file});
}

static void resize(struct disk *disk, struct disk_file *file, size_t len)
{
    add_unit(disk, (struct unit){.kind = UNIT_RESIZE, .file = file, .at = len});
    file->wanted_len = len;
}

static void take_open(struct disk *disk, const struct trace_entry *entry)
{
    if (strcmp(entry->name, "..") == 0)
        return;
    if (strcmp(entry->name, ".") == 0) {
        set_entry(disk, &disk->files[0], true);
        return;
    }
    struct disk_file *file = file_of(disk, entry->name);
    if (!file->is_there && file->wanted_len > 0)
        resize(disk, file, 0); /* a new file of an old name */
    set_entry(disk, file, true);
}

static void take_write(struct disk *disk, struct disk_file *file, const unsigned char *bytes,
                       size_t len, size_t at)
{
    add_unit(disk,
             (struct unit){.kind = UNIT_WRITE, .file = file, .at = at, .bytes = bytes, .len = len});
    if (at + len > file->wanted_len)
        file->wanted_len = at + len;
}

/* A process that was killed may have written more than its trace tells. */
static void take_held(struct disk *disk, const struct trace_entry *entry)
{
    struct disk_file *file = file_of(disk, entry->name);
    if (entry->at + entry->len > CAPACITY)
        must(false, "a file is too large for a replay");
    unsigned char *known = calloc(1, entry->len);
    must(known != NULL, "held bytes");
    for (size_t i = 0; entry->at < file->len && i < entry->len && entry->at + i < file->len; i++)
        known[i] = file->durable[entry->at + i];
    for (size_t u = 0; u < disk->unit_count; u++) {
        const struct unit *unit = &disk->units[u];
        for (size_t i = 0; unit->file == file && unit->kind == UNIT_WRITE && i < unit->len; i++)
            if (unit->at + i >= entry->at && unit->at + i < entry->at + entry->len)
                known[unit->at + i - entry->at] = unit->bytes[i];
    }
    for (size_t i = 0; i < entry->len; i += SECTOR_BYTES) {
        size_t len = entry->len - i < SECTOR_BYTES ? entry->len - i : SECTOR_BYTES;
        if (memcmp(known + i, entry->bytes + i, len) != 0 || entry->at + i + len > file->wanted_len)
            take_write(disk, file, entry->bytes + i, len, entry->at + i);
    }
    free(known);
}

static void take_sync(struct disk *disk, const struct trace_entry *entry)
{
    if (strcmp(entry->name, "..") == 0)
        settle(disk, (struct settled){.what = ENTRY_OF_DIRECTORY});
    else if (strcmp(entry->name, ".") == 0)
        settle(disk, (struct settled){.what = ENTRIES_IN_DIRECTORY});
    else if (disk->lies != DISK_SYNCS_NO_FILE)
        settle(disk, (struct settled){BYTES_OF_FILE, file_of(disk, entry->name), 0, SIZE_MAX});
}

bool disk_is_synced_write(const struct trace_entry *entry)
{
    return entry->kind == TRACE_WROTE && entry->writes_sync;
}

void disk_settle_write(struct disk *disk, const struct trace_entry *entry)
{
    if (disk->lies == DISK_IS_HONEST)
        settle(disk, (struct settled){BYTES_OF_FILE, file_of(disk, entry->name), entry->at,
                                      entry->at + entry->len});
    disk->commits++;
}

void disk_take(struct disk *disk, const struct trace_entry *entry)
{
    switch (entry->kind) {
    case TRACE_OPENED:
        take_open(disk, entry);
        break;
    case TRACE_HELD:
        take_held(disk, entry);
        break;
    case TRACE_WROTE:
        take_write(disk, file_of(disk, entry->name), entry->bytes, entry->len, entry->at);
        break;
    case TRACE_RESIZED:
        resize(disk, file_of(disk, entry->name), entry->at);
        break;
    case TRACE_SYNCED:
        take_sync(disk, entry);
        break;
    case TRACE_UNLINKED:
        set_entry(disk, file_of(disk, entry->name), false);
        break;
    default:
        break;
    }
}

/* ---- a cut ---- */

/* Writes the sectors that are there, and returns where the last of them ends. */
static size_t cut_write(const struct unit *unit, struct unit_fate fate)
{
    size_t end = 0;
    size_t sectors = (unit->at + unit->len - 1) / SECTOR_BYTES - unit->at / SECTOR_BYTES + 1;
    size_t first = (size_t)(fate.chance % (sectors + 1));
    if (fate.fate == FATE_KEPT) {
        put(unit->file, unit->bytes, unit->len, unit->at);
        return unit->at + unit->len;
    }
    for (size_t i = 0, done = 0; i < sectors; i++) {
        size_t at = unit->at + done;
        size_t len = SECTOR_BYTES - at % SECTOR_BYTES;
        if (len > unit->len - done)
            len = unit->len - done;
        bool is_there = fate.fate == FATE_FIRST_SECTORS ? i < first : mixed(fate.chance + i) % 2;
        if (is_there) {
            put(unit->file, unit->bytes + done, len, at);
            end = at + len;
        }
        done += len;
    }
    return end;
}

static void cut_length(const struct disk_file *file, size_t there, enum length_fate fate,
                       uint64_t chance)
{
    size_t len = there;
    if (fate == LENGTH_AS_WANTED && file->wanted_len > there)
        len = file->wanted_len;
    if (fate == LENGTH_CUT && there > file->len)
        len = file->len + chance % (there - file->len) / SECTOR_BYTES * SECTOR_BYTES;
    set_length(file, len);
}

void disk_cut(struct disk *disk, const struct unit_fate *fates, enum length_fate length,
              uint64_t chance)
{
    bool is_there[DISK_FILES_MAX];
    size_t there[DISK_FILES_MAX];
    for (size_t i = 0; i < disk->file_count; i++) {
        is_there[i] = disk->files[i].is_kept;
        there[i] = disk->files[i].len;
    }
    for (size_t i = 0; i < disk->unit_count; i++) {
        const struct unit *unit = &disk->units[i];
        size_t file = (size_t)(unit->file - disk->files);
        if (fates[i].fate == FATE_LOST)
            continue;
        if (unit->kind == UNIT_ENTRY) {
            is_there[file] = unit->file->is_there;
        } else if (unit->kind == UNIT_RESIZE) {
            set_length(unit->file, unit->at);
            there[file] = unit->at;
        } else {
            size_t end = cut_write(unit, fates[i]);
            there[file] = end > there[file] ? end : there[file];
        }
    }
    for (size_t i = 1; i < disk->file_count; i++) {
        cut_length(&disk->files[i], there[i], length, chance);
        show(disk, &disk->files[i], is_there[0] && is_there[i]);
    }
}

void disk_mend(struct disk *disk)
{
    for (size_t i = 1; i < disk->file_count; i++)
        set_length(&disk->files[i], disk->files[i].len);
    for (size_t i = 0; i < disk->unit_count; i++) {
        const struct unit *unit = &disk->units[i];
        const struct disk_file *file = unit->file;
        if (unit->kind == UNIT_ENTRY || unit->at >= file->len)
            continue;
        size_t len = file->len - unit->at;
        if (unit->kind == UNIT_WRITE && unit->len < len)
            len = unit->len;
        put(file, file->durable + unit->at, len, unit->at);
    }
    show_what_is_kept(disk);
}
