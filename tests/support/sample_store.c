#include "tests/support/sample_store.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRODUCTS 5u
#define BATCHES 60u
#define IDS_KEPT 100000u

/* ---- a directory ---- */

void sample_directory_make(char out[128])
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || strlen(parent) > 90)
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(out, 128, "%s/sample_store.XXXXXX", parent);
    char *made = mkdtemp(out);
    assert(made != NULL);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void sample_directory_remove(const char *directory)
{
    int rc = nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    assert(rc == 0);
}

/* Zeros are left out, as most of a journal's file is. */
static void copy_file(int from, int to, const char *name)
{
    static char bytes[64 * 1024];
    static const char zeros[sizeof bytes];
    struct stat status;
    ssize_t got = 0;
    int in = openat(from, name, O_RDONLY | O_CLOEXEC);
    int out = openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_done = in >= 0 && out >= 0 && fstat(in, &status) == 0;
    for (off_t at = 0; is_done && (got = pread(in, bytes, sizeof bytes, at)) > 0; at += got)
        is_done =
            memcmp(bytes, zeros, (size_t)got) == 0 || pwrite(out, bytes, (size_t)got, at) == got;
    is_done = is_done && got == 0 && ftruncate(out, status.st_size) == 0;
    assert(is_done);
    close(in);
    close(out);
}

static void for_each_name(int directory, int other, void (*act)(int, int, const char *))
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    assert(names != NULL);
    while ((entry = readdir(names)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            act(directory, other, entry->d_name);
    closedir(names);
}

static void copy_entry(int from, int to, const char *name)
{
    struct stat status;
    int rc = fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW);
    assert(rc == 0);
    if (!S_ISDIR(status.st_mode)) {
        copy_file(from, to, name);
        return;
    }
    int inner_from = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = mkdirat(to, name, 0700);
    int inner_to = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(rc == 0 && inner_from >= 0 && inner_to >= 0);
    for_each_name(inner_from, inner_to, copy_entry);
    close(inner_from);
    close(inner_to);
}

void sample_directory_copy(const char *from, const char *to)
{
    sample_directory_remove(to);
    int rc = mkdir(to, 0700);
    int from_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(rc == 0 && from_fd >= 0 && to_fd >= 0);
    for_each_name(from_fd, to_fd, copy_entry);
    close(from_fd);
    close(to_fd);
}

/* ---- talking ---- */

uint64_t sample_events_behind = SAMPLE_EVENTS_BEHIND;

bool sample_open(struct sample *sample, const char *directory, uint64_t check_bytes)
{
    const struct lmdb_store_options options = {.directory = directory,
                                               .map_size_bytes = SAMPLE_MAP_BYTES,
                                               .cache_bytes = (size_t)1 << 20,
                                               .check_bytes = check_bytes,
                                               .events_behind = sample_events_behind,
                                               .ids_kept = IDS_KEPT};
    *sample = (struct sample){.codec = codec_new()};
    assert(sample->codec != NULL);
    sample->store = lmdb_store_open(&options, sample->error);
    if (sample->store == NULL)
        return false;
    sample->fakes =
        fake_parts_new(lmdb_store_unit(sample->store), lmdb_store_reader(sample->store));
    return true;
}

void sample_close(struct sample *sample)
{
    if (sample->fakes != NULL)
        fake_parts_destroy(&sample->fakes);
    lmdb_store_close(&sample->store);
    codec_destroy(&sample->codec);
    notation_release(&sample->reply);
}

const char *sample_ask(struct sample *sample, const char *line)
{
    struct bus *bus = sample->fakes->bus;
    struct request request = build_request(line);
    bus_handle(bus, &request, NULL);
    if (bus_commit(bus) == STORE_BROKEN)
        return NULL;
    bus_publish(bus);
    notation_clear(&sample->reply);
    notation_add_reply(&sample->reply, bus_reply(bus, 0), sample->codec);
    bus_end_group(bus);
    fake_publisher_clear(&sample->fakes->publisher);
    return notation_text(&sample->reply);
}

/* ---- lines ---- */

void sample_lines_add(struct sample_lines *lines, const char *format, ...)
{
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity > 0 ? 2 * lines->capacity : 256;
        lines->items = realloc(lines->items, lines->capacity * sizeof *lines->items);
        assert(lines->items != NULL);
    }
    va_list args;
    va_start(args, format);
    int length = vasprintf(&lines->items[lines->count], format, args);
    va_end(args);
    assert(length >= 0);
    lines->count++;
}

void sample_lines_release(struct sample_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->items[i]);
    free(lines->items);
    *lines = (struct sample_lines){NULL, 0, 0};
}

/* ---- the store ---- */

void sample_commands(struct sample_lines *out, unsigned orders)
{
    for (unsigned i = 0; i < BATCHES; i++) {
        const char *eta = i % 3 == 0 ? "-" : i % 3 == 1 ? "2030-01-31" : "2029-12-01";
        sample_lines_add(out, "CreateBatch batch-%u P%u %u %s id=create-%u", i, i % PRODUCTS,
                         1 + i % 40, eta, i);
    }
    for (unsigned i = 0; i < orders; i++) {
        sample_lines_add(out, "Allocate order-%u P%u %u id=allocate-%u", i, i % PRODUCTS, 1 + i % 7,
                         i);
        if (i % 5 == 4)
            sample_lines_add(out, "Deallocate order-%u P%u", i - 3, (i - 3) % PRODUCTS);
        if (i % 11 == 10) /* some of its lines move, or wait */
            sample_lines_add(out, "ChangeBatchQuantity batch-%u %u id=change-%u", i % BATCHES,
                             i % 13, i);
        if (i % 17 == 16)
            sample_lines_add(out, "ChangeBatchEta batch-%u 2031-05-%02u", i * 7 % BATCHES,
                             1 + i % 28);
        if (i % 19 == 18) /* stock for more of them */
            sample_lines_add(out, "CreateBatch more-%u P%u 25", i, i % PRODUCTS);
    }
    sample_lines_add(out, "ChangeBatchQuantity batch-0 0 id=empty");
    sample_lines_add(out, "ChangeBatchQuantity batch-5 0");
    sample_lines_add(out, "Allocate order-x P0 1000000 id=too-much");
    sample_lines_add(out, "Allocate order-x NONE 1 id=no-product");
}

void sample_make(const char *directory, const struct sample_lines *commands)
{
    struct sample sample;
    bool is_open = sample_open(&sample, directory, UINT64_MAX);
    assert(is_open);
    for (size_t i = 0; i < commands->count; i++) {
        const char *reply = sample_ask(&sample, commands->items[i]);
        assert(reply != NULL);
    }
    sample_close(&sample);
}
