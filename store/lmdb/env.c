#include "store/lmdb/env.h"

#include "domain/base/crash_point.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA_FILE LMDB_ENV_DATA_FILE
#define MARKER_FILE LMDB_ENV_MARKER_FILE
#define META_BYTES ((size_t)152) /* of a meta page: what LMDB has in it */
#define PROBE_FILE "probe.tmp"
#define PROBE_BYTES ((size_t)16 * 1024 * 1024) /* more than a group leaves unwritten */
#define PROBE_STEP_BYTES ((size_t)64 * 1024)

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

/* `do_what` to a file of the directory, or to the directory itself where its name is empty. */
static bool cannot(const struct lmdb_env *env, const char *do_what, const char *name,
                   char error[ERROR_BYTES])
{
    return fail(error, "cannot %s %s%s%s: %s", do_what, env->directory, *name ? "/" : "", name,
                strerror(errno));
}

/* Locks an inode, which is there as long as the descriptor is: whoever removes or renames it lets
 * no second node in. */
static bool lock(const struct lmdb_env *env, int fd, const char *name, char error[ERROR_BYTES])
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return fail(error, "the data directory %s is in use by another node", env->directory);
    return cannot(env, "lock", name, error);
}

static bool lock_directory(struct lmdb_env *env, char error[ERROR_BYTES])
{
    if (mkdir(env->directory, 0700) != 0 && errno != EEXIST)
        return cannot(env, "make the data directory", "", error);
    env->directory_fd = open(env->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (env->directory_fd < 0)
        return cannot(env, "open the data directory", "", error);
    if (!lock(env, env->directory_fd, "", error))
        return false;
    CRASH_POINT(directory_locked);
    return true;
}

/* What cannot be looked at is taken for there. */
static bool has_file(const struct lmdb_env *env, const char *name)
{
    struct stat file;
    return fstatat(env->directory_fd, name, &file, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static bool make_marker(struct lmdb_env *env, char error[ERROR_BYTES])
{
    if (env->marker_fd < 0)
        env->marker_fd = openat(env->directory_fd, MARKER_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (env->marker_fd < 0)
        return cannot(env, "open", MARKER_FILE, error);
    return fsync(env->directory_fd) == 0 || cannot(env, "sync the data directory", "", error);
}

/* The marker has a byte from when the store was first made whole; without it nothing was stored
 * yet. It is on disk, empty, before LMDB makes a file: so where there is one and no marker,
 * somebody removed it, and the store is taken for one that was made. So it is where the marker
 * cannot be examined. That costs nobody any data. */
static bool find_marker(struct lmdb_env *env, char error[ERROR_BYTES])
{
    struct stat marker;
    env->marker_fd = openat(env->directory_fd, MARKER_FILE, O_RDWR | O_CLOEXEC);
    if (env->marker_fd < 0 && errno != ENOENT)
        return cannot(env, "open", MARKER_FILE, error);
    env->was_made = env->marker_fd >= 0
                        ? fstat(env->marker_fd, &marker) != 0 || marker.st_size > 0
                        : has_file(env, DATA_FILE) || has_file(env, LMDB_ENV_READERS_FILE);
    return env->was_made || make_marker(env, error);
}

/* True where LMDB takes no transaction any more, since a meta page may be on disk or not. */
static bool is_at_an_end(const struct lmdb_env *env)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->env, NULL, 0, &txn);
    if (rc == 0)
        mdb_txn_abort(txn);
    return rc == MDB_PANIC;
}

int lmdb_commit(const struct lmdb_env *env, MDB_txn *txn)
{
    unsigned char before[META_BYTES];
    MDB_stat figures;
    int fd = -1;
    size_t which = mdb_txn_id(txn) % 2;
    bool is_known = mdb_env_get_fd(env->env, &fd) == 0 && mdb_env_stat(env->env, &figures) == 0;
    off_t at = is_known ? (off_t)(which * figures.ms_psize) : 0;
    is_known = is_known && pread(fd, before, sizeof before, at) == (ssize_t)sizeof before;
    int rc = mdb_txn_commit(txn);
    if (rc != 0 && is_known && is_at_an_end(env) &&
        pwrite(fd, before, sizeof before, at) != (ssize_t)sizeof before)
        return EIO; /* the disk fails altogether */
    return rc;
}

static bool open_tables(struct lmdb_env *env, char error[ERROR_BYTES])
{
    static const struct {
        const char *name;
        unsigned flags;
    } tables[] = {
#define TABLE(name, flags, what) {#name, flags},
        LMDB_TABLES(TABLE)
#undef TABLE
    };
    MDB_dbi *const handles[] = {
#define TABLE(name, flags, what) &env->name,
        LMDB_TABLES(TABLE)
#undef TABLE
    };
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->env, NULL, 0, &txn);
    for (size_t i = 0; rc == 0 && i < sizeof tables / sizeof *tables; i++)
        rc = mdb_dbi_open(txn, tables[i].name, tables[i].flags | MDB_CREATE, handles[i]);
    CRASH_POINT(before_tables);
    if (rc == 0)
        rc = lmdb_commit(env, txn);
    CRASH_POINT(after_tables);
    if (rc != 0)
        return fail(error, "cannot open the tables of the store %s: %s", env->directory,
                    mdb_strerror(rc));
    return true;
}

/* A file is safe only when its directory entry is, and LMDB syncs neither directory. */
static bool sync_directories(struct lmdb_env *env, char error[ERROR_BYTES])
{
    int parent = openat(env->directory_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fsync(env->directory_fd) == 0 && (parent < 0 || fsync(parent) == 0);
    if (parent >= 0)
        close(parent);
    return synced || cannot(env, "sync the data directory", "", error);
}

/* LMDB asserts where its pages contradict each other. It would abort; one clear line is better. */
static void end_damaged(MDB_env *mdb, const char *message)
{
    const struct lmdb_env *env = mdb_env_get_userctx(mdb);
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&room, 1, 0) == 1) /* a pipe that nobody reads must not keep the node */
        dprintf(STDERR_FILENO, "allocd: the store %s is damaged: %s\n", env->directory, message);
    _exit(1);
}

