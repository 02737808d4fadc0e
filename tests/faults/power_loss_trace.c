#include "tests/faults/power_loss_trace.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY "."
#define ABOVE ".."

/* What an open is about. */
struct opened {
    const char *name;
    bool writes_sync;
};

struct reading {
    struct trace *trace;
    size_t capacity;
    char directory[PATH_MAX]; /* the first one that was opened; "" before that */
    struct opened *opens;     /* of all processes */
    size_t first_open;        /* of the process at hand */
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

static const char *intern(struct trace *trace, const char *text, size_t len)
{
    for (size_t i = 0; i < trace->name_count; i++)
        if (strlen(trace->names[i]) == len && memcmp(trace->names[i], text, len) == 0)
            return trace->names[i];
    trace->names = grown(trace->names, trace->name_count + 1, sizeof *trace->names);
    char *name = grown(NULL, len + 1, 1);
    memcpy(name, text, len);
    name[len] = '\0';
    trace->names[trace->name_count++] = name;
    return name;
}

/* The name below the directory. */
static const char *name_of(struct reading *reading, const unsigned char *bytes, size_t len)
{
    const char *path = (const char *)bytes;
    size_t directory_len = strlen(reading->directory);
    if (directory_len == 0) {
        if (len >= sizeof reading->directory)
            die("trace", "its directory has too long a path");
        memcpy(reading->directory, path, len);
        return DIRECTORY;
    }
    if (len < directory_len || memcmp(path, reading->directory, directory_len) != 0)
        return ABOVE;
    if (len <= directory_len + 1) /* or with "/." behind it */
        return DIRECTORY;
    path += directory_len + 1;
    len -= directory_len + 1;
    if (len > 2 && memcmp(path + len - 2, "/.", 2) == 0)
        len -= 2;
    return intern(reading->trace, path, len);
}

static void note_open(struct reading *reading, const struct trace_head *head,
                      const unsigned char *bytes)
{
    size_t index = reading->first_open + head->opened;
    if (index >= reading->open_count) {
        reading->opens = grown(reading->opens, index + 1, sizeof *reading->opens);
        memset(reading->opens + reading->open_count, 0,
               (index + 1 - reading->open_count) * sizeof *reading->opens);
        reading->open_count = index + 1;
    }
    reading->opens[index] =
        (struct opened){name_of(reading, bytes, (size_t)head->len), (head->at & O_DSYNC) != 0};
}

static void note_names(struct reading *reading, struct trace_entry *entry)
{
    const unsigned char *end = memchr(entry->bytes, '\0', entry->len);
    size_t len = end != NULL ? (size_t)(end - entry->bytes) : entry->len;
    entry->name = name_of(reading, entry->bytes, len);
    if (entry->kind != TRACE_RENAMED)
        return;
    if (end == NULL)
        die("trace", "a rename has one name");
    entry->new_name = name_of(reading, end + 1, entry->len - len - 1);
}

static bool is_about_names(enum trace_kind kind)
{
    return kind == TRACE_MADE || kind == TRACE_UNLINKED || kind == TRACE_RENAMED;
}

static void add_entry(struct reading *reading, const struct trace_head *head,
                      const unsigned char *bytes)
{
    struct trace *trace = reading->trace;
    struct trace_entry entry = {.kind = (enum trace_kind)head->kind,
                                .is_new_process = reading->is_new_process,
                                .at = head->at,
                                .bytes = bytes,
                                .len = (size_t)head->len};
    if (entry.kind == TRACE_OPENED)
        note_open(reading, head, bytes);
    if (is_about_names(entry.kind)) {
        note_names(reading, &entry);
    } else if (entry.kind != TRACE_SENT) {
        entry.opened = reading->first_open + head->opened;
        if (head->opened == 0 || entry.opened >= reading->open_count)
            die("trace", "it is about a file that was never opened");
        entry.name = reading->opens[entry.opened].name;
        entry.writes_sync = reading->opens[entry.opened].writes_sync;
    }
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
        reading.first_open = reading.open_count;
        reading.is_new_process = true;
        read_entries(&reading, paths[trace.file_count], bytes, len);
    }
    trace.open_count = reading.open_count;
    free(reading.opens);
    return trace;
}

void trace_release(struct trace *trace)
{
    for (size_t i = 0; i < trace->file_count; i++)
        free(trace->files[i]);
    for (size_t i = 0; i < trace->name_count; i++)
        free(trace->names[i]);
    free(trace->names);
    free(trace->files);
    free(trace->entries);
    *trace = (struct trace){0};
}
