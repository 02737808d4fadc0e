#include "domain/fit_tree.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

static int key_order(struct fit_key a, struct fit_key b)
{
    if (a.major != b.major)
        return a.major < b.major ? -1 : 1;
    return (a.minor > b.minor) - (a.minor < b.minor);
}

/* Which of two nodes stands higher. splitmix64: spreads keys that follow each other. */
static uint64_t priority(struct fit_key key)
{
    uint64_t x = key.major * 0x9e3779b97f4a7c15u + key.minor + 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void update(struct fit_node *node)
{
    uint32_t most = node->room;
    if (node->left != NULL && node->left->most_room > most)
        most = node->left->most_room;
    if (node->right != NULL && node->right->most_room > most)
        most = node->right->most_room;
    node->most_room = most;
}

/* Cuts `node` in two: keys before `key`, and the rest. */
static void split(struct fit_node *node, struct fit_key key, struct fit_node **before,
                  struct fit_node **rest)
{
    if (node == NULL) {
        *before = *rest = NULL;
        return;
    }
    if (key_order(node->key, key) < 0) {
        split(node->right, key, &node->right, rest);
        *before = node;
    } else {
        split(node->left, key, before, &node->left);
        *rest = node;
    }
    update(node);
}

/* Requires: every key of `a` comes before every key of `b`. */
static struct fit_node *merge(struct fit_node *a, struct fit_node *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    struct fit_node *top = priority(a->key) >= priority(b->key) ? a : b;
    if (top == a)
        a->right = merge(a->right, b);
    else
        b->left = merge(a, b->left);
    update(top);
    return top;
}

static struct fit_node *insert_below(struct fit_node *node, struct fit_node *new)
{
    if (node == NULL)
        return new;
    assert(key_order(node->key, new->key) != 0);
    if (priority(new->key) > priority(node->key)) {
        split(node, new->key, &new->left, &new->right);
        update(new);
        return new;
    }
    if (key_order(new->key, node->key) < 0)
        node->left = insert_below(node->left, new);
    else
        node->right = insert_below(node->right, new);
    update(node);
    return node;
}

void fit_tree_insert(struct fit_tree *tree, struct fit_node *node, struct fit_key key,
                     uint32_t room)
{
    *node = (struct fit_node){.key = key, .room = room, .most_room = room};
    tree->root = insert_below(tree->root, node);
}

static struct fit_node *remove_below(struct fit_node *node, struct fit_key key,
                                     struct fit_node **removed)
{
    assert(node != NULL);
    int order = key_order(key, node->key);
    if (order == 0) {
        *removed = node;
        return merge(node->left, node->right);
    }
    if (order < 0)
        node->left = remove_below(node->left, key, removed);
    else
        node->right = remove_below(node->right, key, removed);
    update(node);
    return node;
}

struct fit_node *fit_tree_remove(struct fit_tree *tree, struct fit_key key)
{
    struct fit_node *removed = NULL;
    tree->root = remove_below(tree->root, key, &removed);
    removed->left = removed->right = NULL;
    return removed;
}

static void set_room_below(struct fit_node *node, struct fit_key key, uint32_t room)
{
    assert(node != NULL);
    int order = key_order(key, node->key);
    if (order == 0)
        node->room = room;
    else
        set_room_below(order < 0 ? node->left : node->right, key, room);
    update(node);
}

void fit_tree_set_room(struct fit_tree *tree, struct fit_key key, uint32_t room)
{
    set_room_below(tree->root, key, room);
}

struct fit_node *fit_tree_find(const struct fit_tree *tree, struct fit_key key)
{
    struct fit_node *node = tree->root;
    while (node != NULL) {
        int order = key_order(key, node->key);
        if (order == 0)
            return node;
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

static struct fit_node *first_fit_below(struct fit_node *node, const struct fit_key *after,
                                        uint32_t room)
{
    if (node == NULL || node->most_room < room)
        return NULL;
    bool is_after = after == NULL || key_order(node->key, *after) > 0;
    if (is_after) {
        struct fit_node *earlier = first_fit_below(node->left, after, room);
        if (earlier != NULL)
            return earlier;
        if (node->room >= room)
            return node;
    }
    return first_fit_below(node->right, is_after ? NULL : after, room);
}

struct fit_node *fit_tree_first_fit(const struct fit_tree *tree, const struct fit_key *after,
                                    uint32_t room)
{
    return first_fit_below(tree->root, after, room);
}