/* For life. */
static bool lock_file(const struct lmdb_env *env, char error[ERROR_BYTES])
{
    int fd = -1;
    return mdb_env_get_fd(env->env, &fd) == 0 && lock(env, fd, DATA_FILE, error);
}

static struct lmdb_inode inode_of(const struct stat *status)
{
    return (struct lmdb_inode){status->st_dev, status->st_ino};
}

static bool is_inode(const struct stat *status, struct lmdb_inode inode)
{
    return status->st_dev == inode.device && status->st_ino == inode.number;
}

/* The names mean what they meant. */
static bool look_up_place(const struct lmdb_env *env, char error[ERROR_BYTES])
{
    struct stat status;
    if (stat(env->directory, &status) != 0)
        return fail(error, "the data directory %s cannot be found any more: %s", env->directory,
                    strerror(errno));
    if (!is_inode(&status, env->directory_inode))
        return fail(error, "the data directory %s was replaced by another one", env->directory);
    if (fstatat(env->directory_fd, DATA_FILE, &status, 0) != 0)
        return fail(error, "%s/" DATA_FILE " cannot be found any more: %s", env->directory,
                    strerror(errno));
    if (!is_inode(&status, env->file_inode))
        return fail(error, "%s/" DATA_FILE " was replaced by another file", env->directory);
    return true;
}

/* What was not in place is looked up again the next time. */
bool lmdb_env_is_in_place(struct lmdb_env *env, char error[ERROR_BYTES])
{
    if (!place_watch_has_news(&env->place) || look_up_place(env, error))
        return true;
    env->place.looked_ms = 0;
    return false;
}

static bool note_place(struct lmdb_env *env, char error[ERROR_BYTES])
{
    place_watch_open(&env->place, env->directory);
    struct stat directory;
    struct stat file;
    int fd = -1;
    if (mdb_env_get_fd(env->env, &fd) != 0 || fstat(env->directory_fd, &directory) != 0 ||
        fstat(fd, &file) != 0)
        return cannot(env, "examine", DATA_FILE, error);
    env->directory_inode = inode_of(&directory);
    env->file_inode = inode_of(&file);
    return lmdb_env_is_in_place(env, error);
}

static bool open_environment(struct lmdb_env *env, size_t map_size_bytes, char error[ERROR_BYTES])
{
    int rc = mdb_env_create(&env->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(env->env, LMDB_ENV_TABLES_MAX);
    if (rc == 0)
        rc = mdb_env_set_mapsize(env->env, map_size_bytes);
    if (rc == 0)
        rc = mdb_env_set_userctx(env->env, env);
    if (rc == 0)
        rc = mdb_env_set_assert(env->env, end_damaged);
    if (rc == 0)
        rc = mdb_env_open(env->env, env->directory, 0, 0600);
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED || rc == MDB_PANIC)
        return fail(error, "the store %s is damaged: %s", env->directory, mdb_strerror(rc));
    if (rc != 0)
        return fail(error, "cannot open the store %s: %s", env->directory, mdb_strerror(rc));
    unsigned flags = 0;
    mdb_env_get_flags(env->env, &flags);
    assert((flags & (MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_MAPASYNC | MDB_NOLOCK)) == 0);
    return true;
}

