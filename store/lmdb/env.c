#include "store/lmdb/env.h"

#include "domain/base/crash_point.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASIDE_FILE "damaged.mdb"
#define PROBE_FILE "probe.tmp"
#define PROBE_BYTES ((size_t)16 * 1024 * 1024) /* more than a slice leaves unwritten */
#define PROBE_STEP_BYTES ((size_t)64 * 1024)

static const char *const names[TABLES] = {
#define TABLE(upper, lower, what) #lower,
    LMDB_TABLES(TABLE)
#undef TABLE
};

static enum store_result damaged(const struct directory *directory, const char *why,
                                 char error[ERROR_BYTES])
{
    snprintf(error, ERROR_BYTES, "the tables in %s/" DIRECTORY_TABLES " are damaged: %s",
             directory->path, why);
    return STORE_DAMAGED;
}

static enum store_result cannot(const struct directory *directory, const char *do_what,
                                char error[ERROR_BYTES])
{
    directory_cannot(directory, do_what, DIRECTORY_TABLES, error);
    return STORE_FAILED;
}

/* ---- before LMDB sees it ---- */

static enum store_result check_pages(struct lmdb_env *env, const struct directory *directory,
                                     int fd, uint64_t check_bytes, char error[ERROR_BYTES])
{
    char why[LMDB_PAGES_ERROR_BYTES];
    struct lmdb_pages_found found;
    env->checked = LMDB_PAGES_RECORDS;
    if (!lmdb_pages_check_file(fd, check_bytes, &env->checked, &found, why))
        return damaged(directory, why, error);
    /* A node that was killed may have left its last round in the cache alone: it is on disk before
     * a page that it leaves free is written anew. */
    return fsync(fd) == 0 ? STORE_OK : cannot(directory, "sync", error);
}

/* The file is locked while it is looked at, as it may have a name in another directory too. */
static enum store_result check_file(struct lmdb_env *env, const struct directory *directory,
                                    uint64_t check_bytes, char error[ERROR_BYTES])
{
    struct stat file = {.st_size = 0};
    enum store_result result = STORE_OK;
    int fd = openat(directory->fd, DIRECTORY_TABLES, O_RDWR | O_CLOEXEC);
    env->is_new = fd < 0 && errno == ENOENT;
    if (env->is_new)
        return STORE_OK;
    if (fd < 0 || fstat(fd, &file) != 0)
        result = cannot(directory, "open", error);
    else if (!directory_lock(directory, fd, DIRECTORY_TABLES, error))
        result = STORE_FAILED;
    else if (file.st_size > 0)
        result = check_pages(env, directory, fd, check_bytes, error);
    else
        env->is_new = true;
    if (fd >= 0)
        close(fd);
    return result;
}

/* ---- LMDB ---- */

/* LMDB asserts where its pages contradict each other. It would abort; one clear line is better. */
static void end_damaged(MDB_env *mdb, const char *message)
{
    (void)mdb;
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&room, 1, 0) == 1) /* a pipe that nobody reads must not keep the node */
        dprintf(STDERR_FILENO, "allocd: the tables of the store are damaged: %s\n", message);
    _exit(1);
}

static int open_environment(struct lmdb_env *env, const struct directory *directory,
                            size_t map_size_bytes, unsigned how)
{
    int rc = mdb_env_create(&env->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(env->env, TABLES);
    if (rc == 0)
        rc = mdb_env_set_mapsize(env->env, map_size_bytes);
    if (rc == 0)
        rc = mdb_env_set_assert(env->env, end_damaged);
    if (rc == 0)
        rc = mdb_env_open(env->env, directory->path, how, 0600);
    if (rc != 0)
        return rc;
    unsigned flags = 0;
    mdb_env_get_flags(env->env, &flags);
    assert((flags & (MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_MAPASYNC)) == 0);
    return 0;
}

/* `how`: MDB_RDONLY, or 0, which makes those that are missing. */
static int open_tables(struct lmdb_env *env, unsigned how)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->env, NULL, how, &txn);
    if (rc != 0)
        return rc;
    for (enum table i = 0; rc == 0 && i < TABLES; i++)
        rc = mdb_dbi_open(txn, names[i], how == 0 ? MDB_CREATE : 0, &env->tables[i]);
    CRASH_POINT(before_tables);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* For life. */
