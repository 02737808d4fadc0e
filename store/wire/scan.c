#include "store/wire/scan.h"

#include <stdint.h>
#include <stdlib.h>

#define DEPTH_STRICT 2u  /* the map and one container in it */
#define DEPTH_LENIENT 9u /* the map and eight containers in each other */

/* Up to here comparing each key with each is cheaper than sorting them. */
#define FEW_KEYS 16u

enum shape { SHAPE_NONE, SHAPE_SCALAR, SHAPE_STR, SHAPE_ARRAY, SHAPE_MAP };

/* How a value begins: so many bytes of a length stand behind the first byte, and so many bytes
 * more follow in any case. */
struct form {
    unsigned char shape;
    unsigned char length_bytes;
    unsigned char fixed_bytes;
};

static const struct form forms[] = {
    {SHAPE_SCALAR, 0, 0},                                              /* c0 nil */
    {SHAPE_NONE, 0, 0},                                                /* c1 stands for nothing */
    {SHAPE_SCALAR, 0, 0}, {SHAPE_SCALAR, 0, 0},                        /* c2 bool */
    {SHAPE_SCALAR, 1, 0}, {SHAPE_SCALAR, 2, 0},  {SHAPE_SCALAR, 4, 0}, /* c4 bin */
    {SHAPE_SCALAR, 1, 1}, {SHAPE_SCALAR, 2, 1},  {SHAPE_SCALAR, 4, 1}, /* c7 ext and its type */
    {SHAPE_SCALAR, 0, 4}, {SHAPE_SCALAR, 0, 8},                        /* ca float */
    {SHAPE_SCALAR, 0, 1}, {SHAPE_SCALAR, 0, 2},  {SHAPE_SCALAR, 0, 4}, /* cc unsigned */
    {SHAPE_SCALAR, 0, 8},                                              /* cf */
    {SHAPE_SCALAR, 0, 1}, {SHAPE_SCALAR, 0, 2},  {SHAPE_SCALAR, 0, 4}, /* d0 signed */
    {SHAPE_SCALAR, 0, 8},                                              /* d3 */
    {SHAPE_SCALAR, 0, 2}, {SHAPE_SCALAR, 0, 3},  {SHAPE_SCALAR, 0, 5}, /* d4 fixext, its type */
    {SHAPE_SCALAR, 0, 9}, {SHAPE_SCALAR, 0, 17},                       /* d7 */
    {SHAPE_STR, 1, 0},    {SHAPE_STR, 2, 0},     {SHAPE_STR, 4, 0},    /* d9 str */
    {SHAPE_ARRAY, 2, 0},  {SHAPE_ARRAY, 4, 0},                         /* dc array */
    {SHAPE_MAP, 2, 0},    {SHAPE_MAP, 4, 0},                           /* de map */
};

_Static_assert(sizeof forms / sizeof forms[0] == 0xe0 - 0xc0, "a form for each of c0 to df");

struct scan {
    const unsigned char *at;
    const unsigned char *end;
    struct text *keys; /* a stack: the keys so far of the maps that are open */
    size_t key_count;
    enum scan_mode mode;
    const char *fault; /* NULL while all is well */
};

/* The first bytes of a value: its shape, and how many bytes or elements follow. */
struct head {
    enum shape shape;
    size_t size;
};

static bool fail(struct scan *scan, const char *fault)
{
    scan->fault = fault;
    return false;
}

static size_t bytes_left(const struct scan *scan)
{
    return (size_t)(scan->end - scan->at);
}

static bool skip(struct scan *scan, size_t bytes)
{
    if (bytes > bytes_left(scan))
        return fail(scan, "cut short");
    scan->at += bytes;
    return true;
}

static bool read_long_head(struct scan *scan, unsigned char first, struct head *out)
{
    const struct form *form = &forms[first - 0xc0];
    if (form->shape == SHAPE_NONE)
        return fail(scan, "byte c1");
    if (form->length_bytes > bytes_left(scan))
        return fail(scan, "cut short");
    size_t length = 0;
    for (unsigned i = 0; i < form->length_bytes; i++)
        length = length << 8 | *scan->at++;
    *out = (struct head){form->shape, length + form->fixed_bytes};
    return true;
}

static bool read_head(struct scan *scan, struct head *out)
{
    if (scan->at == scan->end)
        return fail(scan, "cut short");
    unsigned char first = *scan->at++;
    if (first >= 0xc0 && first <= 0xdf)
        return read_long_head(scan, first, out);
    if (first <= 0x7f || first >= 0xe0)
        *out = (struct head){SHAPE_SCALAR, 0};
    else if (first >= 0xa0)
        *out = (struct head){SHAPE_STR, first & 0x1f};
    else
        *out = (struct head){first >= 0x90 ? SHAPE_ARRAY : SHAPE_MAP, first & 0x0f};
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    const struct text *left = a;
    const struct text *right = b;
    if (left->len != right->len)
        return left->len < right->len ? -1 : 1;
    return memcmp(left->data, right->data, left->len);
}

