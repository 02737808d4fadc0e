#include "store/verify/verify.h"

#include "store/verify/inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What stands in the directory. */
enum files { FILES_WRONG, FILES_NOTHING_STORED, FILES_STORE };

struct directory {
    const char *path;
    int fd;
    int data_fd; /* -1: there is no such file */
};

/* ---- the directory, as it is ---- */

static enum files say(FILE *out, const char *path, const char *what)
{
    fprintf(out, "files: %s %s\n", path, what);
    return FILES_WRONG;
}

static bool is_empty(const struct directory *d)
{
    int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    size_t entries = 0;
    while (directory != NULL && readdir(directory) != NULL)
        entries++;
    if (directory != NULL)
        closedir(directory);
    return entries <= 2; /* "." and ".." */
}

static enum files lock_one(const struct directory *d, int fd, FILE *out)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return FILES_STORE;
    return say(out, d->path,
               errno == EWOULDBLOCK ? "is in use by a node: stop it first" : strerror(errno));
}

/* Takes the locks of a node (store/lmdb/env.h). */
static enum files lock(struct directory *d, FILE *out)
{
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0)
        return say(out, d->path, errno == ENOENT ? "is not there" : strerror(errno));
    if (lock_one(d, d->fd, out) != FILES_STORE)
        return FILES_WRONG;
    d->data_fd = openat(d->fd, LMDB_ENV_DATA_FILE, O_RDONLY | O_CLOEXEC);
    if (d->data_fd >= 0)
        return lock_one(d, d->data_fd, out);
    return errno == ENOENT ? FILES_STORE : say(out, d->path, "cannot be locked");
}

/* The bytes of a file, -1 where there is none. False: it cannot be examined. */
static bool size_at(const struct directory *d, const char *name, off_t *out)
{
    struct stat file;
    if (fstatat(d->fd, name, &file, 0) == 0)
        *out = file.st_size;
    else if (errno == ENOENT)
        *out = -1;
    else
        return false;
    return true;
}

/* What a start would find there, by the same rules: where there are files and no marker, somebody
 * removed it. */
static enum files look(struct directory *d, FILE *out)
{
    off_t data;
    off_t marker;
    off_t readers;
    enum files found = lock(d, out);
    if (found != FILES_STORE)
        return found;
    if (!size_at(d, LMDB_ENV_DATA_FILE, &data) || !size_at(d, LMDB_ENV_MARKER_FILE, &marker) ||
        !size_at(d, LMDB_ENV_READERS_FILE, &readers))
        return say(out, d->path, strerror(errno));
    if (marker == 0 && data <= lmdb_env_new_bytes())
        return FILES_NOTHING_STORED;
    if (marker < 0 && data < 0 && readers < 0)
        return is_empty(d) ? FILES_NOTHING_STORED
                           : say(out, d->path, "is not the directory of a store");
    if (data <= 0)
        return say(out, d->path, "had a store, and " LMDB_ENV_DATA_FILE " is empty or gone");
    return FILES_STORE;
}

static void leave(struct directory *d)
{
    if (d->data_fd >= 0)
        close(d->data_fd);
    if (d->fd >= 0)
        close(d->fd);
}

/* ---- the environment, for reading ---- */

static bool fail(struct verify *v, int rc)
{
    verify_finding(v, "it cannot be opened: %s", mdb_strerror(rc));
    return false;
}

static bool copy_bytes(int from, int to)
{
    char bytes[65536];
    ssize_t len;
    while ((len = read(from, bytes, sizeof bytes)) > 0) {
        if (write(to, bytes, (size_t)len) != len)
            return false;
    }
    return len == 0;
}

/* A copy of the file, in memory, in which the commit is finished. Less than 0: there is no room. */
static int finish_in_memory(struct verify *v, int fd,
                            const struct lmdb_pages_unfinished *unfinished)
{
    int copy = memfd_create(LMDB_ENV_DATA_FILE, MFD_CLOEXEC);
    if (copy >= 0 && copy_bytes(fd, copy) && lmdb_pages_finish(copy, unfinished))
        return copy;
    if (copy >= 0)
        close(copy);
    v->no_memory = true;
    return -1;
}

/* Before LMDB believes them. Records are looked at later, each by itself. *finished: where a commit
 * was cut off, a descriptor of a copy in which it is not; else -1. */
static bool check_pages(struct verify *v, int directory_fd, int *finished)
{
    struct verify_check check = {"pages", 0};
    enum lmdb_pages_depth depth = LMDB_PAGES_STRUCTURE;
    struct lmdb_pages_found found = {0};
    char error[LMDB_PAGES_ERROR_BYTES];
    int fd = openat(directory_fd, LMDB_ENV_DATA_FILE, O_RDONLY | O_CLOEXEC);
    *finished = -1;
    verify_turn_to(v, &check);
    if (fd < 0) {
        verify_finding(v, "%s", strerror(errno));
    } else if (!lmdb_pages_check_file(fd, UINT64_MAX, &depth, &found, error)) {
        verify_finding(v, "%s", error);
    } else if (found.unfinished.txn > 0) {
        fprintf(v->out, "pages: a commit was cut off, and the next start will finish it\n");
        *finished = finish_in_memory(v, fd, &found.unfinished);
    }
    if (fd >= 0)
        close(fd);
    verify_end(v, "%" PRIu64 " used, %" PRIu64 " free, %" PRIu64 " forgotten", found.used,
               found.free, found.unused);
    return v->findings == 0 && !v->no_memory;
}