int64_t lmdb_env_new_bytes(void)
{
    const int64_t most = 32768; /* LMDB's largest page */
    int64_t page = sysconf(_SC_PAGESIZE);
    return 2 * (page < most ? page : most);
}

/* A marker that somebody removed is made anew. */
static bool mark_as_made(struct lmdb_env *env, char error[ERROR_BYTES])
{
    if (env->was_made && env->marker_fd >= 0)
        return true;
    CRASH_POINT(before_mark);
    if (env->marker_fd < 0 && !make_marker(env, error))
        return false;
    errno = ENOSPC; /* what it means where nothing is written and nothing said */
    if (pwrite(env->marker_fd, "1", 1, 0) == 1 && fsync(env->marker_fd) == 0)
        return true;
    return cannot(env, "write", MARKER_FILE, error);
}

/* LMDB takes an empty file for a new store. That is right after a first start that ended at once,
 * and wrong where there was a store. */
static bool check_not_emptied(const struct lmdb_env *env, int64_t bytes, char error[ERROR_BYTES])
{
    if (bytes > 0 || !env->was_made)
        return true;
    return fail(error, "the store %s is damaged: " DATA_FILE " is empty or gone", env->directory);
}

/* A first start that died may leave less than LMDB's first pages. Nothing was ever stored there, so
 * it begins anew. */
static bool begin_anew(const struct lmdb_env *env, int fd, int64_t *bytes, char error[ERROR_BYTES])
{
    if (env->was_made || *bytes > lmdb_env_new_bytes())
        return true;
    if (ftruncate(fd, 0) != 0)
        return cannot(env, "write", DATA_FILE, error);
    *bytes = 0;
    return true;
}

static bool check_pages(struct lmdb_env *env, int fd, uint64_t check_bytes, char error[ERROR_BYTES])
{
    char why[LMDB_PAGES_ERROR_BYTES];
    struct lmdb_pages_found found;
    env->checked = LMDB_PAGES_RECORDS;
    if (!lmdb_pages_check_file(fd, check_bytes, &env->checked, &found, why))
        return fail(error, "the store %s is damaged: " DATA_FILE ": %s", env->directory, why);
    env->has_finished_commit = found.unfinished.txn > 0;
    if (!env->has_finished_commit || lmdb_pages_finish(fd, &found.unfinished))
        return true;
    return cannot(env, "write", DATA_FILE, error);
}

/* What a node that died had written may be in memory alone. It is on disk before anything is told
 * of it, and before a page that it leaves free is written anew. */
static bool sync_old_file(const struct lmdb_env *env, int fd, char error[ERROR_BYTES])
{
    if (fsync(fd) == 0)
        return true;
    return cannot(env, "sync", DATA_FILE, error);
}

/* What there is, before LMDB sees it. The file is locked while it is looked at and mended, as it
 * may have a name in another directory too. */
static bool check_file(struct lmdb_env *env, uint64_t check_bytes, char error[ERROR_BYTES])
{
    struct stat file = {.st_size = 0};
    int fd = openat(env->directory_fd, DATA_FILE, O_RDWR | O_CLOEXEC);
    if ((fd < 0 && errno != ENOENT) || (fd >= 0 && fstat(fd, &file) != 0)) {
        cannot(env, "open", DATA_FILE, error);
        if (fd >= 0)
            close(fd);
        return false;
    }
    int64_t bytes = file.st_size;
    bool is_fine = fd < 0 || lock(env, fd, DATA_FILE, error);
    is_fine = is_fine && check_not_emptied(env, bytes, error);
    if (is_fine && bytes > 0)
        is_fine = begin_anew(env, fd, &bytes, error);
    if (is_fine && bytes > 0)
        is_fine = check_pages(env, fd, check_bytes, error) && sync_old_file(env, fd, error);
    env->is_new = bytes == 0;
    if (fd >= 0)
        close(fd);
    return is_fine;
}

/* LMDB's first pages are on disk before anything is written behind them: so a file that is longer
 * has them. */
static bool sync_new_file(const struct lmdb_env *env, char error[ERROR_BYTES])
{
    int fd;
    if (!env->is_new || (mdb_env_get_fd(env->env, &fd) == 0 && fsync(fd) == 0))
        return true;
    return cannot(env, "sync", DATA_FILE, error);
}

