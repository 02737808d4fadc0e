#include "tests/faults/power_loss_disk_inside.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t mixed(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

void disk_must(bool is_so, const char *what)
{
    if (is_so)
        return;
    perror(what);
    exit(2);
}

void *disk_grown(void *items, size_t count, size_t size)
{
    void *more = realloc(items, count * size);
    disk_must(more != NULL, "memory");
    return more;
}

static int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    disk_must(fd >= 0, path);
    return fd;
}

void disk_init(struct disk *disk, const char *directory, const char *hidden, enum disk_lies lies)
{
    *disk = (struct disk){.directory_fd = open_directory(directory),
                          .hidden_fd = open_directory(hidden),
                          .lies = lies};
}

/* ---- names ---- */

enum disk_place disk_place_of(const char *path)
{
    if (strcmp(path, ".") == 0)
        return PLACE_ABOVE;
    return strchr(path, '/') == NULL ? PLACE_DATA : PLACE_JOURNAL;
}

static struct disk_name *find_name(const struct disk *disk, const char *path)
{
    for (size_t i = 0; i < disk->name_count; i++)
        if (strcmp(disk->names[i]->path, path) == 0)
            return disk->names[i];
    return NULL;
}

struct disk_name *disk_name_of(struct disk *disk, const char *path)
{
    struct disk_name *name = find_name(disk, path);
    if (name != NULL)
        return name;
    name = disk_grown(NULL, 1, sizeof *name);
    *name = (struct disk_name){.path = strdup(path), .place = disk_place_of(path)};
    disk_must(name->path != NULL, path);
    disk->names = disk_grown(disk->names, disk->name_count + 1, sizeof *disk->names);
    disk->names[disk->name_count++] = name;
    return name;
}

