/* Records in the order of their keys, held against a list in which all is searched for. */
#include "store/ahead/overlay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LINES 6000u
#define KEY_BYTES 24u

struct expected {
    struct text key;
    uint64_t seq;
};

/* A row makes keys of numbers: all sorts of what they have in common. */
typedef int make_key(char out[KEY_BYTES], unsigned number);

static unsigned scatter(unsigned number)
{
    return number * 2654435761u;
}

static int any(char out[KEY_BYTES], unsigned number)
{
    return snprintf(out, KEY_BYTES, "%08x", scatter(number));
}

static int any_with_much_in_common(char out[KEY_BYTES], unsigned number)
{
    return snprintf(out, KEY_BYTES, "order-2026-%08x", scatter(number));
}

static int growing(char out[KEY_BYTES], unsigned number)
{
    return snprintf(out, KEY_BYTES, "order-%010u", number);
}

static int shrinking(char out[KEY_BYTES], unsigned number)
{
    return snprintf(out, KEY_BYTES, "order-%010u", LINES - number);
}

/* Each the beginning of others, and bytes on both sides of ASCII. */
static int of_many_lengths(char out[KEY_BYTES], unsigned number)
{
    number = scatter(number) % LINES;
    unsigned len = 1 + number % 10;
    for (unsigned i = 0; i < len; i++)
        out[i] = number / 10 >> i & 1 ? '\xff' : '\x01';
    return (int)len;
}

/* Most begin as they did the last time; some come before these, and some behind. */
static int few_beside_the_prefix(char out[KEY_BYTES], unsigned number)
{
    const char *const prefixes[] = {"order-", "order-", "order-", "order", "ordEr-", "orders", ""};
    number = scatter(number) % LINES;
    return snprintf(out, KEY_BYTES, "%s%u", prefixes[number % 7], number);
}

static const struct {
    const char *name;
    make_key *make;
} keys[] = {{"any", any},
            {"any with much in common", any_with_much_in_common},
            {"growing", growing},
            {"shrinking", shrinking},
            {"of many lengths", of_many_lengths},
            {"few beside the prefix", few_beside_the_prefix}};

static int by_key(const void *a, const void *b)
{
    return text_compare(((const struct expected *)a)->key, ((const struct expected *)b)->key);
}

static struct expected *find(struct expected *all, size_t count, struct text key)
{
    struct expected wanted = {key, 0};
    return bsearch(&wanted, all, count, sizeof *all, by_key);
}

/* Values of many lengths; that of seq 0 is gone. */
static struct text value_of(uint64_t seq)
{
    static char bytes[40];
    memset(bytes, (int)('a' + seq % 26), sizeof bytes);
    return (struct text){bytes, (size_t)(1 + seq % 37)};
}

static void put(struct overlay *overlay, struct text key, uint64_t seq)
{
    const struct overlay_item *item = overlay_put(overlay, key, value_of(seq));
    assert_non_null(item);
    assert_true(text_equal(overlay_key(item), key));
}

static void expect_record(const struct overlay_item *item, uint64_t seq)
{
    assert_int_equal(item->is_gone, seq == 0);
    if (seq != 0)
        assert_true(text_equal(overlay_value(item), value_of(seq)));
}

/* All of them, once and in order, from each one on; and nothing else. */
static void expect_all(const struct overlay *overlay, struct expected *all, size_t count)
{
    struct overlay_place place = overlay_seek(overlay, text_of(""));
    for (size_t i = 0; i < count; i++) {
        const struct overlay_item *line = overlay_at(&place);
        assert_non_null(line);
        assert_true(text_equal(overlay_key(line), all[i].key));
        expect_record(line, all[i].seq);
        assert_ptr_equal(overlay_find(overlay, all[i].key), line);
        struct overlay_place again = overlay_seek(overlay, all[i].key);
        assert_ptr_equal(overlay_at(&again), line);
        char behind[KEY_BYTES + 1]; /* the smallest key behind this one */
        memcpy(behind, all[i].key.data, all[i].key.len);
        behind[all[i].key.len] = '\0';
        struct text next = {behind, all[i].key.len + 1};
        again = overlay_seek(overlay, next);
        overlay_next(&place);
        assert_ptr_equal(overlay_at(&again), overlay_at(&place));
        assert_null(overlay_find(overlay, next));
    }
    assert_null(overlay_at(&place));
    const struct overlay_item *last = overlay_last(overlay);
    assert_true(count == 0 ? last == NULL
                           : last != NULL && text_equal(overlay_key(last), all[count - 1].key));
}

static void lines_of(struct overlay *overlay, make_key *make, unsigned lines)
{
    static char bytes[LINES][KEY_BYTES];
    static struct text set[LINES];
    static struct expected all[LINES];
    size_t count = 0;
    for (unsigned i = 0; i < lines; i++) {
        set[i] = (struct text){bytes[i], (size_t)make(bytes[i], i)};
        put(overlay, set[i], i + 1);
        all[i] = (struct expected){set[i], i + 1};
    }
    qsort(all, lines, sizeof *all, by_key);
    for (unsigned i = 0; i < lines; i++) { /* of those with one key the newest stays */
        if (count > 0 && text_equal(all[count - 1].key, all[i].key))
            all[count - 1].seq = all[i].seq > all[count - 1].seq ? all[i].seq : all[count - 1].seq;
        else
            all[count++] = all[i];
    }
    expect_all(overlay, all, count);
    for (unsigned i = 0; i < lines; i += 3) { /* a line is changed in its place */
        find(all, count, set[i])->seq = 0;
        assert_true(overlay_delete(overlay, set[i]));
    }
    expect_all(overlay, all, count);
}

static void lines_in_order(void **state)
{
    (void)state;
    const unsigned counts[] = {0, 1, 2, 48, 49, 97, LINES};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct overlay *overlay = overlay_new();
        assert_non_null(overlay);
        print_message("keys: %s\n", keys[i].name);
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            lines_of(overlay, keys[i].make, counts[j]);
            overlay_clear(overlay);
        }
        overlay_destroy(&overlay);
        assert_null(overlay);
    }
}

/* What it learned of the keys before is wrong for these. */
static void other_keys_than_before(void **state)
{
    (void)state;
    struct overlay *overlay = overlay_new();
    assert_non_null(overlay);
    for (size_t i = 0; i < 2 * sizeof keys / sizeof *keys; i++) {
        lines_of(overlay, keys[i * 5 % (sizeof keys / sizeof *keys)].make, 500);
        overlay_clear(overlay);
    }
    overlay_destroy(&overlay);
}

static void memory_is_counted_and_used_again(void **state)
{
    (void)state;
    struct overlay *overlay = overlay_new();
    size_t bytes = 0;
    assert_non_null(overlay);
    assert_int_equal(overlay_bytes(overlay), 0);
    for (unsigned round = 0; round < 3; round++) {
        lines_of(overlay, growing, LINES);
        assert_true(round == 0 || overlay_bytes(overlay) == bytes);
        bytes = overlay_bytes(overlay);
        assert_true(bytes > (size_t)LINES * 24 && bytes < (size_t)LINES * 300);
        overlay_clear(overlay);
        assert_int_equal(overlay_bytes(overlay), 0);
    }
    overlay_destroy(&overlay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_in_order),
        cmocka_unit_test(other_keys_than_before),
        cmocka_unit_test(memory_is_counted_and_used_again),
    };
    return cmocka_run_group_tests_name("overlay", tests, NULL, NULL);
}