bool lmdb_env_open(struct lmdb_env *out, const char *directory, size_t map_size_bytes,
                   uint64_t check_bytes, char error[ERROR_BYTES])
{
    *out = (struct lmdb_env){
        .directory = directory, .directory_fd = -1, .marker_fd = -1, .place.fd = -1};
    if (lock_directory(out, error) && find_marker(out, error) &&
        check_file(out, check_bytes, error) && open_environment(out, map_size_bytes, error) &&
        lock_file(out, error) && note_place(out, error) && sync_new_file(out, error) &&
        open_tables(out, error) && sync_directories(out, error) && mark_as_made(out, error))
        return true;
    lmdb_env_close(out);
    return false;
}

void lmdb_env_close(struct lmdb_env *env)
{
    if (env->env != NULL)
        mdb_env_close(env->env);
    place_watch_close(&env->place);
    if (env->marker_fd >= 0)
        close(env->marker_fd);
    if (env->directory_fd >= 0)
        close(env->directory_fd);
    env->env = NULL;
    env->marker_fd = env->directory_fd = -1;
}

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

bool lmdb_env_has_no_room(const struct lmdb_env *env)
{
    static const char zeros[PROBE_STEP_BYTES];
    off_t at = (off_t)lmdb_env_bytes(env);
    int fd = openat(env->directory_fd, PROBE_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool no_room = fd < 0 && is_no_space(errno);
    if (fd >= 0) /* at once: whatever ends the node, the room that is taken here comes back */
        unlinkat(env->directory_fd, PROBE_FILE, 0);
    for (size_t done = 0; fd >= 0 && !no_room && done < PROBE_BYTES; done += sizeof zeros) {
        ssize_t written = pwrite(fd, zeros, sizeof zeros, at + (off_t)done);
        if (written < 0 && !is_no_space(errno))
            break;
        no_room = written < (ssize_t)sizeof zeros;
    }
    CRASH_POINT(probing_for_room);
    if (fd >= 0)
        close(fd);
    return no_room;
}

enum store_result lmdb_write_result(const struct lmdb_env *env, int rc)
{
    switch (rc) {
    case 0:
        return STORE_OK;
    case EIO: /* a short write too */
        return lmdb_env_has_no_room(env) ? STORE_FULL : STORE_BROKEN;
    case MDB_PANIC:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return STORE_BROKEN;
    default:
        return is_no_space(rc) ? STORE_FULL : STORE_FAILED;
    }
}

enum store_result lmdb_commit_failed(const struct lmdb_env *env, int rc)
{
    MDB_txn *txn;
    CRASH_POINT(commit_failed);
    if (mdb_txn_begin(env->env, NULL, 0, &txn) == MDB_PANIC)
        return STORE_BROKEN;
    mdb_txn_abort(txn);
    return lmdb_write_result(env, rc);
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

int lmdb_put(MDB_txn *txn, MDB_dbi table, struct text key, const struct record *record)
{
    MDB_val k = lmdb_val(key);
    MDB_val v = {record->len, (void *)(uintptr_t)record->bytes};
    return mdb_put(txn, table, &k, &v, 0);
}

static int put_with(MDB_txn *txn, MDB_dbi table, MDB_cursor **cursor, struct text key,
                    const struct record *record, unsigned flags)
{
    MDB_val k = lmdb_val(key);
    MDB_val v = {record->len, (void *)(uintptr_t)record->bytes};
    int rc = *cursor == NULL ? mdb_cursor_open(txn, table, cursor) : 0;
    return rc == 0 ? mdb_cursor_put(*cursor, &k, &v, flags) : rc;
}

int lmdb_append(MDB_txn *txn, MDB_dbi table, MDB_cursor **end, struct text key,
                const struct record *record)
{
    return put_with(txn, table, end, key, record, MDB_APPEND);
}

int lmdb_put_near(MDB_txn *txn, MDB_dbi table, MDB_cursor **near, struct text key,
                  const struct record *record)
{
    return put_with(txn, table, near, key, record, 0);
}

int lmdb_delete(MDB_txn *txn, MDB_dbi table, struct text key)
{
    MDB_val k = lmdb_val(key);
    int rc = mdb_del(txn, table, &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
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

bool lmdb_key_rest(struct text key, const struct key *prefix, struct text *rest)
{
    if (key.len < prefix->len || memcmp(key.data, prefix->bytes, prefix->len) != 0)
        return false;
    *rest = (struct text){key.data + prefix->len, key.len - prefix->len};
    return true;
}
