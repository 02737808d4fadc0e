/* The layout is that of LMDB 0.9 on a machine of 64 bits with the low byte first, as it stands in
 * the comments of its mdb.c. Bytes are copied out before they are looked at, so that nothing here
 * depends on alignment, and no number from the file is believed before it was bounded. */
#include "store/lmdb/pages.h"

#include "store/lmdb/env.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAGIC 0xBEEFC0DEu
#define DATA_VERSION 1u
#define NO_ROOT UINT64_MAX /* of an empty tree */
#define DEPTH_MAX 32u      /* LMDB's cursors go no deeper */
#define PAGE_MAX_BYTES 32768u
#define PAGE_MIN_BYTES 512u
#define FIRST_PAGE 2u /* the two before it are the metas */
#define KEY_BYTES_MAX 511u

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 };

struct page_head {
    uint64_t number;
    uint16_t pad; /* anything */
    uint16_t flags;
    uint16_t lower; /* of an overflow page, lower and upper are the number of its pages */
    uint16_t upper;
};

struct node_head {
    uint16_t low; /* of a leaf: the size of the value; of a branch: the page */
    uint16_t high;
    uint16_t flags; /* of a branch: the page, too */
    uint16_t key_size;
};

struct tree_head {
    uint32_t pad; /* of the free list in a meta: the size of a page */
    uint16_t flags;
    uint16_t depth;
    uint64_t branches;
    uint64_t leaves;
    uint64_t overflows;
    uint64_t entries;
    uint64_t root;
};

struct meta_page {
    struct page_head head;
    uint32_t magic;
    uint32_t version;
    uint64_t address;  /* not used with our flags */
    uint64_t map_size; /* every start sets its own */
    struct tree_head free;
    struct tree_head main;
    uint64_t last_page;
    uint64_t txn;
};

_Static_assert(sizeof(struct page_head) == 16 && sizeof(struct node_head) == 8 &&
                   sizeof(struct tree_head) == 48 && sizeof(struct meta_page) == 152,
               "LMDB's structs have no gaps");

enum mark { MARK_NONE, MARK_USED, MARK_FREE };

struct pages {
    const unsigned char *bytes;
    uint64_t count; /* whole pages in the file */
    size_t page_size;
    uint64_t last; /* of the snapshot */
    uint64_t txn;
    unsigned char *marks; /* of pages 0 .. last */
    bool checks_records;
    struct lmdb_pages_found found;
    char *error;
};

/* A tree on the way through it, in the order of its keys. */
struct tree {
    struct tree_head head;
    const char *name;
    bool (*take)(struct pages *p, struct tree *tree, struct text key, struct text value,
                 unsigned node_flags);
    struct tree_head seen; /* its counts alone */
    struct text last_key;  /* absent: none yet */
    struct text bound;     /* the next key is not below it; absent: there is none */
};

static bool fail(struct pages *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct pages *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->error, LMDB_PAGES_ERROR_BYTES, format, args);
    va_end(args);
    return false;
}

/* ---- pages ---- */

/* Marks pages as used by a tree, for the first time. */
static bool use_pages(struct pages *p, uint64_t number, uint64_t count)
{
    uint64_t end = p->last < p->count ? p->last + 1 : p->count;
    if (number < FIRST_PAGE || number >= end || count > end - number)
        return fail(p, "page %" PRIu64 " is outside of the file", number);
    for (uint64_t i = number; i < number + count; i++) {
        if (p->marks[i] != MARK_NONE)
            return fail(p, "page %" PRIu64 " is used twice", i);
        p->marks[i] = MARK_USED;
    }
    return true;
}

static const unsigned char *page_at(const struct pages *p, uint64_t number)
{
    return p->bytes + number * p->page_size;
}

static bool page_damaged(struct pages *p, const struct tree *tree, uint64_t number)
{
    return fail(p, "page %" PRIu64 " of table %s", number, tree->name);
}

static bool tree_damaged(struct pages *p, const struct tree *tree)
{
    return fail(p, "the counts of table %s", tree->name);
}

/* ---- keys ---- */

static int compare(const struct tree *tree, struct text a, struct text b)
{
    uint64_t x;
    uint64_t y;
    if ((tree->head.flags & MDB_INTEGERKEY) == 0)
        return text_compare(a, b);
    memcpy(&x, a.data, sizeof x);
    memcpy(&y, b.data, sizeof y);
    return (x > y) - (x < y);
}

static bool is_key(const struct tree *tree, struct text key)
{
    if ((tree->head.flags & MDB_INTEGERKEY) != 0)
        return key.len == sizeof(uint64_t);
    return key.len > 0 && key.len <= KEY_BYTES_MAX;
}

