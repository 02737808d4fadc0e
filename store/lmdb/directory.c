#include "store/lmdb/directory.h"

#include "domain/base/crash_point.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(char error[ERROR_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool fail(char error[ERROR_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, ERROR_BYTES, format, args);
    va_end(args);
    return false;
}

bool directory_cannot(const struct directory *directory, const char *do_what, const char *name,
                      char error[ERROR_BYTES])
{
    return fail(error, "cannot %s %s%s%s: %s", do_what, directory->path, *name ? "/" : "", name,
                strerror(errno));
}

/* ---- nobody else has it ---- */

bool directory_lock(const struct directory *directory, int fd, const char *name,
                    char error[ERROR_BYTES])
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return fail(error, "the data directory %s is in use by another node", directory->path);
    return directory_cannot(directory, "lock", name, error);
}

static bool open_and_lock(struct directory *d, char error[ERROR_BYTES])
{
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0)
        return directory_cannot(d, "open the data directory", "", error);
    if (!directory_lock(d, d->fd, "", error))
        return false;
    CRASH_POINT(directory_locked);
    return true;
}

/* ---- the marker ---- */

bool directory_has(const struct directory *directory, const char *name)
{
    struct stat file;
    return fstatat(directory->fd, name, &file, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static bool sync_directory(const struct directory *d, char error[ERROR_BYTES])
{
    return fsync(d->fd) == 0 || directory_cannot(d, "sync the data directory", "", error);
}

static bool make_marker(struct directory *d, char error[ERROR_BYTES])
{
    d->marker_fd = openat(d->fd, DIRECTORY_MARKER, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->marker_fd < 0)
        return directory_cannot(d, "open", DIRECTORY_MARKER, error);
    return sync_directory(d, error);
}

/* The marker has a byte from when the store was first made whole; without it nothing was stored
 * yet. It is on disk, empty, before any other file is made: so where there is one and no marker,
 * somebody removed it, and the store is taken for one that was made. So it is where the marker
 * cannot be examined. That costs nobody any data. */
static bool find_marker(struct directory *d, char error[ERROR_BYTES])
{
    struct stat marker;
    d->marker_fd = openat(d->fd, DIRECTORY_MARKER, O_RDWR | O_CLOEXEC);
    if (d->marker_fd < 0 && errno != ENOENT)
        return directory_cannot(d, "open", DIRECTORY_MARKER, error);
    if (d->marker_fd >= 0)
        d->was_made = fstat(d->marker_fd, &marker) != 0 || marker.st_size > 0;
    else
        d->was_made = directory_has(d, DIRECTORY_JOURNAL) || directory_has(d, DIRECTORY_TABLES) ||
                      directory_has(d, DIRECTORY_READERS);
    return d->was_made || d->marker_fd >= 0 || make_marker(d, error);
}

/* A file is safe only when its name in the directory is. */
static bool sync_names(const struct directory *d, char error[ERROR_BYTES])
{
    int parent = openat(d->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fsync(d->fd) == 0 && (parent < 0 || fsync(parent) == 0);
    if (parent >= 0)
        close(parent);
    return synced || directory_cannot(d, "sync the data directory", "", error);
}

/* A marker that somebody removed is made anew. */
bool directory_mark_made(struct directory *d, char error[ERROR_BYTES])
{
    if (!sync_names(d, error))
        return false;
    if (d->was_made && d->marker_fd >= 0)
        return true;
    CRASH_POINT(before_mark);
    if (d->marker_fd < 0 && !make_marker(d, error))
        return false;
    errno = ENOSPC; /* what it means where nothing is written and nothing said */
    if (pwrite(d->marker_fd, "1", 1, 0) == 1 && fsync(d->marker_fd) == 0)
        return true;
    return directory_cannot(d, "write", DIRECTORY_MARKER, error);
}

/* ---- its place ---- */

static struct inode inode_of(const struct stat *status)
{
    return (struct inode){status->st_dev, status->st_ino};
}

static bool is_inode(const struct stat *status, struct inode inode)
{
    return status->st_dev == inode.device && status->st_ino == inode.number;
}

static bool means(const struct directory *d, const char *name, struct inode inode,
                  char error[ERROR_BYTES])
{
    struct stat status;
    if (fstatat(d->fd, name, &status, 0) != 0)
        return fail(error, "%s/%s cannot be found any more: %s", d->path, name, strerror(errno));
    if (!is_inode(&status, inode))
        return fail(error, "%s/%s was replaced by another file", d->path, name);
    return true;
}

bool directory_is_in_place(const struct directory *d, char error[ERROR_BYTES])
{
    struct stat status;
    if (stat(d->path, &status) != 0)
        return fail(error, "the data directory %s cannot be found any more: %s", d->path,
                    strerror(errno));
    if (!is_inode(&status, d->inode))
        return fail(error, "the data directory %s was replaced by another one", d->path);
    return means(d, DIRECTORY_JOURNAL, d->journal, error) &&
           means(d, DIRECTORY_TABLES, d->tables, error);
}

bool directory_has_news(struct directory *d)
{
    return place_watch_has_news(&d->place);
}

void directory_look_again(struct directory *d)
{
    d->place.looked_ms = 0;
}

bool directory_note_place(struct directory *d, char error[ERROR_BYTES])
{
    struct stat itself;
    struct stat journal;
    struct stat tables;
    place_watch_open(&d->place, d->path, DIRECTORY_JOURNAL);
    if (fstat(d->fd, &itself) != 0)
        return directory_cannot(d, "examine", "", error);
    if (fstatat(d->fd, DIRECTORY_JOURNAL, &journal, 0) != 0)
        return directory_cannot(d, "examine", DIRECTORY_JOURNAL, error);
    if (fstatat(d->fd, DIRECTORY_TABLES, &tables, 0) != 0)
        return directory_cannot(d, "examine", DIRECTORY_TABLES, error);
    d->inode = inode_of(&itself);
    d->journal = inode_of(&journal);
    d->tables = inode_of(&tables);
    return directory_is_in_place(d, error);
}

/* ---- opening ---- */

bool directory_open(struct directory *out, const char *path, char error[ERROR_BYTES])
{
    *out = (struct directory){.path = path, .fd = -1, .marker_fd = -1, .place.fd = -1};
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return directory_cannot(out, "make the data directory", "", error);
    if (open_and_lock(out, error) && find_marker(out, error))
        return true;
    directory_close(out);
    return false;
}

bool directory_look(struct directory *out, const char *path, char error[ERROR_BYTES])
{
    *out = (struct directory){.path = path, .fd = -1, .marker_fd = -1, .place.fd = -1};
    if (open_and_lock(out, error))
        return true;
    directory_close(out);
    return false;
}

void directory_close(struct directory *directory)
{
    place_watch_close(&directory->place);
    if (directory->marker_fd >= 0)
        close(directory->marker_fd);
    if (directory->fd >= 0)
        close(directory->fd);
    directory->fd = directory->marker_fd = -1;
}
