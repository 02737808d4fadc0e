/* A start: what is found, cut off, made and synced (recovery.h). */
#include "store/journal/recovery.h"

#include "domain/base/crash_point.h"
#include "store/hash.h"
#include "store/journal/disk.h"
#include "store/journal/mark.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool recovery_fail(struct recovery *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->error, ERROR_BYTES, format, args);
    va_end(args);
    return false;
}

bool recovery_damaged(struct recovery *r, const char *format, ...)
{
    va_list args;
    int len = snprintf(r->error, ERROR_BYTES,
                       "the journal %s/" JOURNAL_DIRECTORY " is damaged: ", r->directory);
    size_t used = len > 0 && len < ERROR_BYTES ? (size_t)len : 0;
    va_start(args, format);
    vsnprintf(r->error + used, ERROR_BYTES - used, format, args);
    va_end(args);
    return false;
}

bool recovery_cannot(struct recovery *r, const char *do_what, const char *name)
{
    return recovery_fail(r, "cannot %s %s/" JOURNAL_DIRECTORY "%s%s: %s", do_what, r->directory,
                         *name ? "/" : "", name, strerror(errno));
}

static bool lock(struct recovery *r, int fd, const char *name)
{
    if (disk_lock(fd))
        return true;
    if (errno != EWOULDBLOCK)
        return recovery_cannot(r, "lock", name);
    return recovery_fail(r, "the journal %s/" JOURNAL_DIRECTORY " is in use by another node",
                         r->directory);
}

static bool is_read_only(const struct recovery *r)
{
    return r->file->mode == JOURNAL_FILE_READ_ONLY;
}

/* ---- names ---- */

static bool add_name(struct recovery *r, const char *name)
{
    struct recovery_name found;
    if (!segment_name_parse(name, &found.number, &found.index))
        return recovery_damaged(r, "%.64s is no name of a segment", name);
    if (r->name_count == r->name_capacity) {
        size_t capacity = r->name_capacity == 0 ? 16 : 2 * r->name_capacity;
        struct recovery_name *names = realloc(r->names, capacity * sizeof *names);
        if (names == NULL)
            return recovery_fail(r, "no memory for the journal");
        r->names = names;
        r->name_capacity = capacity;
    }
    r->names[r->name_count++] = found;
    return true;
}

/* Invariant 4: a spare segment holds nothing. */
static bool look_at_name(struct recovery *r, const char *name)
{
    if (segment_name_is_one(name))
        return add_name(r, name);
    if (segment_name_is_spare(name) && !is_read_only(r) &&
        unlinkat(r->file->directory_fd, name, 0) != 0)
        return recovery_cannot(r, "remove", name);
    return true;
}

static int compare_names(const void *a, const void *b)
{
    const struct recovery_name *first = a;
    const struct recovery_name *second = b;
    if (first->number != second->number)
        return first->number < second->number ? -1 : 1;
    return (first->index > second->index) - (first->index < second->index);
}

