#include "tests/faults/power_loss_trace.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY "."
#define ABOVE ".."

/* What an open of the process at hand is about. */
struct opened {
    const char *name;
    bool writes_sync;
};

struct reading {
    struct trace *trace;
    size_t capacity;
    char directory[PATH_MAX]; /* the first one that was opened; "" before that */
    struct opened *opens;
    size_t open_count;
    bool is_new_process;
};

static void die(const char *path, const char *why)
{
    fprintf(stderr, "power_loss: %s: %s\n", path, why);
    exit(2);
}

static void *grown(void *items, size_t count, size_t size)
{
    void *more = realloc(items, count * size);
    if (more == NULL)
        die("trace", "no memory");
    return more;
}

static unsigned char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        die(path, "cannot be read");
    long end = ftell(file);
    unsigned char *bytes = grown(NULL, (size_t)end + 1, 1);
    rewind(file);
    *len = fread(bytes, 1, (size_t)end, file);
    if (*len != (size_t)end)
        die(path, "cannot be read");
    fclose(file);
    return bytes;
}

/* The name within the directory. The text behind it lives as long as the program. */
static const char *name_of(struct reading *reading, const unsigned char *path, size_t len)
{
    size_t directory_len = strlen(reading->directory);
    if (directory_len == 0) {
        if (len >= sizeof reading->directory)
            die("trace", "its directory has too long a path");
        memcpy(reading->directory, path, len);
        return DIRECTORY;
    }
    if (len < directory_len || memcmp(path, reading->directory, directory_len) != 0)
        return ABOVE;
    if (len == directory_len)
        return DIRECTORY;
    static const char *const names[] = {"data.mdb", "lock.mdb", "node.lock", "probe.tmp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t name_len = strlen(names[i]);
        if (len == directory_len + 1 + name_len &&
            memcmp(path + directory_len + 1, names[i], name_len) == 0)
            return names[i];
    }
    die("trace", "it has a file that the replayer does not know");
    return NULL;
}

static void note_open(struct reading *reading, const struct trace_head *head,
                      const unsigned char *bytes)
{
    if (head->opened >= reading->open_count) {
        size_t count = head->opened + 1;
        reading->opens = grown(reading->opens, count, sizeof *reading->opens);
        memset(reading->opens + reading->open_count, 0,
               (count - reading->open_count) * sizeof *reading->opens);
        reading->open_count = count;
    }
    reading->opens[head->opened] =
        (struct opened){name_of(reading, bytes, (size_t)head->len), (head->at & O_DSYNC) != 0};
}

static void add_entry(struct reading *reading, const struct trace_head *head,
                      const unsigned char *bytes)
{
    struct trace *trace = reading->trace;
    struct trace_entry entry = {(enum trace_kind)head->kind,
                                NULL,
                                false,
                                reading->is_new_process,
                                head->at,
                                bytes,
                                (size_t)head->len};
    if (entry.kind == TRACE_OPENED)
        note_open(reading, head, bytes);
    if (entry.kind == TRACE_UNLINKED) {
        char path[PATH_MAX];
        int len = snprintf(path, sizeof path, "%s/%.*s", reading->directory, (int)head->len,
                           (const char *)bytes);
        entry.name = name_of(reading, (const unsigned char *)path, (size_t)len);
    } else if (entry.kind != TRACE_SENT) {
        if (head->opened == 0 || head->opened >= reading->open_count)
            die("trace", "it is about a file that was never opened");
        entry.name = reading->opens[head->opened].name;
        entry.writes_sync = reading->opens[head->opened].writes_sync;
    }
    /* The locks of LMDB are made anew at each first open, whatever they hold. */
    if (entry.name != NULL && strcmp(entry.name, "lock.mdb") == 0)
        return;
    if (trace->count == reading->capacity) {
        reading->capacity = reading->capacity > 0 ? 2 * reading->capacity : 1024;
        trace->entries = grown(trace->entries, reading->capacity, sizeof *trace->entries);
    }
    trace->entries[trace->count++] = entry;
    reading->is_new_process = false;
}

static void read_entries(struct reading *reading, const char *path, const unsigned char *bytes,
                         size_t len)
{
    struct trace_head head;
    for (size_t at = 0; at + sizeof head <= len; at += sizeof head + head.len) {
        memcpy(&head, bytes + at, sizeof head);
        if (head.kind >= TRACE_KINDS)
            die(path, "is no trace");
        if (head.len > len - at - sizeof head)
            return;
        add_entry(reading, &head, bytes + at + sizeof head);
    }
}

struct trace trace_read(char *const *paths, size_t count)
{
    struct trace trace = {.files = grown(NULL, count, sizeof(unsigned char *))};
    struct reading reading = {.trace = &trace};
    for (; trace.file_count < count; trace.file_count++) {
        size_t len;
        unsigned char *bytes = read_file(paths[trace.file_count], &len);
        trace.files[trace.file_count] = bytes;
        reading.open_count = 0;
        reading.is_new_process = true;
        read_entries(&reading, paths[trace.file_count], bytes, len);
    }
    free(reading.opens);
    return trace;
}

void trace_release(struct trace *trace)
{
    for (size_t i = 0; i < trace->file_count; i++)
        free(trace->files[i]);
    free(trace->files);
    free(trace->entries);
    *trace = (struct trace){0};
}
