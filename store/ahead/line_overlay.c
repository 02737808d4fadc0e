/* A B+tree, as each step down costs a wait for memory: a tree of pairs would be four times as deep.
 * Nothing is ever taken out of it, but all at once.
 *
 * In a node stand the first bytes of each key as a number (its rank), so that few keys have to be
 * looked at themselves. What all keys begin with would make a poor rank, and is left out. */
#include "store/ahead/line_overlay.h"

#include "store/ahead/lazy_order.h"

#include <assert.h>
#include <stdlib.h>

#define NODE_LINES ((size_t)48)
#define PREFIX_BYTES ((size_t)64)
#define BLOCK_BYTES ((size_t)256 * 1024)
#define ALIGNMENT _Alignof(struct overlay_node)

struct overlay_node {
    size_t count;
    struct overlay_node *next; /* leaf: the one behind it */
    bool is_leaf;
    uint64_t ranks[NODE_LINES];
    struct overlay_line *lines[NODE_LINES]; /* of a child its smallest, as it was once; the first
                                               child takes all that is smaller too */
    struct overlay_node *children[];        /* none of a leaf */
};

struct block {
    struct block *next;
    _Alignas(max_align_t) char bytes[BLOCK_BYTES];
};

struct line_overlay {
    struct overlay_node *root; /* NULL: empty */
    struct block *blocks;      /* all of them */
    struct block *block;       /* the one in use; those behind it are free */
    size_t used;               /* bytes of it */
    size_t bytes;              /* of all that are in use */
    size_t prefix_len;         /* of what keys are expected to begin with */
    char prefix[PREFIX_BYTES];
};

/* ---- memory ---- */

struct line_overlay *line_overlay_new(void)
{
    return calloc(1, sizeof(struct line_overlay));
}

void line_overlay_destroy(struct line_overlay **overlay)
{
    if (*overlay == NULL)
        return;
    while ((*overlay)->blocks != NULL) {
        struct block *block = (*overlay)->blocks;
        (*overlay)->blocks = block->next;
        free(block);
    }
    free(*overlay);
    *overlay = NULL;
}

static bool next_block(struct line_overlay *overlay)
{
    struct block **link = overlay->block != NULL ? &overlay->block->next : &overlay->blocks;
    if (*link == NULL) {
        *link = malloc(sizeof **link);
        if (*link == NULL)
            return false;
        (*link)->next = NULL;
    }
    overlay->block = *link;
    overlay->used = 0;
    return true;
}

static void *take(struct line_overlay *overlay, size_t size)
{
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if ((overlay->block == NULL || BLOCK_BYTES - overlay->used < size) && !next_block(overlay))
        return NULL;
    void *taken = overlay->block->bytes + overlay->used;
    overlay->used += size;
    overlay->bytes += size;
    return taken;
}

static struct overlay_node *new_node(struct line_overlay *overlay, bool is_leaf)
{
    struct overlay_node *node = NULL;
    size_t children = is_leaf ? 0 : NODE_LINES * sizeof *node->children;
    node = take(overlay, sizeof *node + children);
    if (node != NULL) {
        node->count = 0;
        node->next = NULL;
        node->is_leaf = is_leaf;
    }
    return node;
}

static struct overlay_line *new_line(struct line_overlay *overlay, struct text key, uint64_t seq)
{
    struct overlay_line *line = take(overlay, sizeof *line + key.len);
    if (line != NULL) {
        line->seq = seq;
        line->len = (uint16_t)key.len;
        memcpy(line->key, key.data, key.len);
    }
    return line;
}

/* ---- searching ---- */

struct wanted {
    struct text key;
    uint64_t rank;
};

static struct wanted wanted_of(const struct line_overlay *overlay, struct text key)
{
    struct text prefix = {overlay->prefix, overlay->prefix_len};
    size_t common = key.len < prefix.len ? key.len : prefix.len;
    int order = common > 0 ? memcmp(key.data, prefix.data, common) : 0;
    if (order > 0)
        return (struct wanted){key, UINT64_MAX};
    if (order < 0 || key.len < prefix.len)
        return (struct wanted){key, 0};
    return (struct wanted){key, lazy_rank(key, prefix.len)};
}