/* `finished`: a descriptor of the file, or -1 where it is the one in the directory. */
static bool open_environment(struct verify *v, const char *directory, int finished,
                             size_t map_size_bytes)
{
    char path[64];
    unsigned flags = MDB_RDONLY | MDB_NOLOCK | (finished >= 0 ? MDB_NOSUBDIR : 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", finished);
    int rc = mdb_env_create(&v->env.env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(v->env.env, LMDB_ENV_TABLES_MAX);
    if (rc == 0)
        rc = mdb_env_set_mapsize(v->env.env, map_size_bytes);
    if (rc == 0)
        rc = mdb_env_open(v->env.env, finished >= 0 ? path : directory, flags, 0600);
    if (rc != 0)
        return fail(v, rc);
    rc = mdb_txn_begin(v->env.env, NULL, MDB_RDONLY, &v->txn);
    return rc == 0 || fail(v, rc);
}

/* *made: how many tables there are. A first start makes all or none. */
static bool open_tables(struct verify *v, size_t *made)
{
    int rc = 0;
    *made = 0;
#define TABLE(name, flags, what)                                                                   \
    if (rc == 0) {                                                                                 \
        rc = mdb_dbi_open(v->txn, #name, flags, &v->env.name);                                     \
        *made += rc == 0;                                                                          \
        rc = rc == MDB_NOTFOUND ? 0 : rc;                                                          \
    }
    LMDB_TABLES(TABLE)
#undef TABLE
    if (rc == 0 && (*made == 0 || *made == LMDB_ENV_TABLES))
        return true;
    verify_finding(v, "%zu of its %zu tables can be opened", *made, (size_t)LMDB_ENV_TABLES);
    return false;
}

static bool read_counters(struct verify *v)
{
    struct text key = text_of(LMDB_META_KEY);
    struct text value;
    enum store_result result = lmdb_get(v->txn, v->env.meta, key, &value);
    if (result == STORE_NOT_FOUND) /* no event yet; if there is one, it contradicts them */
        return true;
    if (result == STORE_OK && record_get_meta(key, value, &v->meta))
        return true;
    verify_finding(v, "the counters are damaged");
    return false;
}

/* ---- all of it ---- */

static void verify_contents(struct verify *v)
{
    bool has_counters = read_counters(v);
    verify_end(v, "%d", (int)LMDB_ENV_TABLES);
    if (!has_counters)
        return;
    verify_tables_begin(v);
    verify_replies_begin(v);
    verify_log(v);
    verify_replies_end(v);
    verify_tables(v);
}

static void release(struct verify *v)
{
    while (v->displaced != NULL) {
        struct seen_line *line = v->displaced;
        v->displaced = line->older;
        free(line);
    }
    verify_table_release(&v->products);
    verify_table_release(&v->batches);
    verify_table_release(&v->lines);
    verify_table_release(&v->moves);
    if (v->txn != NULL)
        mdb_txn_abort(v->txn);
    if (v->env.env != NULL)
        mdb_env_close(v->env.env);
    codec_destroy(&v->codec);
}

static void verify_tables_of(struct verify *v, const char *directory, int finished,
                             size_t map_size_bytes)
{
    struct verify_check tables = {"tables", 0};
    size_t made = 0;
    verify_turn_to(v, &tables);
    if (open_environment(v, directory, finished, map_size_bytes) && open_tables(v, &made) &&
        made > 0)
        verify_contents(v);
    else
        verify_end(v, "%zu", made);
}

static void verify_store(struct verify *v, const struct directory *d, size_t map_size_bytes)
{
    int finished = -1;
    v->codec = codec_new();
    if (v->codec == NULL)
        v->no_memory = true;
    else if (check_pages(v, d->fd, &finished))
        verify_tables_of(v, d->path, finished, map_size_bytes);
    release(v);
    if (finished >= 0)
        close(finished);
    if (v->no_memory) {
        v->findings++;
        fprintf(v->out, "memory: there was not enough to look at everything\n");
    }
}

bool lmdb_verify(const char *directory, size_t map_size_bytes, FILE *out)
{
    struct directory d = {directory, -1, -1};
    struct verify v = {.out = out, .log_check = {"events", 0}, .reply_check = {"replies", 0}};
    enum files found = look(&d, out);
    if (found == FILES_STORE)
        verify_store(&v, &d, map_size_bytes);
    leave(&d);
    if (found == FILES_WRONG)
        return false;
    if (found == FILES_NOTHING_STORED)
        fprintf(out, "files: nothing is stored yet: ok\n");
    if (v.findings == 0)
        fprintf(out, "the store %s is whole\n", directory);
    else
        fprintf(out, "the store %s is damaged: %" PRIu64 " finding%s\n", directory, v.findings,
                v.findings == 1 ? "" : "s");
    return v.findings == 0;
}
