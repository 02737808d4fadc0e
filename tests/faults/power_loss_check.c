/* What a cut left: read as it is, started on a copy, and read again. */
#include "store/hash.h"
#include "store/journal/file.h"
#include "store/lmdb/store.h"
#include "store/verify/verify.h"
#include "tests/faults/power_loss_disk.h"
#include "tests/faults/power_loss_inside.h"
#include "tests/support/build.h"
#include "tests/support/fake_parts.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_BYTES ((size_t)256 * 1024 * 1024)
#define FEW_BEHIND 40u /* events: a start writes rounds on its way */
#define MANY_BEHIND 100000u

/* ---- reading a journal ---- */

static void add_entry(struct oracle_entries *entries, const struct journal_entry *entry)
{
    if (entries->count == entries->capacity) {
        entries->capacity = entries->capacity > 0 ? 2 * entries->capacity : 256;
        entries->items = realloc(entries->items, entries->capacity * sizeof *entries->items);
        assert(entries->items != NULL);
    }
    entries->items[entries->count++] =
        (struct oracle_entry){entry->number, entry->first_seq, entry->events,
                              hash_bytes(entry->body.data, entry->body.len, entry->time_ms)};
}

static bool read_entries(struct journal *journal, struct oracle_entries *out,
                         power_loss_entry_seen *seen, void *context, char error[ERROR_BYTES])
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    enum store_result result = journal_read_begin(journal, JOURNAL_BY_NUMBER, 1, &cursor);
    while (result == STORE_OK && (result = journal_read_next(cursor, &entry)) == STORE_OK) {
        add_entry(out, &entry);
        if (seen != NULL && !seen(context, &entry))
            result = STORE_DAMAGED;
    }
    journal_read_end(&cursor);
    snprintf(error, ERROR_BYTES, "entry %zu cannot be read", out->count);
    return result == STORE_NOT_FOUND && out->count == journal_newest(journal);
}

bool power_loss_read_journal(const char *directory, struct oracle_entries *out,
                             power_loss_entry_seen *seen, void *context, char error[ERROR_BYTES])
{
    const struct journal_file_options options = {.directory = directory,
                                                 .first_bytes = JOURNAL_FIRST_BYTES,
                                                 .largest_bytes = JOURNAL_LARGEST_BYTES,
                                                 .mode = JOURNAL_FILE_READ_ONLY};
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(fd >= 0);
    struct journal *journal = journal_file_open(fd, &options, error);
    bool good = journal != NULL && read_entries(journal, out, seen, context, error);
    journal_file_close(&journal);
    close(fd);
    return good;
}

/* ---- a copy ---- */

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    perror(what);
    exit(2);
}

/* Holes stay holes. */
static void copy_file(int from, const char *name, int to)
{
    static unsigned char bytes[1 << 16];
    int in = openat(from, name, O_RDONLY | O_CLOEXEC);
    int out = openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct stat status = {.st_size = 0};
    must(in >= 0 && out >= 0 && fstat(in, &status) == 0, name);
    off_t at = lseek(in, 0, SEEK_DATA);
    while (at >= 0 && at < status.st_size) {
        off_t end = lseek(in, at, SEEK_HOLE);
        while (at < end) {
            size_t want = end - at < (off_t)sizeof bytes ? (size_t)(end - at) : sizeof bytes;
            must(pread(in, bytes, want, at) == (ssize_t)want &&
                     pwrite(out, bytes, want, at) == (ssize_t)want,
                 name);
            at += (off_t)want;
        }
        at = lseek(in, end, SEEK_DATA);
    }
    must(ftruncate(out, status.st_size) == 0, name);
    close(in);
    close(out);
}

/* Does something to each file in a directory. */
static void for_each(int directory, void (*what)(int directory, const char *name, int other),
                     int other)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    must(list != NULL, "a directory");
    const struct dirent *entry;
    while ((entry = readdir(list)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            what(directory, entry->d_name, other);
    closedir(list);
}

static int open_in(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0, name);
    return fd;
}

