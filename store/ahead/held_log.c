#include "store/ahead/held_log.h"

#include "store/hash.h"

#include <assert.h>
#include <stdlib.h>

#define ITEMS_AT_FIRST ((size_t)1024)
#define BYTES_AT_FIRST ((size_t)64 * 1024)

static uint32_t hash_of(struct text ref)
{
    return (uint32_t)hash_bytes(ref.data, ref.len, 0);
}

/* ---- adding ---- */

static bool grow_items(struct held_log *log)
{
    size_t capacity = log->capacity > 0 ? 2 * log->capacity : ITEMS_AT_FIRST;
    uint32_t *hashes = realloc(log->hashes, capacity * sizeof *hashes);
    if (hashes == NULL)
        return false;
    log->hashes = hashes;
    struct held_item *items = realloc(log->items, capacity * sizeof *items);
    if (items == NULL)
        return false;
    log->items = items;
    log->capacity = capacity;
    return true;
}

static bool grow_bytes(struct held_log *log, size_t more)
{
    size_t capacity = log->bytes_capacity > 0 ? log->bytes_capacity : BYTES_AT_FIRST;
    while (capacity - log->bytes_len < more)
        capacity *= 2;
    char *bytes = capacity <= UINT32_MAX ? realloc(log->bytes, capacity) : NULL;
    if (bytes == NULL)
        return false;
    log->bytes = bytes;
    log->bytes_capacity = capacity;
    return true;
}

bool held_log_add(struct held_log *log, struct text ref, uint64_t seq, struct text orderid,
                  bool is_gone)
{
    assert(ref.len > 0 && ref.len <= UINT16_MAX && orderid.len <= UINT16_MAX);
    size_t len = ref.len + orderid.len;
    if (log->count == log->capacity && !grow_items(log))
        return false;
    if (log->bytes_capacity - log->bytes_len < len && !grow_bytes(log, len))
        return false;
    log->hashes[log->count] = hash_of(ref);
    log->items[log->count++] = (struct held_item){.seq = seq,
                                                  .at = (uint32_t)log->bytes_len,
                                                  .ref_len = (uint16_t)ref.len,
                                                  .orderid_len = (uint16_t)orderid.len,
                                                  .is_gone = is_gone};
    memcpy(log->bytes + log->bytes_len, ref.data, ref.len);
    memcpy(log->bytes + log->bytes_len + ref.len, orderid.data, orderid.len);
    log->bytes_len += len;
    return true;
}

/* ---- looking ---- */

const struct held_item *held_log_before(const struct held_log *log, struct text ref, size_t *at)
{
    uint32_t hash = hash_of(ref);
    assert(*at <= log->count);
    while (*at > 0) {
        const struct held_item *item = &log->items[--*at];
        if (log->hashes[*at] == hash && !item->is_gone && text_equal(held_item_ref(log, item), ref))
            return item;
    }
    return NULL;
}

/* ---- in order ---- */

/* An item on its way into order. */
struct sorted {
    uint32_t hash;
    uint32_t place;
    uint64_t seq;
};

/* Items of one hash, which are those of one ref as a rule. */
struct group {
    struct text ref; /* of the first */
    size_t begin;
    size_t end;
};

/* By hash, and of one hash the newest line first; of one line what came last. */
static int compare_items(const void *a, const void *b)
{
    const struct sorted *x = a;
    const struct sorted *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->seq != y->seq)
        return x->seq > y->seq ? -1 : 1;
    return (x->place < y->place) - (x->place > y->place);
}

static int compare_refs(const void *a, const void *b)
{
    return text_compare(((const struct group *)a)->ref, ((const struct group *)b)->ref);
}

/* Sorting numbers is cheap, and there are far fewer refs than items. */
static size_t find_groups(const struct held_log *log, const struct sorted *sorted,
                          struct group *groups)
{
    size_t count = 0;
    for (size_t i = 0; i < log->count; i++) {
        if (i == 0 || sorted[i].hash != sorted[i - 1].hash)
            groups[count++] =
                (struct group){.ref = held_item_ref(log, &log->items[sorted[i].place]), .begin = i};
        groups[count - 1].end = i + 1;
    }
    qsort(groups, count, sizeof *groups, compare_refs);
    return count;
}

static void fill(const struct sorted *sorted, const struct group *groups, size_t count,
                 size_t *order)
{
    size_t filled = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = groups[i].begin; j < groups[i].end; j++)
            order[filled++] = sorted[j].place;
}

size_t *held_log_order(const struct held_log *log)
{
    if (log->count == 0)
        return NULL;
    struct sorted *sorted = malloc(log->count * sizeof *sorted);
    struct group *groups = malloc(log->count * sizeof *groups);
    size_t *order = malloc(log->count * sizeof *order);
    if (sorted != NULL && groups != NULL && order != NULL) {
        for (size_t i = 0; i < log->count; i++)
            sorted[i] = (struct sorted){log->hashes[i], (uint32_t)i, log->items[i].seq};
        qsort(sorted, log->count, sizeof *sorted, compare_items);
        fill(sorted, groups, find_groups(log, sorted, groups), order);
    } else {
        free(order);
        order = NULL;
    }
    free(sorted);
    free(groups);
    return order;
}

bool held_log_has(const struct held_log *log, struct text ref, uint64_t seq)
{
    uint32_t hash = hash_of(ref);
    for (size_t i = 0; i < log->count; i++)
        if (log->hashes[i] == hash && log->items[i].seq == seq &&
            text_equal(held_item_ref(log, &log->items[i]), ref))
            return true;
    return false;
}

size_t held_log_bytes(const struct held_log *log)
{
    return log->count * (sizeof *log->hashes + sizeof *log->items) + log->bytes_len;
}

void held_log_clear(struct held_log *log)
{
    log->count = log->bytes_len = 0;
}

void held_log_release(struct held_log *log)
{
    free(log->hashes);
    free(log->items);
    free(log->bytes);
    *log = (struct held_log){.items = NULL};
}
