/* What the recorder writes and the replayer of power cuts reads: all that the node did to its data
 * directory, and all that left it, in the order in which it happened. */
#ifndef FAULTS_POWER_LOSS_TRACE_H
#define FAULTS_POWER_LOSS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_kind {
    TRACE_OPENED, /* bytes: the absolute path; at: the flags of open */
    TRACE_HELD,   /* bytes: from there on, what the file held when it was first opened */
    TRACE_WROTE,
    TRACE_FAILED,   /* a write */
    TRACE_RESIZED,  /* at: the new length */
    TRACE_SYNCING,  /* at: the number of the sync, times 4 */
    TRACE_SYNCED,   /* the same, and flags: */
    TRACE_MADE,     /* bytes: the absolute path of a directory */
    TRACE_UNLINKED, /* bytes: the absolute path */
    TRACE_RENAMED,  /* bytes: both absolute paths, the old one first, a NUL between them */
    TRACE_SENT,     /* bytes: a frame; at: 1 where the message goes on */
    TRACE_KINDS
};

#define TRACE_SYNC_OF_ALL 1u /* it was fsync */
#define TRACE_SYNC_FAILED 2u

/* Stands before the bytes of each entry of the file, in the machine's byte order. */
struct trace_head {
    uint32_t kind;
    uint32_t opened; /* which of the opens of this process the entry is about */
    uint64_t at;     /* offset */
    uint64_t len;    /* of the bytes that follow */
};

struct trace_entry {
    enum trace_kind kind;
    const char *name;     /* below the directory; "." and ".." are it and the one above */
    const char *new_name; /* of TRACE_RENAMED */
    size_t opened;        /* which of all opens of all processes */
    bool writes_sync;     /* O_DSYNC: what is written there is on disk when the call returns */
    bool is_new_process;
    uint64_t at;
    const unsigned char *bytes; /* the trace's */
    size_t len;
};

struct trace {
    struct trace_entry *entries;
    size_t count;
    size_t open_count;
    unsigned char **files; /* as they were read; all that entries point to */
    size_t file_count;
    char **names; /* each once */
    size_t name_count;
};

/* Reads the traces of nodes that ran one after the other on one directory. An entry that is cut
 * off at the end of a file was never finished and is left out; so is all about LMDB's file of
 * locks, which is made anew at each first open, whatever it holds. Ends the program where a file
 * cannot be read or is no trace. */
struct trace trace_read(char *const *paths, size_t count);
void trace_release(struct trace *trace);

#endif
