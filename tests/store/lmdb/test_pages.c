/* The look at the pages of a data file. Numbers of a whole file are changed where LMDB would
 * believe them, one at a time, and each is found by its name. Other tests change bits by chance
 * (test_corruption.c, fuzz_pages.c); here the values lie on pages of their own as well, as those of
 * a node do only where its commands are large. */
#include "tests/support/verified_store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE_BYTES ((size_t)4096)

/* Offsets in LMDB's structs. */
enum { HEAD_NUMBER = 0, HEAD_FLAGS = 10, HEAD_LOWER = 12, HEAD_UPPER = 14, HEAD_SLOTS = 16 };
enum { NODE_LOW = 0, NODE_FLAGS = 4, NODE_KEY_SIZE = 6, NODE_KEY = 8 };
enum { TREE_PAD = 0, TREE_FLAGS = 4, TREE_DEPTH = 6, TREE_ENTRIES = 32, TREE_ROOT = 40 };
enum { META_FREE = 40, META_MAIN = 88, META_LAST = 136, META_TXN = 144 };

#define BIG "a big one"
#define BIGGER "a bigger one"

struct fixture {
    struct verified *store;
    unsigned char *whole;
    unsigned char *edited;
    size_t size;
    size_t len; /* of what is looked at */
    struct lmdb_pages_found found;
    char error[LMDB_PAGES_ERROR_BYTES];
};

/* ---- the file ---- */

static void put_big(struct verified *v, const char *key, size_t size)
{
    MDB_val k = lmdb_val(text_of(key));
    MDB_val value = {size, calloc(1, size)};
    assert_non_null(value.mv_data);
    assert_int_equal(mdb_put(v->txn, verified_table(v, "waiting"), &k, &value, 0), 0);
    free(value.mv_data);
}