/* The key of a leaf comes behind the one before it, and is not below what leads to its page. */
static bool is_next_key(const struct tree *tree, struct text key)
{
    return is_key(tree, key) &&
           (text_is_none(tree->last_key) || compare(tree, key, tree->last_key) > 0) &&
           (text_is_none(tree->bound) || compare(tree, key, tree->bound) >= 0);
}

/* The key of a branch parts what is left of it from what is right of it. */
static bool is_separator(const struct tree *tree, struct text key)
{
    return is_key(tree, key) && !text_is_none(tree->last_key) &&
           compare(tree, key, tree->last_key) > 0;
}

/* ---- nodes ---- */

struct node {
    struct node_head head;
    struct text key;
    uint64_t size; /* in the page, the head counted */
};

static uint64_t value_size(const struct node_head *head)
{
    return (uint64_t)head->low | (uint64_t)head->high << 16;
}

/* Reads the node at an offset of a page. False: it does not lie within the nodes of the page. */
static bool read_node(const struct pages *p, const unsigned char *page,
                      const struct page_head *head, size_t offset, struct node *out)
{
    if (offset % 2 != 0 || offset < head->upper || offset + sizeof out->head > p->page_size)
        return false;
    memcpy(&out->head, page + offset, sizeof out->head);
    out->key = (struct text){(const char *)page + offset + sizeof out->head, out->head.key_size};
    out->size = sizeof out->head + out->head.key_size;
    if (head->flags == PAGE_LEAF)
        out->size += (out->head.flags & NODE_BIG) != 0 ? sizeof(uint64_t) : value_size(&out->head);
    return out->size <= p->page_size - offset;
}

static size_t node_count(const struct page_head *head)
{
    return (head->lower - sizeof *head) / 2;
}

static size_t node_offset(const unsigned char *page, size_t index)
{
    uint16_t offset;
    memcpy(&offset, page + sizeof(struct page_head) + 2 * index, sizeof offset);
    return offset;
}

/* Nodes fill the page from `upper` on, without a gap: LMDB closes each that a deletion leaves, and
 * relies on it when it adds and moves nodes. Their starts are even, so a bit for each is enough to
 * sort them. */
static bool are_side_by_side(const struct pages *p, const unsigned char *page,
                             const struct page_head *head)
{
    uint64_t starts[PAGE_MAX_BYTES / 2 / 64] = {0};
    size_t words = (p->page_size / 2 + 63) / 64;
    size_t end = head->upper;
    for (size_t i = 0; i < node_count(head); i++) {
        size_t half = node_offset(page, i) / 2;
        if ((starts[half / 64] & (uint64_t)1 << half % 64) != 0)
            return false;
        starts[half / 64] |= (uint64_t)1 << half % 64;
    }
    for (size_t word = 0; word < words; word++) {
        for (uint64_t bits = starts[word]; bits != 0; bits &= bits - 1) {
            size_t offset = 2 * (word * 64 + (size_t)__builtin_ctzll(bits));
            struct node node;
            if (offset != end || !read_node(p, page, head, offset, &node))
                return false;
            end = offset + (node.size + 1) / 2 * 2;
        }
    }
    return end == p->page_size;
}

/* The page is what its place in the tree asks for, and its nodes lie within it. */
static bool check_page(const struct pages *p, const unsigned char *page, uint64_t number,
                       bool is_leaf, struct page_head *head)
{
    memcpy(head, page, sizeof *head);
    if (head->number != number || head->flags != (is_leaf ? PAGE_LEAF : PAGE_BRANCH) ||
        head->lower % 2 != 0 || head->lower < sizeof *head + 2 || head->lower > head->upper ||
        head->upper > p->page_size)
        return false;
    for (size_t i = 0; i < node_count(head); i++) {
        struct node node;
        if (!read_node(p, page, head, node_offset(page, i), &node))
            return false;
    }
    return are_side_by_side(p, page, head);
}

/* ---- trees ---- */

/* The value of a leaf's node, which may be on pages of its own. */
static bool find_value(struct pages *p, struct tree *tree, const struct node *node,
                       struct text *out)
{
    const char *data = node->key.data + node->key.len;
    *out = (struct text){data, value_size(&node->head)};
    if ((node->head.flags & NODE_BIG) == 0)
        return true;
    uint64_t number;
    struct page_head head;
    uint32_t count;
    memcpy(&number, data, sizeof number);
    uint64_t needed = (sizeof head - 1 + out->len) / p->page_size + 1;
    if (!use_pages(p, number, needed))
        return false;
    memcpy(&head, page_at(p, number), sizeof head);
    memcpy(&count, page_at(p, number) + offsetof(struct page_head, lower), sizeof count);
    if (head.number != number || head.flags != PAGE_OVERFLOW || count < needed)
        return page_damaged(p, tree, number);
    if (count > needed && !use_pages(p, number + needed, count - needed))
        return false;
    tree->seen.overflows += count;
    out->data = (const char *)page_at(p, number) + sizeof head;
    return true;
}

