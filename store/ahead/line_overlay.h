/* Order lines that the table of lines lacks, in memory and in the order of their keys: so they are
 * written in that order, and a reader goes through them and the table side by side. A line that was
 * taken away is kept too, with seq 0, as the table may still have it. */
#ifndef STORE_AHEAD_LINE_OVERLAY_H
#define STORE_AHEAD_LINE_OVERLAY_H

#include "domain/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct overlay_line {
    uint64_t seq; /* of the event that put the line where it is; 0: the line is gone */
    uint16_t len;
    char key[]; /* orderid, NUL, sku */
};

struct line_overlay;

/* Where a walk in key order stands. It lives until the next line_overlay_set or _clear. */
struct line_place {
    const struct overlay_node *leaf; /* NULL: behind the last line */
    size_t at;
};

/* NULL: no memory. */
struct line_overlay *line_overlay_new(void);
void line_overlay_destroy(struct line_overlay **overlay);

/* Keeps the line, in place of what it has for that key. False: no memory, and nothing changed.
 * Requires: a key of 1 to UINT16_MAX bytes. */
bool line_overlay_set(struct line_overlay *overlay, struct text key, uint64_t seq);

/* The line, until the next line_overlay_clear; NULL: it is not in here. */
const struct overlay_line *line_overlay_find(const struct line_overlay *overlay, struct text key);

/* The line of the largest key; NULL: there is none. */
const struct overlay_line *line_overlay_last(const struct line_overlay *overlay);

/* The first line whose key is not before `from`. */
struct line_place line_overlay_seek(const struct line_overlay *overlay, struct text from);

/* The line at that place; NULL: behind the last one. */
const struct overlay_line *line_place_get(const struct line_place *place);
void line_place_next(struct line_place *place);

/* Bytes of memory that the lines take. */
size_t line_overlay_bytes(const struct line_overlay *overlay);

/* Empty again; its memory stays for the next lines, which are expected to begin as these do. */
void line_overlay_clear(struct line_overlay *overlay);

static inline struct text overlay_line_key(const struct overlay_line *line)
{
    return (struct text){line->key, line->len};
}

#endif
