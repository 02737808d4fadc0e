/* What the entries of a trace do to the model of a disk. */
#include "tests/faults/power_loss_disk_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- taking in: names ---- */

static void change_name(struct disk *disk, struct unit *unit, const char *path, struct inode *inode)
{
    struct disk_name *name = disk_name_of(disk, path);
    name->now = inode;
    unit->changes[unit->change_count++] = (struct name_change){name, inode};
}

static struct unit unit_of(const struct disk *disk, enum unit_kind kind, struct inode *inode)
{
    return (struct unit){.kind = kind, .stamp = disk->stamp, .inode = inode};
}

static void take_new_name(struct disk *disk, const char *path, bool is_directory)
{
    struct unit unit = unit_of(disk, UNIT_NAME, NULL);
    if (disk_name_of(disk, path)->now != NULL)
        return;
    change_name(disk, &unit, path, disk_new_inode(disk, path, is_directory));
    disk_add_unit(disk, unit);
}

static void take_rename(struct disk *disk, const struct trace_entry *entry)
{
    struct unit unit = unit_of(disk, UNIT_NAME, NULL);
    struct inode *inode = disk_name_of(disk, entry->name)->now;
    change_name(disk, &unit, entry->name, NULL);
    change_name(disk, &unit, entry->new_name, inode);
    disk_add_unit(disk, unit);
}

static void take_unlink(struct disk *disk, const struct trace_entry *entry)
{
    struct unit unit = unit_of(disk, UNIT_NAME, NULL);
    change_name(disk, &unit, entry->name, NULL);
    disk_add_unit(disk, unit);
}

static void take_open(struct disk *disk, const struct trace_entry *entry)
{
    bool is_above = strcmp(entry->name, "..") == 0;
    bool is_directory = strcmp(entry->name, ".") == 0 || strcmp(entry->name, DISK_JOURNAL) == 0;
    if (entry->opened >= disk->opened_count) {
        disk->opened = disk_grown(disk->opened, entry->opened + 1, sizeof(struct inode *));
        disk->opened_count = entry->opened + 1;
    }
    disk->opened[entry->opened] = NULL;
    if (is_above)
        return;
    take_new_name(disk, entry->name, is_directory);
    if (!is_directory)
        disk->opened[entry->opened] = disk_name_of(disk, entry->name)->now;
}

/* ---- taking in: bytes ---- */

static struct inode *inode_of(const struct disk *disk, const struct trace_entry *entry)
{
    struct inode *inode = entry->opened < disk->opened_count ? disk->opened[entry->opened] : NULL;
    disk_must(inode != NULL, "the trace writes to a directory");
    return inode;
}

static void take_resize(struct disk *disk, const struct trace_entry *entry)
{
    struct inode *inode = inode_of(disk, entry);
    struct unit unit = unit_of(disk, UNIT_RESIZE, inode);
    unit.at = (size_t)entry->at;
    if (unit.at == inode->wanted_len)
        return;
    disk_add_unit(disk, unit);
    inode->wanted_len = unit.at;
}

/* A part of a unit. Where it is of no bytes nothing is added. */
static void add_part(struct disk *disk, const struct unit *unit, size_t from, size_t to, bool stuck)
{
    struct unit part = *unit;
    if (from >= to)
        return;
    part.at = from;
    part.bytes += from - unit->at;
    part.len = to - from;
    part.is_stuck = stuck;
    disk_add_unit(disk, part);
}

/* Pages that are written to will be written with all that they hold. */
static void free_stuck(struct disk *disk, const struct inode *inode, size_t at, size_t len)
{
    size_t from = at / PAGE_BYTES * PAGE_BYTES;
    size_t to = (at + len + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    size_t count = disk->unit_count;
    bool is_any = false;
    for (size_t i = 0; i < count && !is_any; i++)
        is_any = disk->units[i].is_stuck && disk->units[i].inode == inode;
    if (!is_any)
        return;
    struct unit *units = disk->units;
    disk->units = NULL;
    disk->unit_count = disk->unit_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        const struct unit *unit = &units[i];
        size_t end = unit->at + unit->len;
        if (!unit->is_stuck || unit->inode != inode || end <= from || unit->at >= to) {
            disk_add_unit(disk, *unit);
            continue;
        }
        size_t first = unit->at > from ? unit->at : from;
        size_t last = end < to ? end : to;
        add_part(disk, unit, unit->at, first, true);
        add_part(disk, unit, first, last, false);
        add_part(disk, unit, last, end, true);
    }
    free(units);
}

