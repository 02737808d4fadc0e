/* Reading a ZPL file. The one place that sees zconfig, whose header brings syslog's LOG_ macros,
 * which clash with enum log_level: so nothing of bus/ports/world.h may be included where it is. */
#ifndef NODE_CONFIG_ZPL_H
#define NODE_CONFIG_ZPL_H

#include <stdbool.h>
#include <stddef.h>

struct zpl;

/* An entry of the file, a section or a setting. Texts live as long as the zpl. */
struct zpl_item {
    const char *section; /* the one that it stands in; NULL at the top */
    const char *name;
    const char *value; /* "" where there is none */
    bool has_children;
    unsigned line; /* from 1 */
};

/* False ends the walk. */
typedef bool (*zpl_visit)(void *context, const struct zpl_item *item);

/* Reads and parses the file; anything that can be read will do, a pipe too. NULL: `why` says why
 * not, in a line without the file's name. */
struct zpl *zpl_load(const char *file, char *why, size_t size);
void zpl_destroy(struct zpl **zpl);

/* Visits the top entries and those one level below, in the order of the file. False: a visit
 * was. */
bool zpl_walk(const struct zpl *zpl, zpl_visit visit, void *context);

#endif
