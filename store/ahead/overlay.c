/* A B+tree, as each step down costs a wait for memory: a tree of pairs would be four times as deep.
 * Nothing is ever taken out of it, but all at once.
 *
 * In a node stand the first bytes of each key as a number (its rank), so that few keys have to be
 * looked at themselves. What all keys begin with would make a poor rank, and is left out. */
#include "store/ahead/overlay.h"

#include <assert.h>
#include <stdlib.h>

#define NODE_ITEMS ((size_t)48)
#define PREFIX_BYTES ((size_t)64)
#define BLOCK_BYTES ((size_t)256 * 1024)
#define SLACK_BYTES ((size_t)4)
#define ALIGNMENT _Alignof(struct overlay_node)

struct overlay_node {
    size_t count;
    struct overlay_node *next; /* leaf: the one behind it */
    bool is_leaf;
    uint64_t ranks[NODE_ITEMS];
    struct overlay_item *items[NODE_ITEMS]; /* of a child the smallest that it had when it was made;
                                               the first child takes all that is smaller too */
    struct overlay_node *children[];        /* none of a leaf */
};

struct block {
    struct block *next;
    _Alignas(max_align_t) char bytes[BLOCK_BYTES];
};

struct overlay {
    struct overlay_node *root; /* NULL: empty */
    struct block *blocks;      /* all of them */
    struct block *block;       /* the one in use; those behind it are free */
    size_t used;               /* bytes of it */
    size_t bytes;              /* of all that are in use */
    size_t prefix_len;         /* of what keys are expected to begin with */
    char prefix[PREFIX_BYTES];
};

/* ---- memory ---- */

struct overlay *overlay_new(void)
{
    return calloc(1, sizeof(struct overlay));
}

void overlay_destroy(struct overlay **overlay)
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

static bool next_block(struct overlay *overlay)
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

static void *take(struct overlay *overlay, size_t size)
{
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if ((overlay->block == NULL || BLOCK_BYTES - overlay->used < size) && !next_block(overlay))
        return NULL;
    void *taken = overlay->block->bytes + overlay->used;
    overlay->used += size;
    overlay->bytes += size;
    return taken;
}

static struct overlay_node *new_node(struct overlay *overlay, bool is_leaf)
{
    struct overlay_node *node = NULL;
    size_t children = is_leaf ? 0 : NODE_ITEMS * sizeof *node->children;
    node = take(overlay, sizeof *node + children);
    if (node != NULL) {
        node->count = 0;
        node->next = NULL;
        node->is_leaf = is_leaf;
    }
    return node;
}

/* Numbers in a value grow by a byte now and then. */
static struct overlay_item *new_item(struct overlay *overlay, struct text key, size_t len)
{
    size_t room = len + SLACK_BYTES;
    struct overlay_item *item = take(overlay, sizeof *item + key.len + room);
    if (item != NULL) {
        item->key_len = (uint16_t)key.len;
        item->room = (uint16_t)room;
        memcpy(item->bytes, key.data, key.len);
    }
    return item;
}

static void set_value(struct overlay_item *item, struct text value)
{
    item->is_gone = text_is_none(value);
    item->value_len = (uint16_t)value.len;
    if (value.len > 0)
        memcpy(item->bytes + item->key_len, value.data, value.len);
}

/* ---- searching ---- */

struct wanted {
    struct text key;
    uint64_t rank;
};

/* The next 8 bytes of a key behind what it has in common with all. */
static uint64_t rank_of(struct text key, size_t common)
{
    uint64_t rank = 0;
    for (size_t i = common; i < common + 8; i++)
        rank = rank << 8 | (i < key.len ? (unsigned char)key.data[i] : 0);
    return rank;
}

static struct wanted wanted_of(const struct overlay *overlay, struct text key)
{
    struct text prefix = {overlay->prefix, overlay->prefix_len};
    size_t common = key.len < prefix.len ? key.len : prefix.len;
    int order = common > 0 ? memcmp(key.data, prefix.data, common) : 0;
    if (order > 0)
        return (struct wanted){key, UINT64_MAX};
    if (order < 0 || key.len < prefix.len)
        return (struct wanted){key, 0};
    return (struct wanted){key, rank_of(key, prefix.len)};
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
             text_compare(overlay_key(node->items[middle]), wanted->key) <= 0))
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
static const struct overlay_node *descend(const struct overlay *overlay,
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
           text_equal(overlay_key(leaf->items[at - 1]), wanted->key);
}

const struct overlay_item *overlay_find(const struct overlay *overlay, struct text key)
{
    struct wanted wanted = wanted_of(overlay, key);
    size_t at;
    const struct overlay_node *leaf = descend(overlay, &wanted, &at);
    return is_before(leaf, at, &wanted) ? leaf->items[at - 1] : NULL;
}

const struct overlay_item *overlay_last(const struct overlay *overlay)
{
    const struct overlay_node *node = overlay->root;
    while (node != NULL && !node->is_leaf)
        node = node->children[node->count - 1];
    return node != NULL ? node->items[node->count - 1] : NULL;
}

static void to_next_leaf(struct overlay_place *place)
{
    if (place->leaf != NULL && place->at == place->leaf->count)
        *place = (struct overlay_place){place->leaf->next, 0};
}

struct overlay_place overlay_seek(const struct overlay *overlay, struct text from)
{
    struct wanted wanted = wanted_of(overlay, from);
    struct overlay_place place;
    place.leaf = descend(overlay, &wanted, &place.at);
    if (is_before(place.leaf, place.at, &wanted))
        place.at--;
    to_next_leaf(&place);
    return place;
}