/* What is written again and again and never synced reaches the disk now and then. */
static void settle_older(struct disk *disk, const struct unit *newer)
{
    for (size_t i = 0; i < disk->unit_count; i++) {
        struct unit unit = disk->units[i];
        if (unit.kind != UNIT_WRITE || unit.inode != newer->inode || unit.at != newer->at ||
            unit.len != newer->len || unit.is_stuck)
            continue;
        memmove(&disk->units[i], &disk->units[i + 1],
                (disk->unit_count - i - 1) * sizeof *disk->units);
        disk->unit_count--;
        if (mixed(unit.stamp) % 2 == 0)
            disk_keep_unit(disk, &unit);
        return;
    }
}

static void add_write(struct disk *disk, struct inode *inode, const unsigned char *bytes,
                      size_t len, size_t at)
{
    struct unit unit = unit_of(disk, UNIT_WRITE, inode);
    unit.bytes = bytes;
    unit.len = len;
    unit.at = at;
    free_stuck(disk, inode, at, len);
    if (inode->is_mark)
        settle_older(disk, &unit);
    disk_add_unit(disk, unit);
    if (at + len > inode->wanted_len)
        inode->wanted_len = at + len;
}

/* A process that was killed may have written more than its trace tells, and a test may have changed
 * something between two processes. */
static void take_held(struct disk *disk, const struct trace_entry *entry)
{
    struct inode *inode = inode_of(disk, entry);
    disk_must(entry->at + entry->len <= CAPACITY, "a file is too large for a replay");
    unsigned char *known = calloc(1, entry->len);
    size_t units = disk->unit_count;
    disk_must(known != NULL, "held bytes");
    assert(known != NULL);

    for (size_t i = 0; i < entry->len && entry->at + i < inode->len; i++)
        known[i] = inode->durable[entry->at + i];
    for (size_t u = 0; u < disk->unit_count; u++) {
        const struct unit *unit = &disk->units[u];
        for (size_t i = 0; unit->inode == inode && unit->kind == UNIT_WRITE && i < unit->len; i++)
            if (unit->at + i >= entry->at && unit->at + i < entry->at + entry->len)
                known[unit->at + i - entry->at] = unit->bytes[i];
    }
    for (size_t i = 0; i < entry->len; i += SECTOR_BYTES) {
        size_t len = entry->len - i < SECTOR_BYTES ? entry->len - i : SECTOR_BYTES;
        if (memcmp(known + i, entry->bytes + i, len) != 0 ||
            entry->at + i + len > inode->wanted_len)
            add_write(disk, inode, entry->bytes + i, len, entry->at + i);
    }
    if (strcmp(entry->name, DISK_TABLES) == 0 && disk->unit_count > units) {
        disk->makes_tables = true;
        disk->has_made_tables = false;
    }
    free(known);
}

/* ---- taking in: syncs ---- */

static void begin_sync(struct disk *disk, const struct trace_entry *entry)
{
    disk->syncs = disk_grown(disk->syncs, disk->sync_count + 1, sizeof *disk->syncs);
    disk->syncs[disk->sync_count++] = (struct disk_sync){entry->opened, entry->at / 4, disk->stamp};
}

/* The moment at which the sync that ends now began. */
static uint64_t end_sync(struct disk *disk, const struct trace_entry *entry)
{
    for (size_t i = 0; i < disk->sync_count; i++) {
        struct disk_sync sync = disk->syncs[i];
        if (sync.opened != entry->opened || sync.number != entry->at / 4)
            continue;
        disk->syncs[i] = disk->syncs[--disk->sync_count];
        return sync.stamp;
    }
    disk_must(false, "a sync ends that has not begun");
    return 0;
}