static bool walk_leaf(struct pages *p, struct tree *tree, uint64_t number,
                      const struct page_head *head)
{
    const unsigned char *page = page_at(p, number);
    for (size_t i = 0; i < node_count(head); i++) {
        struct node node;
        struct text value;
        if (!read_node(p, page, head, node_offset(page, i), &node) ||
            (node.head.flags & ~(NODE_BIG | NODE_TREE)) != 0 || !is_next_key(tree, node.key))
            return page_damaged(p, tree, number);
        tree->last_key = node.key;
        tree->bound = text_none();
        tree->seen.entries++;
        if (!find_value(p, tree, &node, &value) ||
            !tree->take(p, tree, node.key, value, node.head.flags))
            return false;
    }
    return true;
}

/* `level` counts from the root, which is 1. */
static bool walk_page(struct pages *p, struct tree *tree, uint64_t number, unsigned level)
{
    struct page_head head;
    bool is_leaf = level == tree->head.depth;
    uint64_t *seen = is_leaf ? &tree->seen.leaves : &tree->seen.branches;
    if (!use_pages(p, number, 1))
        return false;
    const unsigned char *page = page_at(p, number);
    if (++*seen > p->count || !check_page(p, page, number, is_leaf, &head))
        return page_damaged(p, tree, number);
    if (is_leaf)
        return walk_leaf(p, tree, number, &head);
    for (size_t i = 0; i < node_count(&head); i++) {
        struct node node;
        if (!read_node(p, page, &head, node_offset(page, i), &node) ||
            (i > 0 && !is_separator(tree, node.key)))
            return page_damaged(p, tree, number);
        if (i > 0) /* LMDB does not look at the key of the first one */
            tree->bound = node.key;
        uint64_t child = value_size(&node.head) | (uint64_t)node.head.flags << 32;
        if (!walk_page(p, tree, child, level + 1))
            return false;
    }
    return true;
}

static bool walk_tree(struct pages *p, struct tree *tree)
{
    const struct tree_head *head = &tree->head;
    if (head->root == NO_ROOT)
        return (head->depth == 0 && head->branches == 0 && head->leaves == 0 &&
                head->overflows == 0 && head->entries == 0) ||
               tree_damaged(p, tree);
    if (head->depth == 0 || head->depth > DEPTH_MAX)
        return tree_damaged(p, tree);
    if (!walk_page(p, tree, head->root, 1))
        return false;
    return (tree->seen.branches == head->branches && tree->seen.leaves == head->leaves &&
            tree->seen.overflows == head->overflows && tree->seen.entries == head->entries) ||
           tree_damaged(p, tree);
}

/* ---- what the trees hold ---- */

static bool take_record(struct pages *p, struct tree *tree, struct text key, struct text value,
                        unsigned node_flags)
{
    if ((node_flags & NODE_TREE) != 0)
        return fail(p, "a record of table %s is a table", tree->name);
    if (p->checks_records && !record_is_sound(key, value))
        return fail(p, "record %" PRIu64 " of table %s", tree->seen.entries, tree->name);
    p->found.entries++;
    return true;
}

static const char *const table_names[TABLES] = {
#define TABLE(upper, lower, what) #lower,
    LMDB_TABLES(TABLE)
#undef TABLE
};

static bool take_table(struct pages *p, struct tree *tree, struct text key, struct text value,
                       unsigned node_flags)
{
    size_t i = 0;
    while (i < TABLES && !text_equal(key, text_of(table_names[i])))
        i++;
    struct tree table = {.take = take_record};
    if (i == TABLES || node_flags != NODE_TREE || value.len != sizeof table.head)
        return fail(p, "the name of table %" PRIu64, tree->seen.entries);
    table.name = table_names[i];
    memcpy(&table.head, value.data, sizeof table.head);
    if (table.head.flags != 0 || table.head.pad != 0)
        return fail(p, "the flags of table %s", table.name);
    return walk_tree(p, &table);
}

/* A list of pages: how many, then their numbers. It may have room for more. */
static bool take_free_pages(struct pages *p, struct tree *tree, struct text key, struct text value,
                            unsigned node_flags)
{
    uint64_t txn;
    uint64_t count = 0;
    memcpy(&txn, key.data, sizeof txn);
    if (value.len >= sizeof count)
        memcpy(&count, value.data, sizeof count);
    if ((node_flags & NODE_TREE) != 0 || txn == 0 || txn > p->txn || value.len < sizeof count ||
        count > value.len / sizeof count - 1)
        return fail(p, "list %" PRIu64 " of the free pages", tree->seen.entries);
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t number;
        memcpy(&number, value.data + i * sizeof number, sizeof number);
        if (number < FIRST_PAGE || number > p->last || p->marks[number] != MARK_NONE)
            return fail(p, "free page %" PRIu64 " is in use, or twice, or outside of the file",
                        number);
        p->marks[number] = MARK_FREE;
    }
    return true;
}

