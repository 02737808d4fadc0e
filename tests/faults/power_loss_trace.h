/* What the recorder writes and the replayer of power cuts reads: all that the node did to its data
 * directory, and all that left it, in the order in which it happened. */
#ifndef FAULTS_POWER_LOSS_TRACE_H
#define FAULTS_POWER_LOSS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_kind {
    TRACE_OPENED, /* bytes: the absolute path; at: the flags of open */
    TRACE_HELD,   /* bytes: from there on, what the file held when it was opened */
    TRACE_WROTE,
    TRACE_RESIZED, /* at: the new length */
    TRACE_SYNCED,
    TRACE_UNLINKED, /* bytes: the name in the directory */
    TRACE_SENT,     /* bytes: a frame; at: 1 where the message goes on */
    TRACE_KINDS
};

/* Stands before the bytes of each entry of the file, in the machine's byte order. */
struct trace_head {
    uint32_t kind;
    uint32_t opened; /* which of the opens of this process the entry is about */
    uint64_t at;     /* offset */
    uint64_t len;    /* of the bytes that follow */
};

struct trace_entry {
    enum trace_kind kind;
    const char *name; /* of the file in the directory; "." and ".." are it and the one above */
    bool writes_sync; /* O_DSYNC: what is written there is on disk when the call returns */
    bool is_new_process;
    uint64_t at;
    const unsigned char *bytes; /* the trace's */
    size_t len;
};

struct trace {
    struct trace_entry *entries;
    size_t count;
    unsigned char **files; /* as they were read; all that entries point to */
    size_t file_count;
};

/* Reads the traces of nodes that ran one after the other on one directory. An entry that is cut
 * off at the end of a file was never finished and is left out. Ends the program where a file
 * cannot be read or is no trace. */
struct trace trace_read(char *const *paths, size_t count);
void trace_release(struct trace *trace);

#endif
