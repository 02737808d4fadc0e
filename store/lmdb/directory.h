/* The data directory: nobody else may have it, it was a store once or is a new one, and it is where
 * it was.
 *
 *     DATA/node.lock   the marker: empty while a first start is at work, one byte since
 *     DATA/journal/    what happened (store/journal/)
 *     DATA/data.mdb    tables that follow from it, and lock.mdb, LMDB's own */
#ifndef STORE_LMDB_DIRECTORY_H
#define STORE_LMDB_DIRECTORY_H

#include "domain/base/error.h"
#include "store/lmdb/place_watch.h"

#include <sys/types.h>

#define DIRECTORY_MARKER "node.lock" /* nothing is locked with it */
#define DIRECTORY_JOURNAL "journal"
#define DIRECTORY_TABLES "data.mdb"
#define DIRECTORY_READERS "lock.mdb" /* of no use between two starts */

struct inode {
    dev_t device;
    ino_t number;
};

struct directory {
    const char *path;
    int fd; /* holds the lock */
    int marker_fd;
    bool was_made; /* when it was opened: there was a whole store once */
    struct inode inode;
    struct inode journal;
    struct inode tables;
    struct place_watch place;
};

/* Opens the directory, makes it with mode 0700 where it is missing, and locks it: the inode, so
 * that whoever renames or removes it lets no second node in. `path` must outlive *out. False:
 * `error` says why, in one line without a full stop; nothing stays open. */
bool directory_open(struct directory *out, const char *path, char error[ERROR_BYTES]);
void directory_close(struct directory *directory);

/* The same without making anything, for who only looks; and no marker is looked for. */
bool directory_look(struct directory *out, const char *path, char error[ERROR_BYTES]);

/* Locks a file or directory in it in the same way, for as long as `fd` is open: it may have a name
 * in another directory too. */
bool directory_lock(const struct directory *directory, int fd, const char *name,
                    char error[ERROR_BYTES]);

/* Whether there is something of that name; what cannot be looked at is taken for there. */
bool directory_has(const struct directory *directory, const char *name);

/* All that a first start makes is there, and on disk: from now on the directory is that of a store.
 * Nothing to do where it was before. */
bool directory_mark_made(struct directory *directory, char error[ERROR_BYTES]);

/* Keeps in mind which files the names mean now. Requires: journal and tables are there. */
bool directory_note_place(struct directory *directory, char error[ERROR_BYTES]);

/* Whether they have to be looked up: something has happened there or on the way since the last time
 * that this said yes, or that is a second ago, or directory_look_again was called. */
bool directory_has_news(struct directory *directory);
void directory_look_again(struct directory *directory);

/* Looks up whether the names still mean them. False: `error` says what is not, in one line; whoever
 * begins a node there now does not find what this one wrote. A name that cannot be looked at counts
 * as gone. */
bool directory_is_in_place(const struct directory *directory, char error[ERROR_BYTES]);

/* Writes a line that says what could not be done to `name` in the directory, or to itself where the
 * name is empty, with errno's reason. Always false. */
bool directory_cannot(const struct directory *directory, const char *do_what, const char *name,
                      char error[ERROR_BYTES]);

#endif