static void read_file(struct fixture *f)
{
    char path[160];
    struct stat status;
    snprintf(path, sizeof path, "%s/data.mdb", f->store->directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    f->size = (size_t)status.st_size;
    f->whole = malloc(f->size);
    f->edited = malloc(f->size);
    assert_true(f->whole != NULL && f->edited != NULL);
    assert_int_equal(pread(fd, f->whole, f->size, 0), f->size);
    close(fd);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    void *store;
    assert_non_null(f);
    verified_set_up(&store);
    f->store = store;
    verified_begin(f->store);
    put_big(f->store, BIG, 2 * PAGE_BYTES);
    put_big(f->store, BIGGER, 5 * PAGE_BYTES);
    put_big(f->store, "a third", 3 * PAGE_BYTES);
    verified_commit(f->store);
    verified_begin(f->store);
    verified_drop(f->store, "waiting", text_of("a third")); /* its pages become free */
    verified_commit(f->store);
    read_file(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    void *store = f->store;
    verified_tear_down(&store);
    free(f->whole);
    free(f->edited);
    free(f);
    return 0;
}

static void begin_edit(struct fixture *f)
{
    memcpy(f->edited, f->whole, f->size);
    f->len = f->size;
}

static uint64_t get(const struct fixture *f, size_t at, size_t size)
{
    uint64_t number = 0;
    assert_true(at + size <= f->size);
    memcpy(&number, f->edited + at, size);
    return number;
}

static void put(struct fixture *f, size_t at, size_t size, uint64_t number)
{
    assert_true(at + size <= f->size);
    memcpy(f->edited + at, &number, size);
}

/* ---- places in it, of the newest snapshot ---- */

static size_t meta_at(const struct fixture *f)
{
    return get(f, META_TXN, 8) > get(f, PAGE_BYTES + META_TXN, 8) ? 0 : PAGE_BYTES;
}

static size_t root_of(const struct fixture *f, size_t tree)
{
    return (size_t)get(f, tree + TREE_ROOT, 8) * PAGE_BYTES;
}

static size_t slot_count(const struct fixture *f, size_t page)
{
    return (size_t)(get(f, page + HEAD_LOWER, 2) - HEAD_SLOTS) / 2;
}

static size_t node_at(const struct fixture *f, size_t page, size_t index)
{
    return page + (size_t)get(f, page + HEAD_SLOTS + 2 * index, 2);
}

/* The node of that key on a page. */
static size_t find(const struct fixture *f, size_t page, const char *key)
{
    for (size_t i = 0; i < slot_count(f, page); i++) {
        size_t node = node_at(f, page, i);
        size_t len = (size_t)get(f, node + NODE_KEY_SIZE, 2);
        if (len == strlen(key) && memcmp(f->edited + node + NODE_KEY, key, len) == 0)
            return node;
    }
    fail_msg("no %s", key);
    return 0;
}

static size_t value_at(const struct fixture *f, size_t node)
{
    return node + NODE_KEY + (size_t)get(f, node + NODE_KEY_SIZE, 2);
}

/* The head of the tree of a table. */
static size_t table_at(const struct fixture *f, const char *name)
{
    return value_at(f, find(f, root_of(f, meta_at(f) + META_MAIN), name));
}

static size_t big_node(const struct fixture *f, const char *key)
{
    return find(f, root_of(f, table_at(f, "waiting")), key);
}

static size_t big_page(const struct fixture *f, const char *key)
{
    return (size_t)get(f, value_at(f, big_node(f, key)), 8) * PAGE_BYTES;
}

/* ---- what is found ---- */

static bool look(struct fixture *f, enum lmdb_pages_depth depth)
{
    /* A copy of its own length, so that a read behind its end is seen. */
    unsigned char *copy = malloc(f->len);
    assert_non_null(copy);
    memcpy(copy, f->edited, f->len);
    f->error[0] = '\0';
    bool is_whole = lmdb_pages_check(copy, f->len, &depth, &f->found, f->error);
    free(copy);
    return is_whole;
}

/* What was changed is found, and named by these words. The next edit is of the whole file. */
static void expect(struct fixture *f, const char *words)
{
    if (look(f, LMDB_PAGES_STRUCTURE))
        fail_msg("not found: %s", words);
    if (strstr(f->error, words) == NULL)
        fail_msg("not \"%s\" but: %s", words, f->error);
    begin_edit(f);
}

static void a_whole_file_with_big_values(void **state)
{
    struct fixture *f = *state;
    begin_edit(f);
    assert_true(look(f, LMDB_PAGES_METAS));
    if (!look(f, LMDB_PAGES_STRUCTURE))
        fail_msg("%s", f->error);
    assert_true(f->found.used > 10);
    assert_true(f->found.free >= 4); /* those of the third */
    assert_false(look(f, LMDB_PAGES_RECORDS));
    assert_non_null(strstr(f->error, "of table waiting")); /* zeros are no record */
}

static void pages_of_a_big_value(void **state)
{
    struct fixture *f = *state;
    begin_edit(f);
    size_t number = value_at(f, big_node(f, BIG));
    put(f, number, 8, 1);
    expect(f, "page 1 is outside of the file");
    put(f, number, 8, f->size / PAGE_BYTES - 1);
    expect(f, "is outside of the file");
    put(f, number, 8, UINT64_MAX);
    expect(f, "is outside of the file");
    put(f, number, 8, get(f, value_at(f, big_node(f, BIGGER)), 8));
    expect(f, "is used twice");
    put(f, number, 8, get(f, table_at(f, "lines") + TREE_ROOT, 8));
    expect(f, "is used twice");
    put(f, big_page(f, BIG) + HEAD_NUMBER, 8, 7777);
    expect(f, "of table waiting");
    put(f, big_page(f, BIG) + HEAD_FLAGS, 2, 2);
    expect(f, "of table waiting");
    put(f, big_page(f, BIG) + HEAD_LOWER, 4, 1);
    expect(f, "of table waiting");
    put(f, big_page(f, BIG) + HEAD_LOWER, 4, UINT32_MAX);
    expect(f, "outside of the file");
    put(f, big_page(f, BIGGER) + HEAD_LOWER, 4, get(f, big_page(f, BIGGER) + HEAD_LOWER, 4) + 1);
    expect(f, ""); /* what comes behind it is of another, or the counts are wrong */
}

static void counts_of_a_tree(void **state)
{
    struct fixture *f = *state;
    begin_edit(f);
    for (size_t at = 8; at <= TREE_ENTRIES; at += 8) {
        size_t head = table_at(f, "waiting") + at;
        put(f, head, 8, get(f, head, 8) + 1);
        expect(f, "the counts of table waiting");
    }
    size_t head = table_at(f, "waiting");
    put(f, head + TREE_ROOT, 8, UINT64_MAX);
    expect(f, "the counts of table waiting");
    put(f, head + TREE_DEPTH, 2, 0);
    expect(f, "the counts of table waiting");
    put(f, head + TREE_DEPTH, 2, 33);
    expect(f, "the counts of table waiting");
    put(f, head + TREE_DEPTH, 2, 2);
    expect(f, "of table waiting");
    put(f, head + TREE_ROOT, 8, f->size);
    expect(f, "is outside of the file");
    head = meta_at(f) + META_MAIN;
    put(f, head + TREE_ENTRIES, 8, 8);
    expect(f, "the counts of table of tables");
}

static void names_and_flags_of_tables(void **state)
{
    struct fixture *f = *state;
    begin_edit(f);
    size_t main = root_of(f, meta_at(f) + META_MAIN);
    f->edited[find(f, main, "waiting") + NODE_KEY + 6] = 'h';
    expect(f, "the name of table ");
    put(f, find(f, main, "waiting") + NODE_FLAGS, 2, 0);
    expect(f, "the name of table ");
    put(f, table_at(f, "waiting") + TREE_FLAGS, 2, 8);
    expect(f, "the flags of table waiting");
    put(f, table_at(f, "waiting") + TREE_PAD, 4, 1);
    expect(f, "the flags of table waiting");
    put(f, big_node(f, BIG) + NODE_FLAGS, 2, get(f, big_node(f, BIG) + NODE_FLAGS, 2) | 2);
    expect(f, "of table waiting is a table");
    put(f, big_node(f, BIG) + NODE_FLAGS, 2, 4);
    expect(f, "of table waiting");
}

static void the_head_and_the_nodes_of_a_page(void **state)
{
    struct fixture *f = *state;
    begin_edit(f);
    size_t page = root_of(f, table_at(f, "waiting"));
    size_t slots = page + HEAD_SLOTS;
    put(f, page + HEAD_NUMBER, 8, 1);
    expect(f, "of table waiting");
    put(f, page + HEAD_LOWER, 2, 17);
    expect(f, "of table waiting");
    put(f, page + HEAD_LOWER, 2, HEAD_SLOTS);
    expect(f, "of table waiting");
    put(f, page + HEAD_UPPER, 2, PAGE_BYTES + 2);
    expect(f, "of table waiting");
    put(f, page + HEAD_LOWER, 2, PAGE_BYTES);
    expect(f, "of table waiting");
    put(f, slots, 2, get(f, slots, 2) + 1); /* odd */
    expect(f, "of table waiting");
    put(f, slots, 2, PAGE_BYTES - 2); /* its head is not in the page */
    expect(f, "of table waiting");
    put(f, slots, 2, HEAD_SLOTS); /* among the slots */
    expect(f, "of table waiting");
    put(f, slots, 2, get(f, slots + 2, 2)); /* the same twice */
    expect(f, "of table waiting");
    put(f, node_at(f, page, 0) + NODE_KEY_SIZE, 2, PAGE_BYTES);
    expect(f, "of table waiting");
    put(f, node_at(f, page, 0) + NODE_KEY_SIZE, 2, 0);
    expect(f, "of table waiting");
    put(f, big_node(f, BIG) + NODE_FLAGS, 2, 0); /* a value larger than the page */
    expect(f, "of table waiting");
    size_t low = (node_at(f, page, 0) < node_at(f, page, 1)) ? 0 : 1;
    size_t key = node_at(f, page, low) + NODE_KEY_SIZE; /* reaches into the next one */
    put(f, key, 2, get(f, key, 2) + 8);
    expect(f, "of table waiting");
    uint64_t first = get(f, slots, 2);
    put(f, slots, 2, get(f, slots + 2, 2)); /* in the wrong order */
    put(f, slots + 2, 2, first);
    expect(f, "of table waiting");
}

static void the_list_of_free_pages(void **state)
{
    struct fixture *f = *state;
    begin_edit(f);
    size_t page = root_of(f, meta_at(f) + META_FREE);
    size_t list = value_at(f, node_at(f, page, 0));
    assert_true(get(f, list, 8) >= 1);
    uint64_t last = get(f, meta_at(f) + META_LAST, 8);
    put(f, list, 8, UINT64_MAX);
    expect(f, "list 1 of the free pages");
    put(f, node_at(f, page, 0) + NODE_KEY, 8, 0);
    expect(f, "list 1 of the free pages");
    put(f, node_at(f, page, slot_count(f, page) - 1) + NODE_KEY, 8, UINT64_MAX);
    expect(f, " of the free pages");
    const uint64_t others[] = {0, 1, last + 1, UINT64_MAX,
                               get(f, table_at(f, "waiting") + TREE_ROOT, 8)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        put(f, list + 8, 8, others[i]);
        expect(f, "is in use, or twice, or outside of the file");
    }
}

static void the_metas(void **state)
{
    struct fixture *f = *state;
    begin_edit(f);
    size_t meta = meta_at(f);
    uint64_t last = get(f, meta + META_LAST, 8);
    put(f, PAGE_BYTES + META_FREE + TREE_PAD, 4, 2 * PAGE_BYTES);
    expect(f, "its two meta pages contradict each other");
    put(f, meta + META_FREE + TREE_FLAGS, 2, 0);
    expect(f, "meta page ");
    put(f, meta + META_LAST, 8, last + f->size);
    expect(f, "it is cut off: it has ");
    put(f, meta + META_LAST, 8, last + 8);
    expect(f, "it is cut off: page ");
    f->len = PAGE_BYTES + 100;
    expect(f, "it is cut off in its first pages");
    f->len = 10;
    expect(f, "it is cut off in its first pages");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_with_big_values),
        cmocka_unit_test(pages_of_a_big_value),
        cmocka_unit_test(counts_of_a_tree),
        cmocka_unit_test(names_and_flags_of_tables),
        cmocka_unit_test(the_head_and_the_nodes_of_a_page),
        cmocka_unit_test(the_list_of_free_pages),
        cmocka_unit_test(the_metas),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