static bool lock_file(const struct lmdb_env *env, const struct directory *directory,
                      char error[ERROR_BYTES])
{
    int fd = -1;
    int rc = mdb_env_get_fd(env->env, &fd);
    assert(rc == 0);
    return directory_lock(directory, fd, DIRECTORY_TABLES, error);
}

/* A new file is on disk before anything is written behind its first pages. */
static bool keep_file(const struct lmdb_env *env, const struct directory *directory,
                      char error[ERROR_BYTES])
{
    int fd = -1;
    if (mdb_env_get_fd(env->env, &fd) != 0 || fsync(fd) != 0)
        return directory_cannot(directory, "sync", DIRECTORY_TABLES, error);
    return lock_file(env, directory, error);
}

static enum store_result cannot_open(struct lmdb_env *env, const struct directory *directory,
                                     int rc, char error[ERROR_BYTES])
{
    lmdb_env_close(env);
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED || rc == MDB_PANIC ||
        rc == MDB_PAGE_NOTFOUND || rc == MDB_INCOMPATIBLE || rc == MDB_NOTFOUND)
        return damaged(directory, mdb_strerror(rc), error);
    snprintf(error, ERROR_BYTES, "cannot open the tables in %s: %s", directory->path,
             mdb_strerror(rc));
    return STORE_FAILED;
}

enum store_result lmdb_env_open(struct lmdb_env *out, const struct directory *directory,
                                size_t map_size_bytes, uint64_t check_bytes,
                                char error[ERROR_BYTES])
{
    *out = (struct lmdb_env){.env = NULL};
    enum store_result result = check_file(out, directory, check_bytes, error);
    if (result != STORE_OK)
        return result;
    int rc = open_environment(out, directory, map_size_bytes, 0);
    if (rc == 0 && !keep_file(out, directory, error)) {
        lmdb_env_close(out);
        return STORE_FAILED;
    }
    if (rc == 0)
        rc = open_tables(out, 0);
    CRASH_POINT(after_tables);
    return rc == 0 ? STORE_OK : cannot_open(out, directory, rc, error);
}

