/* A slice of text, and what may stand in one.
 *
 * A `struct text` owns nothing: whoever made the bytes says how long they live. The bytes are not
 * NUL-terminated. `data == NULL` means "absent", which is not the same as empty. */
#ifndef DOMAIN_BASE_TEXT_H
#define DOMAIN_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct text {
    const char *data;
    size_t len; /* bytes */
};

/* For %.*s: an int and a pointer. Requires: fewer than INT_MAX bytes. */
#define TEXT_ARG(t) (int)(t).len, (t).data

static inline struct text text_of(const char *string)
{
    return (struct text){string, strlen(string)};
}

static inline struct text text_none(void)
{
    return (struct text){NULL, 0};
}

static inline bool text_is_none(struct text t)
{
    return t.data == NULL;
}

/* Absent equals absent alone. */
static inline bool text_equal(struct text a, struct text b)
{
    if (a.data == NULL || b.data == NULL)
        return a.data == b.data;
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Byte order, the order of keys and pages. Requires: neither is absent. */
int text_compare(struct text a, struct text b);

/* Bytes of the UTF-8 character that starts at `data`, 1 to 4; 0 where none that is well-formed
 * starts there (RFC 3629: no surrogates, nothing overlong, nothing above U+10FFFF). */
size_t text_character(const char *data, size_t len);

/* The same, but 0 for a control character too: what is shown on a terminal is made of such. */
size_t text_printable(const char *data, size_t len);

/* True for 1 to `max` bytes of UTF-8 without control characters (U+0000 to 001F, 007F to 009F). */
bool text_is_name(struct text t, size_t max);

#endif
