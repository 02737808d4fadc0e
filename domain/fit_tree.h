/* Things in order, each with some room: finds the first one, in order, with room enough.
 *
 * Batches by order of use with what they have available, and waiting lines by the time since which
 * they wait, with how little they ask. All work is logarithmic, so that a product may have any
 * number of either. A treap: a search tree by key, a heap by a priority drawn from the key (Aragon
 * and Seidel, "Randomized search trees"), in which each node knows the most room below it.
 *
 * Nodes belong to the caller, inside structs of its own; a tree never allocates. */
#ifndef DOMAIN_FIT_TREE_H
#define DOMAIN_FIT_TREE_H

#include <stddef.h>
#include <stdint.h>

struct fit_key {
    uint64_t major;
    uint64_t minor;
};

struct fit_node {
    struct fit_node *left;
    struct fit_node *right;
    struct fit_key key;
    uint32_t room;
    uint32_t most_room; /* in this node and below it */
};

struct fit_tree {
    struct fit_node *root; /* NULL: empty */
};

/* Requires: no node with this key is in the tree, and this node is in none. */
void fit_tree_insert(struct fit_tree *tree, struct fit_node *node, struct fit_key key,
                     uint32_t room);

/* Requires: a node with this key is in the tree. Returns it. */
struct fit_node *fit_tree_remove(struct fit_tree *tree, struct fit_key key);

/* Requires: a node with this key is in the tree. */
void fit_tree_set_room(struct fit_tree *tree, struct fit_key key, uint32_t room);

/* The node with that key, NULL where there is none. */
struct fit_node *fit_tree_find(const struct fit_tree *tree, struct fit_key key);

/* The first node after `after` (NULL: from the start) with at least `room`; NULL: none. */
struct fit_node *fit_tree_first_fit(const struct fit_tree *tree, const struct fit_key *after,
                                    uint32_t room);

/* The next node in order after `after` (NULL: the first one); NULL: none. */
static inline struct fit_node *fit_tree_next(const struct fit_tree *tree,
                                             const struct fit_key *after)
{
    return fit_tree_first_fit(tree, after, 0);
}

/* The most room that any node has, 0 in an empty tree. */
static inline uint32_t fit_tree_most_room(const struct fit_tree *tree)
{
    return tree->root != NULL ? tree->root->most_room : 0;
}

#endif