static void take_failed_sync(struct disk *disk, const struct inode *inode, uint64_t before)
{
    for (size_t i = 0; inode != NULL && i < disk->unit_count; i++) {
        struct unit *unit = &disk->units[i];
        if (unit->kind == UNIT_WRITE && unit->inode == inode && unit->stamp < before)
            unit->is_stuck = true;
    }
}

static bool lies_about(const struct disk *disk, const struct inode *inode)
{
    if (inode == NULL)
        return disk->lies == DISK_SYNCS_NO_NAMES;
    if (inode->is_of_journal)
        return disk->lies == DISK_SYNCS_NO_JOURNAL;
    return disk->lies == DISK_SYNCS_NO_TABLES;
}

static void take_sync(struct disk *disk, const struct trace_entry *entry)
{
    struct settled settled = {.inode = disk->opened[entry->opened],
                              .from = 0,
                              .to = SIZE_MAX,
                              .all = (entry->at & TRACE_SYNC_OF_ALL) != 0,
                              .before = end_sync(disk, entry)};
    if ((entry->at & TRACE_SYNC_FAILED) != 0) {
        take_failed_sync(disk, settled.inode, settled.before);
        return;
    }
    if (settled.inode == NULL) {
        settled.place = strcmp(entry->name, "..") == 0  ? PLACE_ABOVE
                        : strcmp(entry->name, ".") == 0 ? PLACE_DATA
                                                        : PLACE_JOURNAL;
    }
    if (!lies_about(disk, settled.inode))
        disk_settle(disk, &settled);
}

bool disk_is_synced_write(const struct trace_entry *entry)
{
    return entry->kind == TRACE_WROTE && entry->writes_sync;
}

void disk_settle_write(struct disk *disk, const struct trace_entry *entry)
{
    const struct settled settled = {.inode = inode_of(disk, entry),
                                    .from = (size_t)entry->at,
                                    .to = (size_t)entry->at + entry->len,
                                    .all = true,
                                    .before = UINT64_MAX};
    if (!lies_about(disk, settled.inode))
        disk_settle(disk, &settled);
}

/* Tables are made from when their file gets its name until that is on disk, and more in it than
 * LMDB's first two pages. */
static void follow_tables(struct disk *disk, const struct trace_entry *entry)
{
    bool is_tables = entry->name != NULL && strcmp(entry->name, DISK_TABLES) == 0;
    bool is_named =
        is_tables && entry->kind == TRACE_OPENED && disk_name_of(disk, DISK_TABLES)->now == NULL;
    if (is_named || (is_tables && entry->kind == TRACE_RENAMED)) {
        disk->makes_tables = true;
        disk->has_made_tables = false;
    }
    if (is_tables && entry->kind == TRACE_WROTE && entry->at >= 2 * PAGE_BYTES)
        disk->has_made_tables = true;
    if (entry->kind == TRACE_SYNCED && entry->name != NULL && strcmp(entry->name, ".") == 0 &&
        disk->has_made_tables)
        disk->makes_tables = false;
}

void disk_take(struct disk *disk, const struct trace_entry *entry)
{
    disk->stamp++;
    follow_tables(disk, entry);
    switch (entry->kind) {
    case TRACE_OPENED:
        take_open(disk, entry);
        break;
    case TRACE_HELD:
        take_held(disk, entry);
        break;
    case TRACE_WROTE:
        add_write(disk, inode_of(disk, entry), entry->bytes, entry->len, (size_t)entry->at);
        break;
    case TRACE_RESIZED:
        take_resize(disk, entry);
        break;
    case TRACE_SYNCING:
        begin_sync(disk, entry);
        break;
    case TRACE_SYNCED:
        take_sync(disk, entry);
        break;
    case TRACE_MADE:
        take_new_name(disk, entry->name, true);
        break;
    case TRACE_UNLINKED:
        take_unlink(disk, entry);
        break;
    case TRACE_RENAMED:
        take_rename(disk, entry);
        break;
    default:
        break;
    }
}
