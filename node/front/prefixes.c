#include "node/front/prefixes.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#define MALLOC_OVERHEAD 24u /* bytes that malloc takes for itself, rounding counted */
#define CAPACITY_MIN 4u

struct prefix {
    struct prefix *within; /* the longest other one that this begins with, or NULL */
    uint32_t times;        /* that it was added and not taken back */
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

static size_t common_length(struct text a, struct text b)
{
    size_t max = a.len < b.len ? a.len : b.len;
    size_t len = 0;
    while (len < max && a.data[len] == b.data[len])
        len++;
    return len;
}

/* The longest one that `text` begins with; the first `up_to` of them do not stand behind it. What
 * the last of these has in common with it decides: those above that one are cut-off parts of it. */
static struct prefix *longest(const struct prefixes *prefixes, struct text text, size_t up_to)
{
    if (up_to == 0)
        return NULL;
    struct prefix *prefix = prefixes->sorted[up_to - 1];
    size_t common = common_length(text_of_prefix(prefix), text);
    while (prefix != NULL && prefix->len > common)
        prefix = prefix->within;
    return prefix;
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

/* Those behind place `at` that begin with it follow it without a gap. Those that were right within
 * `from` are right within `to` now. */
static void move_within(struct prefixes *prefixes, size_t at, const struct prefix *outer,
                        const struct prefix *from, struct prefix *to)
{
    for (size_t i = at; i < prefixes->count; i++) {
        struct prefix *inner = prefixes->sorted[i];
        if (!starts_with(text_of_prefix(inner), outer))
            return;
        if (inner->within == from)
            inner->within = to;
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
    prefix->within = longest(prefixes, text, at);
    memmove(&prefixes->sorted[at + 1], &prefixes->sorted[at],
            (prefixes->count - at) * sizeof(struct prefix *));
    prefixes->sorted[at] = prefix;
    prefixes->count++;
    prefixes->memory += prefix_memory(text.len);
    move_within(prefixes, at + 1, prefix, prefix->within, prefix);
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
    move_within(prefixes, at + 1, prefix, prefix, prefix->within);
    memmove(&prefixes->sorted[at], &prefixes->sorted[at + 1],
            (prefixes->count - at - 1) * sizeof(struct prefix *));
    prefixes->count--;
    prefixes->memory -= prefix_memory(text.len);
    free(prefix);
    return true;
}

bool prefixes_match(const struct prefixes *prefixes, struct text topic)
{
    return longest(prefixes, topic, count_up_to(prefixes, topic)) != NULL;
}

void prefixes_release(struct prefixes *prefixes)
{
    for (size_t i = 0; i < prefixes->count; i++)
        free(prefixes->sorted[i]);
    free(prefixes->sorted);
    *prefixes = (struct prefixes){0};
}