enum store_result lmdb_env_look(struct lmdb_env *out, const struct directory *directory,
                                size_t map_size_bytes, struct lmdb_pages_found *found,
                                char error[ERROR_BYTES])
{
    char why[LMDB_PAGES_ERROR_BYTES];
    *out = (struct lmdb_env){.checked = LMDB_PAGES_STRUCTURE};
    int fd = openat(directory->fd, DIRECTORY_TABLES, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cannot(directory, "open", error);
    bool is_locked = directory_lock(directory, fd, DIRECTORY_TABLES, error);
    bool is_whole = is_locked && lmdb_pages_check_file(fd, UINT64_MAX, &out->checked, found, why);
    close(fd);
    if (!is_locked)
        return STORE_FAILED;
    if (!is_whole)
        return damaged(directory, why, error);
    int rc = open_environment(out, directory, map_size_bytes, MDB_RDONLY | MDB_NOLOCK);
    if (rc == 0 && !lock_file(out, directory, error)) {
        lmdb_env_close(out);
        return STORE_FAILED;
    }
    if (rc == 0)
        rc = open_tables(out, MDB_RDONLY);
    return rc == 0 ? STORE_OK : cannot_open(out, directory, rc, error);
}

void lmdb_env_close(struct lmdb_env *env)
{
    if (env->env != NULL)
        mdb_env_close(env->env);
    env->env = NULL;
}

bool lmdb_env_set_aside(const struct directory *directory, char error[ERROR_BYTES])
{
    int fd = directory->fd;
    if ((renameat(fd, DIRECTORY_TABLES, fd, ASIDE_FILE) == 0 || errno == ENOENT) &&
        (unlinkat(fd, DIRECTORY_READERS, 0) == 0 || errno == ENOENT))
        return true;
    return directory_cannot(directory, "set aside", DIRECTORY_TABLES, error);
}

void lmdb_env_put_back(const struct directory *directory)
{
    struct stat aside;
    int fd = directory->fd;
    if (fstatat(fd, ASIDE_FILE, &aside, 0) == 0 && unlinkat(fd, DIRECTORY_READERS, 0) == 0)
        (void)renameat(fd, ASIDE_FILE, fd, DIRECTORY_TABLES);
}

bool lmdb_env_drop_aside(const struct directory *directory, char error[ERROR_BYTES])
{
    if (unlinkat(directory->fd, ASIDE_FILE, 0) == 0 || errno == ENOENT)
        return true;
    return directory_cannot(directory, "remove", ASIDE_FILE, error);
}

/* ---- what errors mean ---- */

enum store_result lmdb_read_result(int rc)
{
    if (rc == 0)
        return STORE_OK;
    return rc == MDB_NOTFOUND ? STORE_NOT_FOUND : STORE_DAMAGED;
}

static bool is_no_space(int code)
{
    return code == ENOSPC || code == EDQUOT || code == EFBIG || code == MDB_MAP_FULL;
}

/* 0: there is room; else the errno that says what is in the way. */
static int probe_for_room(const struct directory *directory)
{
    static const char zeros[PROBE_STEP_BYTES];
    int code = 0;
    int fd = openat(directory->fd, PROBE_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    /* At once: whatever ends the node, the room that is taken here comes back. */
    unlinkat(directory->fd, PROBE_FILE, 0);
    for (size_t done = 0; code == 0 && done < PROBE_BYTES; done += sizeof zeros) {
        ssize_t written = pwrite(fd, zeros, sizeof zeros, (off_t)done);
        if (written < (ssize_t)sizeof zeros)
            code = written < 0 ? errno : ENOSPC;
    }
    CRASH_POINT(probing_for_room);
    close(fd);
    return code;
}

/* Without a descriptor nobody can tell whether it was want of room. The round can wait: where the
 * disk is broken the next one will meet it too. */
static enum store_result result_of_probe(int code)
{
    if (is_no_space(code))
        return STORE_FULL;
    return code == EMFILE || code == ENFILE ? STORE_FAILED : STORE_BROKEN;
}

enum store_result lmdb_write_result(const struct directory *directory, int rc, int *cause)
{
    *cause = rc;
    switch (rc) {
    case 0:
        return STORE_OK;
    case EIO: /* a short write too */
        *cause = probe_for_room(directory);
        return result_of_probe(*cause);
    case MDB_PANIC:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return STORE_BROKEN;
    default:
        return is_no_space(rc) ? STORE_FULL : STORE_FAILED;
    }
}

uint64_t lmdb_env_bytes(const struct lmdb_env *env)
{
    struct stat file;
    int fd;
    if (mdb_env_get_fd(env->env, &fd) != 0 || fstat(fd, &file) != 0 || file.st_size < 0)
        return 0;
    return (uint64_t)file.st_size;
}

enum store_result lmdb_get(MDB_txn *txn, MDB_dbi table, struct text key, struct text *out)
{
    MDB_val k = lmdb_val(key);
    MDB_val v;
    int rc = mdb_get(txn, table, &k, &v);
    if (rc == 0)
        *out = lmdb_text(v);
    return lmdb_read_result(rc);
}

enum store_result lmdb_walk_begin(struct lmdb_walk *walk, MDB_txn *txn, MDB_dbi table,
                                  struct text from)
{
    *walk = (struct lmdb_walk){.op = from.len > 0 ? MDB_SET_RANGE : MDB_FIRST, .key = from};
    return lmdb_read_result(mdb_cursor_open(txn, table, &walk->cursor));
}

enum store_result lmdb_walk_next(struct lmdb_walk *walk)
{
    MDB_val k = lmdb_val(walk->key);
    MDB_val v = {0, NULL};
    int rc = mdb_cursor_get(walk->cursor, &k, &v, walk->op);
    walk->op = MDB_NEXT;
    if (rc == 0) {
        walk->key = lmdb_text(k);
        walk->value = lmdb_text(v);
    }
    return lmdb_read_result(rc);
}

void lmdb_walk_end(struct lmdb_walk *walk)
{
    if (walk->cursor != NULL)
        mdb_cursor_close(walk->cursor);
    walk->cursor = NULL;
}
