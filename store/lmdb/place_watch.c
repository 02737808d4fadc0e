#include "store/lmdb/place_watch.h"

#include "store/lmdb/coarse_clock.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LOOK_EVERY_MS 1000u
#define EVENTS                                                                                     \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF |         \
     IN_UNMOUNT | IN_ONLYDIR)

/* `path` and each directory above it by its name. False: one cannot be watched. */
static bool add_all(int fd, char *path)
{
    for (;;) {
        if (inotify_add_watch(fd, path[0] != '\0' ? path : "/", EVENTS) < 0)
            return false;
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return path[0] == '\0' || inotify_add_watch(fd, ".", EVENTS) >= 0;
        if (path[0] == '\0')
            return true;
        *slash = '\0';
    }
}

/* By the name that it was given, on which links may lie, and by where that leads. */
static bool add_names(int fd, const char *directory)
{
    char *given = strdup(directory);
    char *real = realpath(directory, NULL);
    bool is_fine = given != NULL && real != NULL && add_all(fd, given) && add_all(fd, real);
    free(given);
    free(real);
    return is_fine;
}

static bool add_inside(int fd, const char *directory, const char *inside)
{
    size_t bytes = strlen(directory) + 1 + strlen(inside) + 1;
    char *path = malloc(bytes);
    if (path == NULL)
        return false;
    snprintf(path, bytes, "%s/%s", directory, inside);
    bool is_added = inotify_add_watch(fd, path, EVENTS) >= 0;
    free(path);
    return is_added;
}

void place_watch_open(struct place_watch *watch, const char *directory, const char *inside)
{
    watch->looked_ms = 0;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd >= 0 &&
        !(add_names(watch->fd, directory) && add_inside(watch->fd, directory, inside)))
        place_watch_close(watch);
}

void place_watch_close(struct place_watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

bool place_watch_has_news(struct place_watch *watch)
{
    char events[sizeof(struct inotify_event) + NAME_MAX + 1];
    bool has_news = watch->fd < 0;
    while (watch->fd >= 0 && read(watch->fd, events, sizeof events) > 0)
        has_news = true;
    uint64_t now = coarse_ms();
    if (!has_news && now - watch->looked_ms < LOOK_EVERY_MS)
        return false;
    watch->looked_ms = now;
    return true;
}