/* ---- metas ---- */

static bool read_meta(struct pages *p, unsigned index, size_t at, size_t len, struct meta_page *out)
{
    if (at > len || len - at < sizeof *out) {
        fail(p, "it is cut off in its first pages");
        return false;
    }
    memcpy(out, p->bytes + at, sizeof *out);
    if (out->head.number != index || out->head.flags != PAGE_META || out->magic != MAGIC ||
        out->version != DATA_VERSION || out->free.flags != MDB_INTEGERKEY || out->main.flags != 0 ||
        out->free.pad < PAGE_MIN_BYTES || out->free.pad > PAGE_MAX_BYTES ||
        (out->free.pad & (out->free.pad - 1)) != 0 || out->last_page < FIRST_PAGE - 1) {
        fail(p, "meta page %u", index);
        return false;
    }
    return true;
}

/* Transaction n writes meta n % 2, so they are one apart, unless there was none yet. */
static bool are_in_step(const struct meta_page metas[2])
{
    uint64_t even = metas[0].txn;
    uint64_t odd = metas[1].txn;
    if (even == 0 && odd == 0)
        return true;
    return even % 2 == 0 && odd % 2 == 1 && (even + 1 == odd || odd + 1 == even);
}

/* ---- all of it ---- */

/* Pages behind the end of the file were never written: they are free. */
static bool count_pages(struct pages *p)
{
    for (uint64_t i = FIRST_PAGE; i <= p->last; i++) {
        p->found.used += p->marks[i] == MARK_USED;
        p->found.free += p->marks[i] == MARK_FREE;
        p->found.unused += p->marks[i] == MARK_NONE;
        if (i >= p->count && p->marks[i] != MARK_FREE)
            return fail(p, "it is cut off: page %" PRIu64 " of %" PRIu64 " is missing", i, p->last);
    }
    return true;
}

/* All that a meta leads to. */
static bool walk_snapshot(struct pages *p, const struct meta_page *meta)
{
    struct tree main = {.head = meta->main, .name = "of tables", .take = take_table};
    struct tree free_list = {.head = meta->free, .name = "of free pages", .take = take_free_pages};
    free_list.head.pad = 0;
    return walk_tree(p, &main) && walk_tree(p, &free_list) && count_pages(p);
}

static bool walk_all(struct pages *p, const struct meta_page *meta)
{
    /* A number in the list of free pages takes 8 bytes, so there are not too many to be marked. */
    if (meta->last_page / (p->page_size / sizeof(uint64_t)) > p->count)
        return fail(p, "it is cut off: it has %" PRIu64 " of %" PRIu64 " pages", p->count,
                    meta->last_page + 1);
    p->last = meta->last_page;
    p->txn = meta->txn;
    p->marks = calloc(meta->last_page + 1, 1);
    if (p->marks == NULL)
        return fail(p, "there is no memory to look at it");
    bool is_whole = walk_snapshot(p, meta);
    free(p->marks);
    p->marks = NULL;
    return is_whole;
}

/* Looks at all pages of a file that is shorter than its metas say, too: it may be whole even so. */
static bool check(struct pages *p, size_t len, enum lmdb_pages_depth *depth)
{
    struct meta_page metas[2];
    if (!read_meta(p, 0, 0, len, &metas[0]) || !read_meta(p, 1, metas[0].free.pad, len, &metas[1]))
        return false;
    p->page_size = metas[0].free.pad;
    p->count = len / p->page_size;
    if (metas[0].free.pad != metas[1].free.pad || !are_in_step(metas))
        return fail(p, "its two meta pages contradict each other");
    const struct meta_page *newest = &metas[metas[1].txn > metas[0].txn];
    if (*depth == LMDB_PAGES_METAS && newest->last_page >= p->count)
        *depth = LMDB_PAGES_STRUCTURE;
    p->checks_records = *depth == LMDB_PAGES_RECORDS;
    return *depth == LMDB_PAGES_METAS || walk_all(p, newest);
}

bool lmdb_pages_check(const void *bytes, size_t len, enum lmdb_pages_depth *depth,
                      struct lmdb_pages_found *found, char error[LMDB_PAGES_ERROR_BYTES])
{
    struct pages p = {.bytes = bytes};
    p.error = error;
    bool is_whole = check(&p, len, depth);
    *found = p.found;
    return is_whole;
}