static bool list_names(struct recovery *r)
{
    bool is_fine = true;
    int fd = openat(r->file->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (directory == NULL) {
        recovery_cannot(r, "list", "");
        if (fd >= 0)
            close(fd);
        return false;
    }
    const struct dirent *entry = NULL;
    do {
        errno = 0;
        entry = readdir(directory);
        if (entry != NULL)
            is_fine = look_at_name(r, entry->d_name);
        else if (errno != 0)
            is_fine = recovery_cannot(r, "list", "");
    } while (entry != NULL && is_fine);
    closedir(directory);
    if (is_fine && r->name_count > 0)
        qsort(r->names, r->name_count, sizeof *r->names, compare_names);
    return is_fine;
}

static bool has_segments(struct recovery *r)
{
    if (r->name_count > 0 || r->file->mode == JOURNAL_FILE_MAY_BE_NEW)
        return true;
    return recovery_damaged(r, "its segments are gone");
}

static bool open_mark(struct recovery *r)
{
    struct journal_file *file = r->file;
    int how = is_read_only(r) ? O_RDONLY : O_RDWR | O_CREAT;
    file->mark_fd = openat(file->directory_fd, MARK_FILE, how | O_CLOEXEC, 0600);
    if (file->mark_fd < 0 && is_read_only(r) && errno == ENOENT)
        return true;
    if (file->mark_fd < 0)
        return recovery_cannot(r, "open", MARK_FILE);
    r->has_mark = mark_read(file->mark_fd, &r->marked_id, &r->marked);
    return true;
}

/* ---- cutting ---- */

/* Invariant 5: the newest goes first, and its name is gone for good before the next one. */
static bool remove_segment(struct recovery *r)
{
    char name[SEGMENT_NAME_BYTES];
    struct journal_file *file = r->file;
    struct segments *segments = &file->segments;
    const struct segment_info *info = &segments->items[segments->count - 1];
    segment_name(info->number, info->index, name);
    if (unlinkat(file->directory_fd, name, 0) != 0)
        return recovery_cannot(r, "remove", name);
    CRASH_POINT(journal_cutting);
    if (!disk_sync_all(file->directory_fd))
        return recovery_cannot(r, "sync", "");
    file->shared.file_bytes -= info->bytes;
    segments_remove_newest(segments);
    return true;
}

/* Segments that begin within the entry that was not finished. One that begins with it stays. */
static bool remove_unfinished_segments(struct recovery *r)
{
    const struct segments *segments = &r->file->segments;
    while (!r->before.is_last && segments->items[segments->count - 1].index > 0 &&
           segments->items[segments->count - 1].number == r->before.number) {
        assert(segments->count > 1);
        if (!remove_segment(r))
            return false;
    }
    return true;
}

/* Places in it point behind the end. They are noted anew by whoever reads there. */
static void forget_unfinished_places(struct segments *segments, struct segment_info *info)
{
    while (info->place_count > 0 && info->places[info->place_count - 1].offset >= info->end)
        info->place_count--;
    assert(segments->count > 0);
}

/* Of the newest segment that stays. */
static void set_end(struct recovery *r)
{
    struct segments *segments = &r->file->segments;
    struct segment_info *info = &segments->items[segments->count - 1];
    info->end = r->whole_end.ordinal == segments->count ? r->whole_end.offset : SEGMENT_HEAD_BYTES;
    r->file->has_cut = r->is_torn;
    if (r->is_torn)
        forget_unfinished_places(segments, info);
}

/* Zeros alone would do, if a sync never failed: after one that did, the system may take them for
 * written, and the disk has what they were to replace. So the first bytes are a note, by which the
 * next start sees that it has to write all of it again. The next entry takes its place. */
static bool cut(int fd, uint64_t from, uint64_t to)
{
    unsigned char note[PART_ALIGNMENT];
    if (from == to)
        return true;
    part_put_number(note, CUT_NOTE, sizeof note);
    return disk_write(fd, note, sizeof note, from) && disk_write_zeros(fd, from + sizeof note, to);
}

/* Whoever only looks needs the lock too: what somebody else writes to cannot be judged. */
static bool open_newest(struct recovery *r)
{
    char name[SEGMENT_NAME_BYTES];
    struct journal_file *file = r->file;
    struct segments *segments = &file->segments;
    const struct segment_info *info = &segments->items[segments->count - 1];
    int how = is_read_only(r) ? O_RDONLY : O_RDWR;
    segment_name(info->number, info->index, name);
    file->writer.fd = openat(file->directory_fd, name, how | O_CLOEXEC);
    if (file->writer.fd < 0 ||
        !segment_place_of(file->writer.fd, info->number, info->index, &file->writer.place))
        return recovery_cannot(r, "open", name);
    if (!lock(r, file->writer.fd, name))
        return false;
    set_end(r);
    if (is_read_only(r))
        return true;
    file->writer.spot = (struct layout_spot){segments->count, info->bytes, info->end};
    file->writer.chain = r->whole.seal;
    if (!r->is_torn && !r->has_cut_note)
        return true;
    if (!cut(file->writer.fd, info->end, info->bytes))
        return recovery_cannot(r, "write", name);
    CRASH_POINT(journal_cut);
    return true;
}

/* ---- what is told of is on disk ---- */

/* A sync that failed may have left the last entry in the memory of the system, as if it were on
 * disk, and nothing would write it again. So it is written once more, as it is. */
static bool write_last_again(struct recovery *r)
{
    const struct layout_spot *spot = &r->file->writer.spot;
    uint64_t at = r->whole_begin.ordinal == spot->ordinal ? r->whole_begin.offset
                                                          : (uint64_t)SEGMENT_HEAD_BYTES;
    if (r->whole_begin.ordinal == 0)
        return true;
    while (at < spot->offset) {
        size_t want =
            spot->offset - at < PART_BODY_MAX ? (size_t)(spot->offset - at) : PART_BODY_MAX;
        size_t got;
        if (!disk_read(r->file->writer.fd, r->body, want, at, &got) || got != want ||
            !disk_write(r->file->writer.fd, r->body, want, at))
            return recovery_cannot(r, "write", "");
        at += want;
    }
    return true;
}

static bool sync_all(struct recovery *r)
{
    const struct journal_file *file = r->file;
    if (r->marked < r->whole.number && !write_last_again(r))
        return false;
    if (!disk_sync_all(file->writer.fd) || !disk_sync_all(file->directory_fd))
        return recovery_cannot(r, "sync", "");
    CRASH_POINT(journal_opened);
    return true;
}

/* ---- a new one, and an old one ---- */

static bool make_first(struct recovery *r, uint64_t first_bytes)
{
    struct journal_file *file = r->file;
    if (r->has_mark)
        return recovery_damaged(r, "its segments are gone");
    if (!hash_new_seed(&file->id))
        return recovery_fail(r, "the system has no random numbers for the journal");
    file->writer.journal_id = file->id;
    r->whole = r->before = (struct part){.is_last = true, .first_seq = 1};
    enum store_result result = spare_make(file->directory_fd, 1, first_bytes);
    if (result == STORE_OK)
        result = writer_begin_segment(&file->writer, 1, first_bytes, 1, 0, 1);
    if (result != STORE_OK)
        return recovery_cannot(r, "make a segment in", "");
    struct segment_info *info = segments_add(&file->segments, 1, 0, 1, first_bytes);
    info->end = SEGMENT_HEAD_BYTES;
    segments_set_indexed(&file->segments, 0);
    file->shared.file_bytes += first_bytes;
    return true;
}

static bool open_old(struct recovery *r)
{
    if (!recovery_read(r))
        return false;
    if (is_read_only(r))
        return open_newest(r);
    r->file->writer.journal_id = r->file->id;
    return remove_unfinished_segments(r) && open_newest(r) && sync_all(r);
}

static void set_numbers(const struct recovery *r)
{
    struct journal_file *file = r->file;
    struct shared *shared = &file->shared;
    uint64_t number = r->whole.number;
    file->port.newest = file->port.durable = number;
    file->port.next_seq = file->port.durable_next_seq = r->whole.first_seq + r->whole.events;
    if (is_read_only(r)) {
        file->told = number;
        return;
    }
    assert(file->writer.fd >= 0 && file->writer.spot.ordinal == file->segments.count);
    file->told = shared->submitted = shared->written = number;
    file->plan = file->writer.spot;
    file->asked = shared->made = shared->wanted = file->writer.spot.ordinal;
    shared->made_bytes = file->writer.spot.bytes;
    shared->place = file->writer.place;
    shared->file_bytes += MARK_BYTES;
    if (number > 0)
        mark_write(file->mark_fd, file->id, number);
}

bool recovery_run(struct journal_file *file, const char *directory, uint64_t first_bytes,
                  char error[ERROR_BYTES])
{
    struct recovery r = {.file = file, .directory = directory};
    assert(file->directory_fd >= 0 && file->writer.fd < 0);
    r.error = error;
    r.reader = malloc(sizeof *r.reader);
    r.body = malloc(PART_BODY_MAX);
    bool is_fine =
        lock(&r, file->directory_fd, "") && list_names(&r) && has_segments(&r) && open_mark(&r);
    if (r.reader == NULL || r.body == NULL || !segments_reserve(&file->segments, r.name_count + 1))
        is_fine = recovery_fail(&r, "no memory for the journal");
    file->writer.directory_fd = file->directory_fd;
    file->writer.mark_fd = file->mark_fd;
    if (is_fine)
        is_fine = r.name_count == 0 ? make_first(&r, first_bytes) : open_old(&r);
    if (is_fine)
        set_numbers(&r);
    free(r.names);
    free(r.reader);
    free(r.body);
    return is_fine;
}