static bool has_twins(struct text *keys, size_t count)
{
    if (count <= FEW_KEYS) {
        for (size_t i = 1; i < count; i++)
            for (size_t j = 0; j < i; j++)
                if (compare_keys(&keys[i], &keys[j]) == 0)
                    return true;
        return false;
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    for (size_t i = 1; i < count; i++)
        if (compare_keys(&keys[i - 1], &keys[i]) == 0)
            return true;
    return false;
}

static bool scan_value(struct scan *scan, unsigned depth);

static bool scan_key(struct scan *scan)
{
    struct head head;
    if (!read_head(scan, &head))
        return false;
    if (head.shape != SHAPE_STR)
        return fail(scan, "a key that is no str");
    const char *data = (const char *)scan->at;
    if (!skip(scan, head.size))
        return false;
    if (scan->key_count == SCAN_KEYS_MAX)
        return fail(scan, "too many keys");
    scan->keys[scan->key_count++] = (struct text){data, head.size};
    return true;
}

/* The pairs of a map whose keys count. */
static bool scan_pairs(struct scan *scan, size_t pairs, unsigned depth)
{
    size_t first = scan->key_count;
    for (size_t i = 0; i < pairs; i++)
        if (!scan_key(scan) || !scan_value(scan, depth))
            return false;
    if (has_twins(scan->keys + first, scan->key_count - first))
        return fail(scan, "a key twice");
    scan->key_count = first;
    return true;
}

static bool scan_elements(struct scan *scan, size_t count, unsigned depth)
{
    for (size_t i = 0; i < count; i++)
        if (!scan_value(scan, depth))
            return false;
    return true;
}

/* `depth`: how many containers may still be opened in each other, which bounds the recursion. */
static bool scan_container(struct scan *scan, struct head head, unsigned depth)
{
    if (depth == 0)
        return fail(scan, "too deep");
    size_t values = head.shape == SHAPE_MAP ? 2 * head.size : head.size;
    if (values > bytes_left(scan))
        return fail(scan, "more elements than bytes");
    if (head.shape == SHAPE_MAP && scan->mode == SCAN_STRICT)
        return scan_pairs(scan, head.size, depth - 1);
    return scan_elements(scan, values, depth - 1);
}

static bool scan_value(struct scan *scan, unsigned depth)
{
    struct head head;
    if (!read_head(scan, &head))
        return false;
    if (head.shape == SHAPE_ARRAY || head.shape == SHAPE_MAP)
        return scan_container(scan, head, depth);
    return skip(scan, head.size);
}

static bool scan_whole(struct scan *scan)
{
    struct head head;
    if (bytes_left(scan) > REQUEST_MAX_BYTES)
        return fail(scan, "too long");
    if (!read_head(scan, &head))
        return false;
    if (head.shape != SHAPE_MAP)
        return fail(scan, "not a map");
    if (head.size > bytes_left(scan) / 2)
        return fail(scan, "more elements than bytes");
    unsigned depth = scan->mode == SCAN_STRICT ? DEPTH_STRICT : DEPTH_LENIENT;
    if (!scan_pairs(scan, head.size, depth - 1))
        return false;
    return scan->at == scan->end || fail(scan, "trailing bytes");
}

const char *scan_body(struct text body, enum scan_mode mode, struct text *keys)
{
    if (body.len == 0)
        return "empty";
    const unsigned char *bytes = (const unsigned char *)body.data;
    struct scan scan = {.at = bytes, .end = bytes + body.len, .keys = keys, .mode = mode};
    scan_whole(&scan);
    return scan.fault;
}

static bool read_str(struct scan *scan, struct text *out)
{
    struct head head;
    if (!read_head(scan, &head) || head.shape != SHAPE_STR)
        return false;
    *out = (struct text){(const char *)scan->at, head.size};
    return skip(scan, head.size);
}

struct text scan_type(struct text body)
{
    const unsigned char *bytes = (const unsigned char *)body.data;
    struct scan scan = {.at = bytes, .end = bytes + body.len, .mode = SCAN_LENIENT};
    struct head map;
    struct text key;
    struct text type;
    if (body.len == 0 || !read_head(&scan, &map) || map.shape != SHAPE_MAP ||
        map.size > SCAN_KEYS_MAX)
        return text_none();
    for (size_t pairs = map.size; pairs > 0 && read_str(&scan, &key); pairs--) {
        if (text_equal(key, text_of("type")))
            return read_str(&scan, &type) ? type : text_none();
        if (!scan_value(&scan, DEPTH_LENIENT - 1))
            break;
    }
    return text_none();
}
