/* Notices when the name of a directory, or of a file in it, may have come to mean something else:
 * inotify(7) tells of everything that is made, moved or removed in any directory on the way there.
 * So whoever has to know it before each reply need not look the names up each time, which costs
 * some ten microseconds after the processor has slept. What inotify does not tell, such as a file
 * system that is mounted on top, is noticed within a second. */
#ifndef STORE_LMDB_PLACE_WATCH_H
#define STORE_LMDB_PLACE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct place_watch {
    int fd; /* of inotify; -1: there is none, and everything may always have changed */
    uint64_t looked_ms;
};

/* Watches `directory`, the one of the name `inside` in it, and all directories on the way there.
 * Where the system does not let it, place_watch_has_news always says yes. */
void place_watch_open(struct place_watch *watch, const char *directory, const char *inside);
void place_watch_close(struct place_watch *watch);

/* Whether the names have to be looked up: something has happened since the last time that this said
 * yes, or that is a second ago. */
bool place_watch_has_news(struct place_watch *watch);

#endif