static bool is_directory(int directory, const char *name)
{
    struct stat status;
    must(fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0, name);
    return S_ISDIR(status.st_mode);
}

static void copy_one(int from, const char *name, int to)
{
    if (!is_directory(from, name)) {
        copy_file(from, name, to);
        return;
    }
    must(mkdirat(to, name, 0700) == 0, name);
    int inner = open_in(from, name);
    int inner_to = open_in(to, name);
    for_each(inner, copy_file, inner_to);
    close(inner);
    close(inner_to);
}

static void remove_one(int directory, const char *name, int unused)
{
    bool is_inner = is_directory(directory, name);
    if (is_inner) {
        int inner = open_in(directory, name);
        for_each(inner, remove_one, unused);
        close(inner);
    }
    must(unlinkat(directory, name, is_inner ? AT_REMOVEDIR : 0) == 0, name);
}

/* LMDB never syncs its locks: they may be anything. They are made when the marker is on disk. */
static void spoil_locks(int directory, uint64_t chance)
{
    uint64_t locks[1024];
    if (faccessat(directory, "node.lock", F_OK, 0) != 0)
        return;
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        locks[i] = mixed(chance + i);
    int fd = openat(directory, "lock.mdb", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, locks, chance % sizeof locks) >= 0, "lock.mdb");
    close(fd);
}

static void copy_store(const char *directory, const char *copy, uint64_t chance)
{
    int from = open_in(AT_FDCWD, directory);
    int to = open_in(AT_FDCWD, copy);
    for_each(to, remove_one, -1);
    for_each(from, copy_one, to);
    spoil_locks(to, chance);
    close(from);
    close(to);
}

void oracle_keep(const struct oracle *oracle, const char *directory)
{
    copy_store(oracle->directory, directory, 0);
}

bool oracle_begin(struct oracle *oracle, const char *directory)
{
    char error[ERROR_BYTES];
    char *text = NULL;
    size_t len = 0;
    struct oracle_entries found = {0};
    FILE *unread = open_memstream(&text, &len);
    assert(unread != NULL);
    if (power_loss_read_journal(directory, &found, NULL, NULL, error))
        oracle->begin = found.count;
    bool is_whole = lmdb_verify(directory, MAP_BYTES, unread);
    fclose(unread);
    free(text);
    free(found.items);
    return is_whole;
}

/* ---- a start ---- */

static bool take_command(struct lmdb_store *store, FILE *why)
{
    struct fake_parts *fakes = fake_parts_new(lmdb_store_unit(store), lmdb_store_reader(store));
    struct request request = build_request("CreateBatch after-the-cut AFTER-THE-CUT 1 id=after");
    bus_handle(fakes->bus, &request, NULL);
    bool good =
        bus_commit(fakes->bus) == STORE_OK && bus_reply(fakes->bus, 0)->outcome == OUTCOME_DONE;
    if (!good)
        fprintf(why, "one more command was not done\n");
    bus_end_group(fakes->bus);
    fake_parts_destroy(&fakes);
    return good;
}

static bool start(const struct oracle *oracle, const struct oracle_state *state,
                  struct oracle_figures *figures, FILE *why)
{
    char error[ERROR_BYTES];
    const struct lmdb_store_options options = {
        .directory = oracle->copy,
        .map_size_bytes = MAP_BYTES,
        .cache_bytes = MAP_BYTES,
        .events_behind = state->chance % 8 == 0 ? FEW_BEHIND : MANY_BEHIND,
        .ids_kept = 10000,
        .check_bytes = MAP_BYTES};
    struct lmdb_store *store = lmdb_store_open(&options, error);
    if (store == NULL) {
        fprintf(why, "the store does not open: %s\n", error);
        return false;
    }
    const char *rebuilt = lmdb_store_why_rebuilt(store);
    figures->cut += lmdb_store_has_cut(store);
    figures->rebuilt += rebuilt != NULL;
    bool good = rebuilt == NULL || state->makes_tables;
    if (!good)
        fprintf(why, "a start made its tables anew: %s\n", rebuilt);
    if (state->goes_on) {
        figures->went_on++;
        good = take_command(store, why) && good;
    }
    lmdb_store_close(&store);
    return good;
}