/* The index behind the last line of the node, from `from` on, that is not beyond what is wanted. */
static size_t index_behind(const struct overlay_node *node, size_t from,
                           const struct wanted *wanted)
{
    size_t to = node->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        uint64_t rank = node->ranks[middle];
        if (rank < wanted->rank ||
            (rank == wanted->rank &&
             text_compare(overlay_line_key(node->lines[middle]), wanted->key) <= 0))
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static size_t child_for(const struct overlay_node *node, const struct wanted *wanted)
{
    return index_behind(node, 1, wanted) - 1;
}

/* The leaf where the line belongs, NULL where there is none at all; *at is the index behind the
 * last line that is not beyond it. */
static const struct overlay_node *descend(const struct line_overlay *overlay,
                                          const struct wanted *wanted, size_t *at)
{
    const struct overlay_node *node = overlay->root;
    while (node != NULL && !node->is_leaf)
        node = node->children[child_for(node, wanted)];
    *at = node != NULL ? index_behind(node, 0, wanted) : 0;
    return node;
}

/* Whether the line before that index is the one that is wanted. */
static bool is_before(const struct overlay_node *leaf, size_t at, const struct wanted *wanted)
{
    return at > 0 && leaf->ranks[at - 1] == wanted->rank &&
           text_equal(overlay_line_key(leaf->lines[at - 1]), wanted->key);
}

const struct overlay_line *line_overlay_find(const struct line_overlay *overlay, struct text key)
{
    struct wanted wanted = wanted_of(overlay, key);
    size_t at;
    const struct overlay_node *leaf = descend(overlay, &wanted, &at);
    return is_before(leaf, at, &wanted) ? leaf->lines[at - 1] : NULL;
}

const struct overlay_line *line_overlay_last(const struct line_overlay *overlay)
{
    const struct overlay_node *node = overlay->root;
    while (node != NULL && !node->is_leaf)
        node = node->children[node->count - 1];
    return node != NULL ? node->lines[node->count - 1] : NULL;
}

static void to_next_leaf(struct line_place *place)
{
    if (place->leaf != NULL && place->at == place->leaf->count)
        *place = (struct line_place){place->leaf->next, 0};
}

struct line_place line_overlay_seek(const struct line_overlay *overlay, struct text from)
{
    struct wanted wanted = wanted_of(overlay, from);
    struct line_place place;
    place.leaf = descend(overlay, &wanted, &place.at);
    if (is_before(place.leaf, place.at, &wanted))
        place.at--;
    to_next_leaf(&place);
    return place;
}

const struct overlay_line *line_place_get(const struct line_place *place)
{
    return place->leaf != NULL ? place->leaf->lines[place->at] : NULL;
}

void line_place_next(struct line_place *place)
{
    place->at++;
    to_next_leaf(place);
}

/* ---- adding ---- */

static void make_gap(struct overlay_node *node, size_t at)
{
    size_t behind = node->count - at;
    memmove(&node->ranks[at + 1], &node->ranks[at], behind * sizeof *node->ranks);
    memmove(&node->lines[at + 1], &node->lines[at], behind * sizeof(struct overlay_line *));
    if (!node->is_leaf)
        memmove(&node->children[at + 1], &node->children[at],
                behind * sizeof(struct overlay_node *));
    node->count++;
}

/* Moves the upper half of a full child into a new one beside it. */
static bool split(struct line_overlay *overlay, struct overlay_node *parent, size_t at)
{
    struct overlay_node *child = parent->children[at];
    struct overlay_node *right = new_node(overlay, child->is_leaf);
    if (right == NULL)
        return false;
    size_t kept = child->count / 2;
    right->count = child->count - kept;
    memcpy(right->ranks, &child->ranks[kept], right->count * sizeof *right->ranks);
    memcpy(right->lines, &child->lines[kept], right->count * sizeof(struct overlay_line *));
    if (!child->is_leaf)
        memcpy(right->children, &child->children[kept],
               right->count * sizeof(struct overlay_node *));
    child->count = kept;
    right->next = child->next;
    child->next = right;
    make_gap(parent, at + 1);
    parent->ranks[at + 1] = right->ranks[0];
    parent->lines[at + 1] = right->lines[0];
    parent->children[at + 1] = right;
    return true;
}

/* A root with room: a full one becomes the only child of a new one. */
static bool make_root(struct line_overlay *overlay)
{
    struct overlay_node *old = overlay->root;
    if (old != NULL && old->count < NODE_LINES)
        return true;
    struct overlay_node *root = new_node(overlay, old == NULL);
    if (root == NULL)
        return false;
    if (old != NULL) {
        root->ranks[0] = old->ranks[0];
        root->lines[0] = old->lines[0];
        root->children[0] = old;
        root->count = 1;
        if (!split(overlay, root, 0))
            return false;
    }
    overlay->root = root;
    return true;
}

/* The leaf where the line belongs, with room for it; NULL: no memory. */
static struct overlay_node *descend_to_add(struct line_overlay *overlay,
                                           const struct wanted *wanted)
{
    if (!make_root(overlay))
        return NULL;
    struct overlay_node *node = overlay->root;
    while (!node->is_leaf) {
        size_t at = child_for(node, wanted);
        if (node->children[at]->count == NODE_LINES) {
            if (!split(overlay, node, at))
                return NULL;
            at = child_for(node, wanted);
        }
        node = node->children[at];
    }
    return node;
}

bool line_overlay_set(struct line_overlay *overlay, struct text key, uint64_t seq)
{
    assert(key.len > 0 && key.len <= UINT16_MAX);
    struct wanted wanted = wanted_of(overlay, key);
    struct overlay_node *leaf = descend_to_add(overlay, &wanted);
    if (leaf == NULL)
        return false;
    size_t at = index_behind(leaf, 0, &wanted);
    if (is_before(leaf, at, &wanted)) {
        leaf->lines[at - 1]->seq = seq;
        return true;
    }
    struct overlay_line *line = new_line(overlay, key, seq);
    if (line == NULL) {
        if (leaf->count == 0) /* an empty leaf is no line's place */
            overlay->root = NULL;
        return false;
    }
    make_gap(leaf, at);
    leaf->ranks[at] = wanted.rank;
    leaf->lines[at] = line;
    return true;
}

size_t line_overlay_bytes(const struct line_overlay *overlay)
{
    return overlay->bytes;
}

/* What the smallest and the largest key have in common all have. */
static void learn_prefix(struct line_overlay *overlay)
{
    const struct line_place place = line_overlay_seek(overlay, text_of(""));
    const struct overlay_line *first = line_place_get(&place);
    const struct overlay_line *last = line_overlay_last(overlay);
    size_t common = 0;
    if (first == NULL || first == last)
        return;
    size_t most = first->len < last->len ? first->len : last->len;
    while (common < most && common < PREFIX_BYTES && first->key[common] == last->key[common])
        common++;
    memcpy(overlay->prefix, first->key, common);
    overlay->prefix_len = common;
}

void line_overlay_clear(struct line_overlay *overlay)
{
    learn_prefix(overlay);
    overlay->root = NULL;
    overlay->block = NULL;
    overlay->bytes = 0;
}
