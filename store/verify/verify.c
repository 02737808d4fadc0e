#include "store/verify/verify.h"

#include "store/journal/file.h"
#include "store/verify/inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What stands in the directory. */
enum files { FILES_WRONG, FILES_NOTHING_STORED, FILES_STORE };

/* ---- the directory, as it is ---- */

static enum files say(FILE *out, const char *path, const char *what)
{
    fprintf(out, "files: %s %s\n", path, what);
    return FILES_WRONG;
}

/* What cannot be listed is not called empty. */
static bool is_empty(int directory_fd)
{
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    size_t entries = 0;
    errno = 0;
    while (directory != NULL && readdir(directory) != NULL)
        entries++;
    bool is_listed = directory != NULL && errno == 0;
    if (directory != NULL)
        closedir(directory);
    else if (fd >= 0)
        close(fd);
    return is_listed && entries <= 2; /* "." and ".." */
}

/* What a start would find there, by the same rules: where there are files and no marker, somebody
 * removed it. */
static enum files look(const char *path, FILE *out)
{
    struct stat marker;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return say(out, path, errno == ENOENT ? "is not there" : strerror(errno));
    enum files found = FILES_STORE;
    if (fstatat(fd, DIRECTORY_MARKER, &marker, 0) == 0)
        found = marker.st_size > 0 ? FILES_STORE : FILES_NOTHING_STORED;
    else if (errno != ENOENT)
        found = say(out, path, strerror(errno));
    else if (fstatat(fd, DIRECTORY_JOURNAL, &marker, 0) != 0 && errno == ENOENT &&
             fstatat(fd, DIRECTORY_TABLES, &marker, 0) != 0 && errno == ENOENT &&
             fstatat(fd, DIRECTORY_READERS, &marker, 0) != 0 && errno == ENOENT)
        found =
            is_empty(fd) ? FILES_NOTHING_STORED : say(out, path, "is not the directory of a store");
    close(fd);
    return found;
}

/* ---- what is in it ---- */

static void look_at_tables(struct verify *v, size_t map_size_bytes)
{
    struct verify_check check = {"pages", 0};
    struct lmdb_pages_found found = {0};
    char error[ERROR_BYTES];
    verify_turn_to(v, &check);
    v->has_tables = store_look_at_tables(v->store, map_size_bytes, &found, error) == STORE_OK;
    if (!v->has_tables)
        verify_finding(v, "%s", error);
    verify_end(v, "%" PRIu64 " used, %" PRIu64 " free, %" PRIu64 " forgotten", found.used,
               found.free, found.unused);
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
    verify_table_release(&v->replies.kept);
    verify_table_release(&v->replies.ids);
    lmdb_store_close(&v->store);
}

/* False: it is in use, or its journal cannot be opened. */
static bool open_store(struct verify *v, const char *directory, size_t map_size_bytes)
{
    struct verify_check check = {"journal", 0};
    char error[ERROR_BYTES];
    struct lmdb_store_options options = {.directory = directory,
                                         .map_size_bytes = map_size_bytes,
                                         .cache_bytes = (size_t)1 << 26,
                                         .ids_kept = LMDB_STORE_IDS_MAX};
    verify_turn_to(v, &check);
    v->store = store_look(&options, error);
    if (v->store == NULL)
        verify_finding(v, "%s", error);
    else if (lmdb_store_has_cut(v->store))
        fprintf(v->out, "journal: it ends in what was not written to its end, and was never "
                        "answered: the next start cuts that off\n");
    return v->store != NULL;
}

static void verify_store(struct verify *v, const char *directory, size_t map_size_bytes)
{
    if (open_store(v, directory, map_size_bytes)) {
        look_at_tables(v, map_size_bytes);
        verify_log(v);
        verify_replies_end(v);
        if (v->has_tables)
            verify_tables(v);
    }
    release(v);
    if (v->no_memory) {
        v->findings++;
        fprintf(v->out, "memory: there was not enough to look at everything\n");
    }
}

bool lmdb_verify(const char *directory, size_t map_size_bytes, FILE *out)
{
    struct verify v = {.out = out, .log_check = {"events", 0}, .reply_check = {"replies", 0}};
    enum files found = look(directory, out);
    if (found == FILES_STORE)
        verify_store(&v, directory, map_size_bytes);
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