/* ---- what is there ---- */

static const struct oracle_doubt *find_doubt(const struct oracle *oracle,
                                             const struct oracle_entry *entry, size_t messages)
{
    for (size_t i = 0; i < oracle->doubt_count; i++) {
        const struct oracle_doubt *doubt = &oracle->doubts[i];
        if (messages <= doubt->messages && oracle_entry_equal(&doubt->entry, entry))
            return doubt;
    }
    return NULL;
}

/* Number of the entry that has to be there. */
static uint64_t promised_by(const struct oracle *oracle, size_t messages)
{
    uint64_t promised = messages > 0 ? oracle->promised[messages - 1] : 0;
    return promised > oracle->begin ? promised : oracle->begin;
}

static bool check_entries(const struct oracle *oracle, const struct oracle_entries *found,
                          size_t messages, struct oracle_figures *figures, FILE *why)
{
    uint64_t promised = promised_by(oracle, messages);
    for (size_t i = 0; i < found->count; i++) {
        if (i < oracle->entries.count &&
            oracle_entry_equal(&found->items[i], &oracle->entries.items[i]))
            continue;
        if (i + 1 < found->count || find_doubt(oracle, &found->items[i], messages) == NULL) {
            fprintf(why, "entry %" PRIu64 " is not that of the run\n", found->items[i].number);
            return false;
        }
        figures->refused++;
    }
    figures->lost += found->count < oracle->entries.count && found->count == promised;
    if (found->count >= promised)
        return true;
    fprintf(why, "%zu entries are stored; what had left is in %" PRIu64 "\n", found->count,
            promised);
    return false;
}

/* After a start: all that was there before it, and no more than the command that it took. */
static bool keeps_all(const struct oracle *oracle, const struct oracle_entries *before,
                      bool went_on, FILE *why)
{
    char error[ERROR_BYTES];
    struct oracle_entries after = {0};
    if (!power_loss_read_journal(oracle->copy, &after, NULL, NULL, error)) {
        fprintf(why, "after a start: %s\n", error);
        free(after.items);
        return false;
    }
    bool good = after.count == before->count + (went_on ? 1 : 0);
    for (size_t i = 0; good && i < before->count; i++)
        good = oracle_entry_equal(&after.items[i], &before->items[i]);
    if (!good)
        fprintf(why, "a start lost or changed what was stored\n");
    free(after.items);
    return good;
}

static bool check_journal(const struct oracle *oracle, const struct oracle_state *state,
                          struct oracle_entries *found, struct oracle_figures *figures, FILE *why)
{
    char error[ERROR_BYTES];
    uint64_t promised = promised_by(oracle, state->messages);
    if (power_loss_read_journal(oracle->directory, found, NULL, NULL, error))
        return check_entries(oracle, found, state->messages, figures, why);
    found->count = 0;
    if (promised == 0)
        return true; /* it is not made yet; a start has to be able to */
    fprintf(why, "what had left is in entry %" PRIu64 "; %s\n", promised, error);
    return false;
}

bool oracle_check(const struct oracle *oracle, const struct oracle_state *state,
                  struct oracle_figures *figures, FILE *why)
{
    struct oracle_entries found = {0};
    bool good = lmdb_verify(oracle->directory, MAP_BYTES, why) || state->makes_tables;
    good = check_journal(oracle, state, &found, figures, why) && good;
    if (good) {
        copy_store(oracle->directory, oracle->copy, state->chance);
        good = start(oracle, state, figures, why) &&
               keeps_all(oracle, &found, state->goes_on, why) &&
               lmdb_verify(oracle->copy, MAP_BYTES, why);
    }
    free(found.items);
    return good;
}
