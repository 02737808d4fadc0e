/* The items of an entry of the journal: each reads as it was written, in its order, and whatever
 * else stands there is refused, or is another item that lies within its bytes. */
#include "store/wire/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ITEMS_MAX 32u

/* ---- items ---- */

static struct entry_item event(uint64_t line_seq, const char *body)
{
    return (struct entry_item){.kind = ENTRY_EVENT, .as.event = {line_seq, text_of(body)}};
}

static struct entry_item reply(const char *id, const char *request, enum outcome outcome,
                               bool duplicate, uint64_t seq, struct text batchref)
{
    struct entry_reply of = {text_of(id), text_of(request), outcome, duplicate, seq, batchref};
    return (struct entry_item){.kind = ENTRY_REPLY, .as.reply = of};
}

static bool is_same(const struct entry_item *a, const struct entry_item *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == ENTRY_EVENT)
        return a->as.event.line_seq == b->as.event.line_seq &&
               text_equal(a->as.event.body, b->as.event.body);
    const struct entry_reply *x = &a->as.reply;
    const struct entry_reply *y = &b->as.reply;
    return text_equal(x->id, y->id) && text_equal(x->request, y->request) &&
           x->outcome == y->outcome && x->duplicate == y->duplicate && x->seq == y->seq &&
           text_is_none(x->batchref) == text_is_none(y->batchref) &&
           text_equal(x->batchref, y->batchref);
}

static void add(struct entry_bytes *entry, const struct entry_item *item)
{
    if (item->kind == ENTRY_EVENT)
        assert_true(entry_add_event(entry, &item->as.event));
    else
        assert_true(entry_add_reply(entry, &item->as.reply));
}

/* Reads all items there are. Returns how many; *is_whole: they are all that stands there. */
static size_t read_all(struct text bytes, struct entry_item out[ITEMS_MAX], bool *is_whole)
{
    struct text rest = bytes;
    size_t count = 0;
    while (count < ITEMS_MAX && entry_next(&rest, &out[count]))
        count++;
    *is_whole = rest.len == 0;
    assert_true(rest.len <= bytes.len); /* what is no item stays where it is */
    assert_ptr_equal(rest.data + rest.len, bytes.data + bytes.len);
    return count;
}

static void expect(struct text bytes, const struct entry_item *items, size_t count)
{
    struct entry_item got[ITEMS_MAX];
    bool is_whole;
    assert_int_equal(read_all(bytes, got, &is_whole), count);
    assert_true(is_whole);
    for (size_t i = 0; i < count; i++)
        assert_true(is_same(&got[i], &items[i]));
}

/* ---- golden bytes ---- */

static void the_bytes_of_each_kind(void **state)
{
    static const char golden[] = "\x01\x06\xac\x02"
                                 "body"
                                 "\x01\x01\x00" /* of no body */
                                 "\x02\x10\x02id\x03req\x02ok\x01\xab\x02"
                                 "ref"
                                 "\x02\x11\x00\x00\x0cout_of_stock\x00\x00";
    const struct entry_item items[] = {event(300, "body"), event(0, ""),
                                       reply("id", "req", OUTCOME_DONE, true, 299, text_of("ref")),
                                       reply("", "", OUTCOME_OUT_OF_STOCK, false, 0, text_none())};
    struct entry_bytes entry = {.data = NULL};
    (void)state;
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        add(&entry, &items[i]);
    struct text bytes = entry_text(&entry);
    assert_int_equal(bytes.len, sizeof golden - 1);
    assert_memory_equal(bytes.data, golden, bytes.len);
    expect(bytes, items, sizeof items / sizeof *items);
    entry_release(&entry);
}

/* ---- written and read ---- */

static void an_empty_entry(void **state)
{
    (void)state;
    struct entry_bytes entry = {.data = NULL};
    expect(entry_text(&entry), NULL, 0);
    assert_false(text_is_none(entry_text(&entry))); /* the journal takes it for a body */
    entry_release(&entry);
}

static void each_outcome_and_the_largest_numbers(void **state)
{
    (void)state;
    struct entry_bytes entry = {.data = NULL};
    for (enum outcome outcome = OUTCOME_DONE; outcome < OUTCOMES; outcome++) {
        const struct entry_item items[] = {
            event(UINT64_MAX, "b"),
            reply("i", "r", outcome, outcome % 2, UINT64_MAX, text_of("b1"))};
        add(&entry, &items[0]);
        add(&entry, &items[1]);
        expect(entry_text(&entry), items, 2);
        entry_clear(&entry);
    }
    entry_release(&entry);
}

/* Lengths on both sides of those where their varint grows, and where memory does. */
static void bodies_of_all_lengths(void **state)
{
    static const size_t lengths[] = {0,     1,     126,   127,   128,   129,    16381,
                                     16382, 16383, 16384, 65535, 65536, 131072, 2097151};
    (void)state;
    char *body = calloc(1, 2097152);
    struct entry_bytes entry = {.data = NULL};
    struct entry_item items[sizeof lengths / sizeof *lengths];
    assert_non_null(body);
    memset(body, 'x', 2097151);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        items[i] = event(i, "");
        items[i].as.event.body = (struct text){body, lengths[i]};
        add(&entry, &items[i]);
        expect(entry_text(&entry), items, i + 1);
    }
    entry_release(&entry);
    free(body);
}