struct inode *disk_new_inode(struct disk *disk, const char *path, bool is_directory)
{
    struct inode *inode = disk_grown(NULL, 1, sizeof *inode);
    *inode = (struct inode){.fd = -1,
                            .is_of_journal = disk_place_of(path) == PLACE_JOURNAL,
                            .is_mark = strcmp(path, DISK_JOURNAL "/mark") == 0};
    snprintf(inode->name, sizeof inode->name, "%zu", disk->inode_count);
    if (!is_directory) {
        unlinkat(disk->hidden_fd, inode->name, 0); /* of a run that died */
        inode->fd =
            openat(disk->hidden_fd, inode->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        disk_must(inode->fd >= 0, inode->name);
    }
    disk->inodes = disk_grown(disk->inodes, disk->inode_count + 1, sizeof *disk->inodes);
    disk->inodes[disk->inode_count++] = inode;
    return inode;
}

static bool is_left(const struct disk *disk, const char *path)
{
    const struct disk_name *name = find_name(disk, path);
    return name != NULL && name->left != NULL;
}

static void hide(struct disk *disk, struct disk_name *name)
{
    int flags = name->shown->fd < 0 ? AT_REMOVEDIR : 0;
    disk_must(unlinkat(disk->directory_fd, name->path, flags) == 0, name->path);
    name->shown = NULL;
}

static void show(struct disk *disk, struct disk_name *name)
{
    if (name->left->fd < 0)
        disk_must(mkdirat(disk->directory_fd, name->path, 0700) == 0, name->path);
    else
        disk_must(linkat(disk->hidden_fd, name->left->name, disk->directory_fd, name->path, 0) == 0,
                  name->path);
    name->shown = name->left;
}

/* Has the model show all names as they were left: those of the inner directory are hidden first,
 * and shown last. */
static void show_what_is_left(struct disk *disk)
{
    bool has_data = is_left(disk, ".");
    bool has_journal = has_data && is_left(disk, DISK_JOURNAL);
    for (size_t i = 0; i < disk->name_count; i++) {
        struct disk_name *name = disk->names[i];
        if (!(name->place == PLACE_JOURNAL ? has_journal : has_data))
            name->left = NULL;
    }
    for (enum disk_place place = PLACE_JOURNAL; place >= PLACE_DATA; place--) {
        for (size_t i = 0; i < disk->name_count; i++) {
            struct disk_name *name = disk->names[i];
            if (name->place == place && name->shown != NULL && name->shown != name->left)
                hide(disk, name);
        }
    }
    for (enum disk_place place = PLACE_DATA; place <= PLACE_JOURNAL; place++) {
        for (size_t i = 0; i < disk->name_count; i++) {
            struct disk_name *name = disk->names[i];
            if (name->place == place && name->shown == NULL && name->left != NULL)
                show(disk, name);
        }
    }
}

static void leave_what_is_kept(struct disk *disk)
{
    for (size_t i = 0; i < disk->name_count; i++)
        disk->names[i]->left = disk->names[i]->kept;
}

bool disk_shows(const struct disk *disk, const char *path)
{
    const struct disk_name *name = find_name(disk, path);
    return name != NULL && name->shown != NULL;
}

void disk_release(struct disk *disk)
{
    for (size_t i = 0; i < disk->name_count; i++)
        disk->names[i]->left = NULL;
    show_what_is_left(disk);
    for (size_t i = 0; i < disk->inode_count; i++) {
        struct inode *inode = disk->inodes[i];
        if (inode->fd >= 0) {
            close(inode->fd);
            unlinkat(disk->hidden_fd, inode->name, 0);
        }
        free(inode->durable);
        free(inode);
    }
    for (size_t i = 0; i < disk->name_count; i++) {
        free(disk->names[i]->path);
        free(disk->names[i]);
    }
    free(disk->inodes);
    free(disk->names);
    free(disk->opened);
    free(disk->units);
    free(disk->syncs);
    close(disk->directory_fd);
    close(disk->hidden_fd);
}

/* ---- bytes ---- */

static void put(const struct inode *inode, const unsigned char *bytes, size_t len, size_t at)
{
    disk_must(pwrite(inode->fd, bytes, len, (off_t)at) == (ssize_t)len, inode->name);
}

static void set_length(const struct inode *inode, size_t len)
{
    struct stat now;
    disk_must(fstat(inode->fd, &now) == 0, inode->name);
    if ((size_t)now.st_size != len)
        disk_must(ftruncate(inode->fd, (off_t)len) == 0, inode->name);
}

/* ---- what waits, and what is on disk ---- */

void disk_add_unit(struct disk *disk, struct unit unit)
{
    if (disk->unit_count == disk->unit_capacity) {
        disk->unit_capacity = disk->unit_capacity > 0 ? 2 * disk->unit_capacity : 64;
        disk->units = disk_grown(disk->units, disk->unit_capacity, sizeof *disk->units);
    }
    disk->units[disk->unit_count++] = unit;
}

static void keep_length(struct inode *inode, size_t len)
{
    if (len > inode->capacity) {
        size_t capacity = len > 2 * inode->capacity ? len : 2 * inode->capacity;
        disk_must(len <= CAPACITY, "a file is too large for a replay");
        inode->durable = disk_grown(inode->durable, capacity, 1);
        inode->capacity = capacity;
    }
    if (len > inode->len) {
        assert(inode->durable != NULL);
        memset(inode->durable + inode->len, 0, len - inode->len);
    }
    inode->len = len;
    set_length(inode, len);
}

void disk_keep_unit(struct disk *disk, const struct unit *unit)
{
    struct inode *inode = unit->inode;
    switch (unit->kind) {
    case UNIT_WRITE:
        if (unit->at + unit->len > inode->len)
            keep_length(inode, unit->at + unit->len);
        memcpy(inode->durable + unit->at, unit->bytes, unit->len);
        put(inode, unit->bytes, unit->len, unit->at);
        break;
    case UNIT_RESIZE:
        keep_length(inode, unit->at);
        break;
    case UNIT_NAME:
        for (int i = 0; i < unit->change_count; i++)
            unit->changes[i].name->kept = unit->changes[i].inode;
        leave_what_is_kept(disk);
        show_what_is_left(disk);
        break;
    }
}

static bool is_settled(const struct unit *unit, const struct settled *settled)
{
    if (unit->is_stuck || unit->stamp >= settled->before)
        return false;
    if (settled->inode == NULL)
        return unit->kind == UNIT_NAME && unit->changes[0].name->place == settled->place;
    if (unit->kind == UNIT_NAME || unit->inode != settled->inode)
        return false;
    bool makes_longer = unit->at + unit->len > unit->inode->len;
    if (unit->inode->is_of_journal && makes_longer && !settled->all)
        return false;
    return unit->at < settled->to && unit->at + unit->len >= settled->from;
}

void disk_settle(struct disk *disk, const struct settled *settled)
{
    size_t left = 0;
    for (size_t i = 0; i < disk->unit_count; i++) {
        struct unit unit = disk->units[i];
        if (is_settled(&unit, settled))
            disk_keep_unit(disk, &unit);
        else
            disk->units[left++] = unit;
    }
    disk->unit_count = left;
}

void disk_settle_all(struct disk *disk)
{
    for (size_t i = 0; i < disk->unit_count; i++)
        disk_keep_unit(disk, &disk->units[i]);
    disk->unit_count = 0;
}

/* ---- the beginning ---- */

static void begin_name(struct disk *disk, const char *path)
{
    struct disk_name *name = disk_name_of(disk, path);
    bool is_directory = strcmp(path, ".") == 0 || strcmp(path, DISK_JOURNAL) == 0;
    name->now = name->kept = disk_new_inode(disk, name->path, is_directory);
}

static void begin_file(struct disk *disk, int directory, const char *path)
{
    unsigned char bytes[65536];
    int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    disk_must(fd >= 0, path);
    begin_name(disk, path);
    struct inode *inode = disk_name_of(disk, path)->now;
    assert(inode != NULL);
    ssize_t len;
    while ((len = read(fd, bytes, sizeof bytes)) > 0) {
        size_t at = inode->len;
        keep_length(inode, at + (size_t)len);
        memcpy(inode->durable + at, bytes, (size_t)len);
        put(inode, bytes, (size_t)len, at);
    }
    inode->wanted_len = inode->len;
    close(fd);
}

/* `prefix`: "" or "journal/". */
static void begin_files(struct disk *disk, int directory, const char *prefix)
{
    char path[512];
    int fd = openat(directory, *prefix != '\0' ? prefix : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (list == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        snprintf(path, sizeof path, "%s%s", prefix, entry->d_name);
        if (entry->d_name[0] != '.' && strcmp(path, DISK_JOURNAL) != 0 &&
            strcmp(path, "lock.mdb") != 0)
            begin_file(disk, directory, path);
    }
    closedir(list);
}

void disk_begin(struct disk *disk, const char *directory)
{
    int fd = open_directory(directory);
    begin_name(disk, ".");
    if (faccessat(fd, DISK_JOURNAL, F_OK, 0) == 0)
        begin_name(disk, DISK_JOURNAL);
    begin_files(disk, fd, "");
    begin_files(disk, fd, DISK_JOURNAL "/");
    close(fd);
    leave_what_is_kept(disk);
    show_what_is_left(disk);
}

/* ---- a cut ---- */

/* Writes the sectors that are there. */
static void cut_write(const struct unit *unit, struct unit_fate fate)
{
    size_t sectors = (unit->at + unit->len - 1) / SECTOR_BYTES - unit->at / SECTOR_BYTES + 1;
    size_t first = (size_t)(fate.chance % (sectors + 1));
    if (fate.fate == FATE_KEPT) {
        put(unit->inode, unit->bytes, unit->len, unit->at);
        return;
    }
    for (size_t i = 0, done = 0; i < sectors; i++) {
        size_t at = unit->at + done;
        size_t len = SECTOR_BYTES - at % SECTOR_BYTES;
        if (len > unit->len - done)
            len = unit->len - done;
        bool is_there = fate.fate == FATE_FIRST_SECTORS ? i < first : mixed(fate.chance + i) % 2;
        if (is_there)
            put(unit->inode, unit->bytes + done, len, at);
        done += len;
    }
}

/* A length that was kept without its bytes: zeros, or what stood in these blocks before. */
static void lengthen(const struct inode *inode, size_t from, size_t to, uint64_t chance)
{
    unsigned char garbage[SECTOR_BYTES];
    set_length(inode, to);
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (unsigned char)mixed(chance + i);
    for (size_t at = from; chance % 2 == 0 && at < to; at += sizeof garbage)
        put(inode, garbage, to - at < sizeof garbage ? to - at : sizeof garbage, at);
}

static void cut_length(const struct inode *inode, enum length_fate fate, uint64_t chance)
{
    struct stat now;
    disk_must(fstat(inode->fd, &now) == 0, inode->name);
    size_t there = (size_t)now.st_size;
    if (fate == LENGTH_AS_WANTED && inode->wanted_len > there)
        lengthen(inode, there, inode->wanted_len, chance);
    if (fate == LENGTH_CUT && there > inode->len)
        set_length(inode, inode->len + chance % (there - inode->len) / SECTOR_BYTES * SECTOR_BYTES);
}

void disk_cut(struct disk *disk, const struct unit_fate *fates, enum length_fate length,
              uint64_t chance)
{
    leave_what_is_kept(disk);
    for (size_t i = 0; i < disk->unit_count; i++) {
        const struct unit *unit = &disk->units[i];
        if (fates[i].fate == FATE_LOST)
            continue;
        if (unit->kind == UNIT_RESIZE)
            set_length(unit->inode, unit->at);
        else if (unit->kind == UNIT_WRITE)
            cut_write(unit, fates[i]);
        for (int c = 0; c < unit->change_count; c++)
            unit->changes[c].name->left = unit->changes[c].inode;
    }
    for (size_t i = 0; i < disk->unit_count && length != LENGTH_OF_WHAT_IS_THERE; i++)
        if (disk->units[i].kind != UNIT_NAME)
            cut_length(disk->units[i].inode, length, chance);
    show_what_is_left(disk);
}

void disk_mend(struct disk *disk)
{
    for (size_t i = 0; i < disk->unit_count; i++) {
        const struct unit *unit = &disk->units[i];
        const struct inode *inode = unit->inode;
        if (unit->kind == UNIT_NAME)
            continue;
        set_length(inode, inode->len);
        if (unit->at >= inode->len)
            continue;
        size_t len = inode->len - unit->at;
        if (unit->kind == UNIT_WRITE && unit->len < len)
            len = unit->len;
        put(inode, inode->durable + unit->at, len, unit->at);
    }
    leave_what_is_kept(disk);
    show_what_is_left(disk);
}
