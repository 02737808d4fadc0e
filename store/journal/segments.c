#include "store/journal/segments.h"

#include <stdlib.h>

static void forget_places(struct segment_info *info)
{
    free(info->places);
    info->places = NULL;
    info->place_count = info->place_capacity = 0;
    info->is_indexed = false;
}

void segments_release(struct segments *segments)
{
    for (size_t i = 0; i < segments->count; i++)
        forget_places(&segments->items[i]);
    free(segments->items);
    *segments = (struct segments){0};
}

bool segments_reserve(struct segments *segments, uint64_t count)
{
    if (count <= segments->capacity)
        return true;
    size_t capacity = segments->capacity == 0 ? 16 : segments->capacity;
    while (capacity < count) {
        if (capacity > SIZE_MAX / 4 / sizeof *segments->items)
            return false;
        capacity *= 2;
    }
    struct segment_info *items = realloc(segments->items, capacity * sizeof *items);
    if (items == NULL)
        return false;
    segments->items = items;
    segments->capacity = capacity;
    return true;
}

struct segment_info *segments_add(struct segments *segments, uint64_t number, uint32_t index,
                                  uint64_t first_seq, uint64_t bytes)
{
    assert(segments->count < segments->capacity);
    assert(segments->count == 0 || segments->items[segments->count - 1].number <= number);
    struct segment_info *info = &segments->items[segments->count++];
    *info = (struct segment_info){
        .number = number, .index = index, .first_seq = first_seq, .bytes = bytes};
    return info;
}

void segments_remove_newest(struct segments *segments)
{
    assert(segments->count > 0);
    struct segment_info *info = &segments->items[segments->count - 1];
    assert(segments->indexed >= (info->is_indexed ? 1 : 0));
    segments->indexed -= info->is_indexed ? 1 : 0;
    forget_places(info);
    segments->count--;
}

void segments_note(struct segment_info *info, const struct segments_place *place)
{
    const struct segments_place *last =
        info->place_count > 0 ? &info->places[info->place_count - 1] : NULL;
    assert(last == NULL || (last->offset < place->offset && last->number < place->number));
    if (last != NULL && place->offset - last->offset < SEGMENTS_STEP_BYTES)
        return;
    if (info->place_count == info->place_capacity) {
        size_t capacity = info->place_capacity == 0 ? 8 : 2 * info->place_capacity;
        struct segments_place *places = realloc(info->places, capacity * sizeof *places);
        if (places == NULL)
            return;
        info->places = places;
        info->place_capacity = capacity;
    }
    info->places[info->place_count++] = *place;
}

/* The newest segment keeps its index: it is not made by a walk. */
static void give_one_up(struct segments *segments, size_t kept)
{
    for (size_t i = 0; i < segments->count; i++) {
        segments->hand = (segments->hand + 1) % segments->count;
        struct segment_info *info = &segments->items[segments->hand];
        if (!info->is_indexed || segments->hand == kept || segments->hand + 1 == segments->count)
            continue;
        forget_places(info);
        segments->indexed--;
        return;
    }
}

void segments_set_indexed(struct segments *segments, size_t position)
{
    assert(position < segments->count);
    if (segments->items[position].is_indexed)
        return;
    segments->items[position].is_indexed = true;
    segments->indexed++;
    if (segments->indexed > SEGMENTS_INDEXED_MAX)
        give_one_up(segments, position);
}

static uint64_t key_of_segment(const struct segment_info *info, enum journal_key key)
{
    return key == JOURNAL_BY_SEQ ? info->first_seq : info->number;
}

/* Entries without events share their first seq with the entry behind them, which is the one that
 * has the event: so the last one that begins at or before a seq is asked for. */
size_t segments_find(const struct segments *segments, enum journal_key key, uint64_t value)
{
    assert(segments->count > 0);
    size_t low = 0; /* it begins at or before `value`, or is the first */
    size_t high = segments->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (key_of_segment(&segments->items[middle], key) <= value)
            low = middle;
        else
            high = middle;
    }
    while (low > 0 && segments->items[low].index > 0) /* it begins within an entry */
        low--;
    assert(segments->items[low].index == 0);
    return low;
}

static uint64_t key_of_place(const struct segments_place *place, enum journal_key key)
{
    return key == JOURNAL_BY_SEQ ? place->first_seq : place->number;
}

bool segments_find_place(const struct segment_info *info, enum journal_key key, uint64_t value,
                         struct segments_place *out)
{
    size_t low = 0; /* places before it are at or before `value` */
    size_t high = info->place_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (key_of_place(&info->places[middle], key) <= value)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    *out = info->places[low - 1];
    assert(key_of_place(out, key) <= value);
    return true;
}