static void its_memory_is_used_again(void **state)
{
    (void)state;
    static char body[1024 * 1024];
    struct entry_bytes entry = {.data = NULL};
    const struct entry_item small = event(1, "small");
    struct entry_item large = event(1, "");
    large.as.event.body = (struct text){body, sizeof body};
    add(&entry, &small);
    const char *at = entry.data;
    entry_clear(&entry);
    assert_int_equal(entry_text(&entry).len, 0);
    add(&entry, &small);
    assert_ptr_equal(entry.data, at);
    for (unsigned i = 0; i < 20; i++) /* far more than a group does */
        add(&entry, &large);
    entry_clear(&entry);
    assert_null(entry.data);
    add(&entry, &small);
    expect(entry_text(&entry), &small, 1);
    entry_release(&entry);
    assert_null(entry.data);
}

/* ---- what else may stand there ---- */

static const struct entry_item *sample(size_t *count)
{
    static struct entry_item items[5];
    items[0] = event(0, "a body");
    items[1] = event(300, "another");
    items[2] = reply("id-1", "request", OUTCOME_DONE, false, 299, text_of("b1"));
    items[3] = reply("id-2", "request", OUTCOME_UNKNOWN_BATCH, false, 299, text_none());
    items[4] = event(7, "");
    *count = 5;
    return items;
}

/* All that is read lies within the bytes, and is written and read again as the same. */
static void expect_sound(struct text bytes)
{
    struct entry_item got[ITEMS_MAX];
    struct entry_bytes again = {.data = NULL};
    bool is_whole;
    size_t count = read_all(bytes, got, &is_whole);
    for (size_t i = 0; i < count; i++)
        add(&again, &got[i]); /* reads each of its texts */
    expect(entry_text(&again), got, count);
    entry_release(&again);
}

/* A copy that ends where the bytes do, so that a read behind them is seen. */
static struct text copy_of(struct text bytes)
{
    char *copy = malloc(bytes.len > 0 ? bytes.len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    return (struct text){copy, bytes.len};
}

static void release(struct text copy)
{
    free((void *)(uintptr_t)copy.data);
}

/* The items before the cut are there, and nothing else is. */
static void each_cut_is_seen(void **state)
{
    size_t count;
    const struct entry_item *items = sample(&count);
    struct entry_bytes entry = {.data = NULL};
    size_t ends[ITEMS_MAX] = {0};
    (void)state;
    for (size_t i = 0; i < count; i++) {
        add(&entry, &items[i]);
        ends[i] = entry.len;
    }
    for (size_t len = 0; len < entry.len; len++) {
        struct entry_item got[ITEMS_MAX];
        struct text cut = copy_of((struct text){entry.data, len});
        bool is_whole;
        size_t whole = 0;
        while (ends[whole] <= len)
            whole++;
        assert_int_equal(read_all(cut, got, &is_whole), whole);
        assert_int_equal(is_whole, len == (whole > 0 ? ends[whole - 1] : 0));
        expect_sound(cut);
        release(cut);
    }
    entry_release(&entry);
}

static void each_other_byte_does_no_harm(void **state)
{
    size_t count;
    const struct entry_item *items = sample(&count);
    struct entry_bytes entry = {.data = NULL};
    (void)state;
    for (size_t i = 0; i < count; i++)
        add(&entry, &items[i]);
    for (size_t at = 0; at < entry.len; at++) {
        for (unsigned change = 1; change < 256; change++) {
            struct text other = copy_of(entry_text(&entry));
            char *byte = (char *)(uintptr_t)&other.data[at];
            *byte = (char)((unsigned char)*byte ^ change);
            expect_sound(other);
            release(other);
        }
    }
    entry_release(&entry);
}

static void what_is_no_item(void **state)
{
    static const struct {
        const char *name;
        struct text bytes;
    } rows[] = {
        {"no kind", {"\x00\x01\x00", 3}},
        {"an unknown kind", {"\x03\x01\x00", 3}},
        {"no length", {"\x01", 1}},
        {"a length that does not end", {"\x01\x80", 2}},
        {"a length of more than 64 bits", {"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}},
        {"a length of all of memory", {"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 12}},
        {"an event of nothing", {"\x01\x00", 2}},
        {"a line that does not end", {"\x01\x01\x80", 3}},
        {"a reply of nothing", {"\x02\x00", 2}},
        {"an id behind its end", {"\x02\x02\x05i", 4}},
        {"an unknown outcome", {"\x02\x08\x00\x00\x02no\x00\x00r", 10}},
        {"an outcome that is cut", {"\x02\x07\x00\x00\x01o\x00\x00r", 9}},
        {"an outcome of nothing", {"\x02\x05\x00\x00\x00\x00\x00", 7}},
        {"a flag of 2", {"\x02\x07\x00\x00\x02ok\x02\x00", 9}},
        {"no seq", {"\x02\x06\x00\x00\x02ok\x00", 8}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text bytes = copy_of(rows[i].bytes);
        struct text rest = bytes;
        struct entry_item item;
        if (entry_next(&rest, &item) || rest.len != bytes.len || rest.data != bytes.data)
            fail_msg("%s is taken for an item", rows[i].name);
        release(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_of_each_kind),
        cmocka_unit_test(an_empty_entry),
        cmocka_unit_test(each_outcome_and_the_largest_numbers),
        cmocka_unit_test(bodies_of_all_lengths),
        cmocka_unit_test(its_memory_is_used_again),
        cmocka_unit_test(each_cut_is_seen),
        cmocka_unit_test(each_other_byte_does_no_harm),
        cmocka_unit_test(what_is_no_item),
    };
    return cmocka_run_group_tests_name("entry", tests, NULL, NULL);
}
