/* An overlay: what a table lacks. Records that were put or taken away and are not written yet, in
 * memory and in the order of their keys. So they are written in that order, and a reader goes
 * through them and the table side by side. A record that was taken away is kept as one that is
 * gone, since the table may still have it. */
#ifndef STORE_AHEAD_OVERLAY_H
#define STORE_AHEAD_OVERLAY_H

#include "domain/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct overlay_item {
    uint16_t key_len;
    uint16_t value_len;
    uint16_t room; /* for a value, in bytes */
    bool is_gone;
    char bytes[]; /* the key, and behind it the value */
};

struct overlay;

/* Where a record was put last, for whoever will put it again: until the next round begins. All
 * zeros: nowhere. */
struct overlay_mark {
    struct overlay_item *item;
    uint64_t round;
};

/* Where a walk in key order stands. It lives until the next put, delete or clear. */
struct overlay_place {
    const struct overlay_node *leaf; /* NULL: behind the last item */
    size_t at;
};

/* NULL: no memory. */
struct overlay *overlay_new(void);
void overlay_destroy(struct overlay **overlay);

/* Keeps a copy of the record, or that there is none, in place of what it has for that key. Returns
 * the item, which lives until that key is put or deleted again or all is cleared; NULL, or false:
 * no memory, and nothing changed. Requires: a key of 1 to UINT16_MAX bytes, a value of no more. */
struct overlay_item *overlay_put(struct overlay *overlay, struct text key, struct text value);
bool overlay_delete(struct overlay *overlay, struct text key);

/* Puts another value for the key of an item that was returned, without looking for it. False: it is
 * larger than there is room. */
bool overlay_put_again(struct overlay_item *item, struct text value);

/* The item, which lives until that key is put again or all is cleared; NULL: the overlay knows
 * nothing of that key. */
const struct overlay_item *overlay_find(const struct overlay *overlay, struct text key);

/* The item of the largest key; NULL: there is none. */
const struct overlay_item *overlay_last(const struct overlay *overlay);

/* The first item whose key is not before `from`. */
struct overlay_place overlay_seek(const struct overlay *overlay, struct text from);

/* The item at that place; NULL: behind the last one. */
const struct overlay_item *overlay_at(const struct overlay_place *place);
void overlay_next(struct overlay_place *place);

/* Bytes of memory that it takes. */
size_t overlay_bytes(const struct overlay *overlay);

/* Empty again; its memory stays for the next items, whose keys are expected to begin as these do.
 */
void overlay_clear(struct overlay *overlay);

static inline struct text overlay_key(const struct overlay_item *item)
{
    return (struct text){item->bytes, item->key_len};
}

/* Requires: it is not gone. */
static inline struct text overlay_value(const struct overlay_item *item)
{
    return (struct text){item->bytes + item->key_len, item->value_len};
}

#endif
