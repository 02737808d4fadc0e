/* The tree against a sorted array, in which everything is looked for from the start. */
#include "domain/fit_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROWS_MAX 300u

struct row {
    struct fit_key key;
    uint32_t room;
    struct fit_node node;
};

/* Rows sorted by key. A row stays where it is in memory, as the tree points into it. */
struct sorted {
    struct row *rows[ROWS_MAX];
    size_t count;
};

static uint64_t random_state;

static uint32_t draw(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static int key_order(struct fit_key a, struct fit_key b)
{
    if (a.major != b.major)
        return a.major < b.major ? -1 : 1;
    return (a.minor > b.minor) - (a.minor < b.minor);
}

static struct row *find(const struct sorted *sorted, struct fit_key key)
{
    for (size_t i = 0; i < sorted->count; i++)
        if (key_order(sorted->rows[i]->key, key) == 0)
            return sorted->rows[i];
    return NULL;
}

static void insert(struct sorted *sorted, struct row *row)
{
    size_t at = sorted->count++;
    for (; at > 0 && key_order(sorted->rows[at - 1]->key, row->key) > 0; at--)
        sorted->rows[at] = sorted->rows[at - 1];
    sorted->rows[at] = row;
}

static struct row *remove_at(struct sorted *sorted, size_t at)
{
    struct row *row = sorted->rows[at];
    sorted->count--;
    memmove(&sorted->rows[at], &sorted->rows[at + 1],
            (sorted->count - at) * sizeof sorted->rows[0]);
    return row;
}

static struct fit_node *first_fit(const struct sorted *sorted, const struct fit_key *after,
                                  uint32_t room)
{
    for (size_t i = 0; i < sorted->count; i++)
        if ((after == NULL || key_order(sorted->rows[i]->key, *after) > 0) &&
            sorted->rows[i]->room >= room)
            return &sorted->rows[i]->node;
    return NULL;
}

static uint32_t most_room(const struct sorted *sorted)
{
    uint32_t most = 0;
    for (size_t i = 0; i < sorted->count; i++)
        most = sorted->rows[i]->room > most ? sorted->rows[i]->room : most;
    return most;
}

static void compare_all(const struct fit_tree *tree, const struct sorted *sorted)
{
    assert_int_equal(fit_tree_most_room(tree), most_room(sorted));
    const struct fit_node *node = fit_tree_next(tree, NULL);
    for (size_t i = 0; i < sorted->count; i++) {
        assert_ptr_equal(node, &sorted->rows[i]->node);
        assert_int_equal(node->room, sorted->rows[i]->room);
        node = fit_tree_next(tree, &sorted->rows[i]->key);
    }
    assert_null(node);
}

/* Few different keys, so that most of them are in the tree; the biggest ones among them. */
static struct fit_key draw_key(void)
{
    struct fit_key key = {draw(6), draw(70)};
    if (key.major == 5)
        key.major = UINT64_MAX;
    if (key.minor == 69)
        key.minor = UINT64_MAX;
    return key;
}

static uint32_t draw_room(void)
{
    static const uint32_t extremes[] = {0, 1, UINT32_MAX, UINT32_MAX - 1};
    return draw(10) == 0 ? extremes[draw(4)] : draw(50);
}

static void step(struct fit_tree *tree, struct sorted *sorted, struct row *spare[], size_t *spares)
{
    struct fit_key key = draw_key();
    uint32_t room = draw_room();
    struct row *row = find(sorted, key);
    switch (draw(6)) {
    case 0:
    case 1:
        if (row != NULL || *spares == 0)
            break;
        row = spare[--*spares];
        row->key = key;
        row->room = room;
        insert(sorted, row);
        fit_tree_insert(tree, &row->node, key, room);
        break;
    case 2:
        if (sorted->count == 0)
            break;
        row = remove_at(sorted, draw((uint32_t)sorted->count));
        assert_ptr_equal(fit_tree_remove(tree, row->key), &row->node);
        spare[(*spares)++] = row;
        break;
    case 3:
        if (row == NULL)
            break;
        row->room = room;
        fit_tree_set_room(tree, key, room);
        break;
    case 4:
        assert_ptr_equal(fit_tree_find(tree, key), row != NULL ? &row->node : NULL);
        break;
    default:
        assert_ptr_equal(fit_tree_first_fit(tree, &key, room), first_fit(sorted, &key, room));
        assert_ptr_equal(fit_tree_first_fit(tree, NULL, room), first_fit(sorted, NULL, room));
    }
}

static void the_tree_answers_as_a_sorted_array_would(void **state)
{
    (void)state;
    static struct row rows[ROWS_MAX];
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fit_tree tree = {NULL};
        struct sorted sorted = {.count = 0};
        struct row *spare[ROWS_MAX];
        size_t spares = ROWS_MAX;
        random_state = seed;
        for (size_t i = 0; i < ROWS_MAX; i++)
            spare[i] = &rows[i];
        for (uint32_t i = 0; i < 5000; i++) {
            step(&tree, &sorted, spare, &spares);
            if (i % 50 == 0)
                compare_all(&tree, &sorted);
        }
        compare_all(&tree, &sorted);
        while (sorted.count > 0)
            fit_tree_remove(&tree, remove_at(&sorted, draw((uint32_t)sorted.count))->key);
        assert_null(tree.root);
    }
}

static void an_empty_tree_has_nothing(void **state)
{
    (void)state;
    struct fit_tree tree = {NULL};
    struct fit_key key = {1, 2};
    assert_null(fit_tree_find(&tree, key));
    assert_null(fit_tree_next(&tree, NULL));
    assert_null(fit_tree_first_fit(&tree, &key, 0));
    assert_int_equal(fit_tree_most_room(&tree), 0);
}

static uint32_t height(const struct fit_node *node)
{
    if (node == NULL)
        return 0;
    uint32_t left = height(node->left);
    uint32_t right = height(node->right);
    return 1 + (left > right ? left : right);
}

/* Batches come with keys that grow, which would make a list of a plain tree. */
static void keys_in_order_make_no_list(void **state)
{
    enum { NODES = 20000 };
    static struct fit_node nodes[3][NODES];
    (void)state;
    struct fit_tree growing = {NULL};
    struct fit_tree shrinking = {NULL};
    struct fit_tree dated = {NULL};
    for (uint32_t i = 0; i < NODES; i++) {
        fit_tree_insert(&growing, &nodes[0][i], (struct fit_key){0, i}, i);
        fit_tree_insert(&shrinking, &nodes[1][i], (struct fit_key){0, NODES - i}, i);
        fit_tree_insert(&dated, &nodes[2][i], (struct fit_key){20300101 + i % 28, i}, i);
    }
    assert_true(height(growing.root) < 64);
    assert_true(height(shrinking.root) < 64);
    assert_true(height(dated.root) < 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_tree_has_nothing),
        cmocka_unit_test(the_tree_answers_as_a_sorted_array_would),
        cmocka_unit_test(keys_in_order_make_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
