#include "node/front/prefixes.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#define MALLOC_OVERHEAD 24u /* bytes that malloc takes for itself, rounding counted */
#define CAPACITY_MIN 4u

struct prefix {
    struct prefix *root; /* the shortest one that this begins with: another one, or itself */
    uint32_t times;      /* that it was added and not taken back */
    uint32_t len;
    char bytes[];
};

static struct text text_of_prefix(const struct prefix *prefix)
{
    return (struct text){prefix->bytes, prefix->len};
}

static bool starts_with(struct text text, const struct prefix *prefix)
{
    return prefix->len <= text.len && memcmp(text.data, prefix->bytes, prefix->len) == 0;
}

static size_t prefix_memory(size_t len)
{
    return sizeof(struct prefix) + len + MALLOC_OVERHEAD + sizeof(struct prefix *);
}

/* How many stand before `text` or are equal to it. */
static size_t count_up_to(const struct prefixes *prefixes, struct text text)
{
    size_t low = 0;
    size_t high = prefixes->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (text_compare(text_of_prefix(prefixes->sorted[middle]), text) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The root of those that `text` begins with, or NULL; the first `up_to` do not stand behind it. */
static struct prefix *root_of(const struct prefixes *prefixes, struct text text, size_t up_to)
{
    struct prefix *root = up_to > 0 ? prefixes->sorted[up_to - 1]->root : NULL;
    return root != NULL && starts_with(text, root) ? root : NULL;
}

static bool make_room(struct prefixes *prefixes)
{
    if (prefixes->count < prefixes->capacity)
        return true;
    size_t capacity = prefixes->capacity == 0 ? CAPACITY_MIN : 2 * prefixes->capacity;
    struct prefix **sorted = realloc(prefixes->sorted, capacity * sizeof(struct prefix *));
    if (sorted == NULL)
        return false;
    prefixes->sorted = sorted;
    prefixes->capacity = capacity;
    return true;
}

static struct prefix *prefix_new(struct text text)
{
    struct prefix *prefix = malloc(sizeof *prefix + text.len);
    if (prefix == NULL)
        return NULL;
    prefix->times = 1;
    prefix->len = (uint32_t)text.len;
    memcpy(prefix->bytes, text.data, text.len);
    return prefix;
}

/* Finds new roots for those from place `at` on that begin with `outer`: they follow each other. It
 * is their root itself, or is to be none any more. */
static void find_roots(struct prefixes *prefixes, size_t at, struct prefix *outer, bool is_root)
{
    struct prefix *root = is_root ? outer : NULL;
    for (; at < prefixes->count; at++) {
        struct prefix *inner = prefixes->sorted[at];
        struct text text = text_of_prefix(inner);
        if (!starts_with(text, outer))
            return;
        if (root == NULL || !starts_with(text, root))
            root = inner;
        inner->root = root;
    }
}

enum prefix_added prefixes_add(struct prefixes *prefixes, struct text text)
{
    size_t at = count_up_to(prefixes, text);
    if (at > 0 && text_equal(text_of_prefix(prefixes->sorted[at - 1]), text)) {
        prefixes->sorted[at - 1]->times++;
        return PREFIX_WAS_THERE;
    }
    struct prefix *prefix = make_room(prefixes) ? prefix_new(text) : NULL;
    if (prefix == NULL)
        return PREFIX_NO_MEMORY;
    struct prefix *root = root_of(prefixes, text, at);
    prefix->root = root != NULL ? root : prefix;
    memmove(&prefixes->sorted[at + 1], &prefixes->sorted[at],
            (prefixes->count - at) * sizeof(struct prefix *));
    prefixes->sorted[at] = prefix;
    prefixes->count++;
    prefixes->memory += prefix_memory(text.len);
    if (root == NULL)
        find_roots(prefixes, at + 1, prefix, true);
    return PREFIX_ADDED;
}

bool prefixes_remove(struct prefixes *prefixes, struct text text)
{
    size_t at = count_up_to(prefixes, text);
    if (at == 0 || !text_equal(text_of_prefix(prefixes->sorted[at - 1]), text))
        return false;
    struct prefix *prefix = prefixes->sorted[--at];
    if (--prefix->times > 0)
        return true;
    if (prefix->root == prefix)
        find_roots(prefixes, at + 1, prefix, false);
    memmove(&prefixes->sorted[at], &prefixes->sorted[at + 1],
            (prefixes->count - at - 1) * sizeof(struct prefix *));
    prefixes->count--;
    prefixes->memory -= prefix_memory(text.len);
    free(prefix);
    return true;
}

bool prefixes_match(const struct prefixes *prefixes, struct text topic)
{
    return root_of(prefixes, topic, count_up_to(prefixes, topic)) != NULL;
}

void prefixes_release(struct prefixes *prefixes)
{
    for (size_t i = 0; i < prefixes->count; i++)
        free(prefixes->sorted[i]);
    free(prefixes->sorted);
    *prefixes = (struct prefixes){0};
}