const struct overlay_item *overlay_at(const struct overlay_place *place)
{
    return place->leaf != NULL ? place->leaf->items[place->at] : NULL;
}

void overlay_next(struct overlay_place *place)
{
    place->at++;
    to_next_leaf(place);
}

/* ---- adding ---- */

static void make_gap(struct overlay_node *node, size_t at)
{
    size_t behind = node->count - at;
    memmove(&node->ranks[at + 1], &node->ranks[at], behind * sizeof *node->ranks);
    memmove(&node->items[at + 1], &node->items[at], behind * sizeof(struct overlay_item *));
    if (!node->is_leaf)
        memmove(&node->children[at + 1], &node->children[at],
                behind * sizeof(struct overlay_node *));
    node->count++;
}

/* Moves the upper half of a full child into a new one beside it. */
static bool split(struct overlay *overlay, struct overlay_node *parent, size_t at)
{
    struct overlay_node *child = parent->children[at];
    struct overlay_node *right = new_node(overlay, child->is_leaf);
    if (right == NULL)
        return false;
    size_t kept = child->count / 2;
    right->count = child->count - kept;
    memcpy(right->ranks, &child->ranks[kept], right->count * sizeof *right->ranks);
    memcpy(right->items, &child->items[kept], right->count * sizeof(struct overlay_item *));
    if (!child->is_leaf)
        memcpy(right->children, &child->children[kept],
               right->count * sizeof(struct overlay_node *));
    child->count = kept;
    right->next = child->next;
    child->next = right;
    make_gap(parent, at + 1);
    parent->ranks[at + 1] = right->ranks[0];
    parent->items[at + 1] = right->items[0];
    parent->children[at + 1] = right;
    return true;
}

/* A root with room: a full one becomes the only child of a new one. */
static bool make_root(struct overlay *overlay)
{
    struct overlay_node *old = overlay->root;
    if (old != NULL && old->count < NODE_ITEMS)
        return true;
    struct overlay_node *root = new_node(overlay, old == NULL);
    if (root == NULL)
        return false;
    if (old != NULL) {
        root->ranks[0] = old->ranks[0];
        root->items[0] = old->items[0];
        root->children[0] = old;
        root->count = 1;
        if (!split(overlay, root, 0))
            return false;
    }
    overlay->root = root;
    return true;
}

/* The leaf where the line belongs, with room for it; NULL: no memory. */
static struct overlay_node *descend_to_add(struct overlay *overlay, const struct wanted *wanted)
{
    if (!make_root(overlay))
        return NULL;
    struct overlay_node *node = overlay->root;
    while (!node->is_leaf) {
        size_t at = child_for(node, wanted);
        if (node->children[at]->count == NODE_ITEMS) {
            if (!split(overlay, node, at))
                return NULL;
            at = child_for(node, wanted);
        }
        node = node->children[at];
    }
    return node;
}

bool overlay_put_again(struct overlay_item *item, struct text value)
{
    if (value.len > item->room)
        return false;
    set_value(item, value);
    return true;
}

/* In the place of one that is there. */
static struct overlay_item *replace(struct overlay *overlay, struct overlay_item **there,
                                    struct text value)
{
    if (!overlay_put_again(*there, value)) {
        struct overlay_item *larger = new_item(overlay, overlay_key(*there), value.len);
        if (larger == NULL)
            return NULL;
        *there = larger;
        set_value(larger, value);
    }
    return *there;
}

static struct overlay_item *set(struct overlay *overlay, struct text key, struct text value)
{
    assert(key.len > 0 && key.len <= UINT16_MAX && value.len <= UINT16_MAX - SLACK_BYTES);
    struct wanted wanted = wanted_of(overlay, key);
    struct overlay_node *leaf = descend_to_add(overlay, &wanted);
    if (leaf == NULL)
        return NULL;
    size_t at = index_behind(leaf, 0, &wanted);
    if (is_before(leaf, at, &wanted))
        return replace(overlay, &leaf->items[at - 1], value);
    struct overlay_item *item = new_item(overlay, key, value.len);
    if (item == NULL) {
        if (leaf->count == 0) /* an empty leaf is no item's place */
            overlay->root = NULL;
        return NULL;
    }
    set_value(item, value);
    make_gap(leaf, at);
    leaf->ranks[at] = wanted.rank;
    leaf->items[at] = item;
    return item;
}

struct overlay_item *overlay_put(struct overlay *overlay, struct text key, struct text value)
{
    assert(!text_is_none(value));
    return set(overlay, key, value);
}

bool overlay_delete(struct overlay *overlay, struct text key)
{
    return set(overlay, key, text_none()) != NULL;
}

size_t overlay_bytes(const struct overlay *overlay)
{
    return overlay->bytes;
}

/* What the smallest and the largest key have in common all have. */
static void learn_prefix(struct overlay *overlay)
{
    const struct overlay_place place = overlay_seek(overlay, text_of(""));
    const struct overlay_item *first = overlay_at(&place);
    const struct overlay_item *last = overlay_last(overlay);
    size_t common = 0;
    if (first == NULL || first == last)
        return;
    size_t most = first->key_len < last->key_len ? first->key_len : last->key_len;
    while (common < most && common < PREFIX_BYTES && first->bytes[common] == last->bytes[common])
        common++;
    memcpy(overlay->prefix, first->bytes, common);
    overlay->prefix_len = common;
}

void overlay_clear(struct overlay *overlay)
{
    learn_prefix(overlay);
    overlay->root = NULL;
    overlay->block = NULL;
    overlay->bytes = 0;
}
