#include "store/journal/part.h"

#include "store/hash.h"

#include <assert.h>

#define FLAG_LAST 1u
#define SEAL_AT (PART_HEAD_BYTES - 8)

_Static_assert(PART_BODY_MAX <= UINT32_MAX, "its length has 4 bytes");
_Static_assert(PART_HEAD_BYTES % PART_ALIGNMENT == 0, "a body begins where a number may");

size_t part_bytes(size_t body_bytes)
{
    assert(body_bytes <= PART_BODY_MAX);
    return PART_HEAD_BYTES + (body_bytes + PART_ALIGNMENT - 1) / PART_ALIGNMENT * PART_ALIGNMENT;
}

void part_put_number(unsigned char *out, uint64_t number, size_t bytes)
{
    assert(bytes <= 8);
    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)(number >> (8 * i));
}

uint64_t part_get_number(const unsigned char *in, size_t bytes)
{
    uint64_t number = 0;
    assert(bytes <= 8);
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)in[i] << (8 * i);
    return number;
}

static uint64_t seed_of(const struct part_place *place)
{
    unsigned char bytes[16];
    part_put_number(bytes, place->ordinal, 8);
    part_put_number(bytes + 8, place->offset, 8);
    return hash_bytes(bytes, sizeof bytes, place->journal_id);
}

void part_encode(struct part *part, const struct part_place *place, const void *body,
                 unsigned char out[PART_HEAD_BYTES])
{
    assert(part->number > 0 && part->durable < part->number && part->first_seq > 0);
    assert(part->body_bytes <= PART_BODY_MAX && place->offset % PART_ALIGNMENT == 0);
    uint64_t seed = seed_of(place);
    part->body_sum = hash_bytes(body, part->body_bytes, seed);
    part_put_number(out, PART_MAGIC, 8);
    part_put_number(out + 8, part->number, 8);
    part_put_number(out + 16, part->index, 4);
    part_put_number(out + 20, part->is_last ? FLAG_LAST : 0, 4);
    part_put_number(out + 24, part->first_seq, 8);
    part_put_number(out + 32, part->events, 4);
    part_put_number(out + 36, part->body_bytes, 4);
    part_put_number(out + 40, part->time_ms, 8);
    part_put_number(out + 48, part->epoch, 8);
    part_put_number(out + 56, part->durable, 8);
    part_put_number(out + 64, part->prev, 8);
    part_put_number(out + 72, part->body_sum, 8);
    part->seal = hash_bytes(out, SEAL_AT, seed);
    part_put_number(out + SEAL_AT, part->seal, 8);
}

/* Whatever comes out of a file is small enough to be reckoned with. */
static bool is_plausible(const struct part *part, uint64_t flags)
{
    return flags <= FLAG_LAST && part->number > 0 && part->number <= INT64_MAX &&
           part->first_seq > 0 && part->first_seq <= INT64_MAX - (uint64_t)UINT32_MAX &&
           part->body_bytes <= PART_BODY_MAX && part->durable < part->number;
}

bool part_decode(const unsigned char head[PART_HEAD_BYTES], const struct part_place *place,
                 struct part *out)
{
    assert(place->offset % PART_ALIGNMENT == 0 && place->ordinal > 0);
    if (part_get_number(head, 8) != PART_MAGIC)
        return false;
    uint64_t flags = part_get_number(head + 20, 4);
    struct part part = {.number = part_get_number(head + 8, 8),
                        .index = (uint32_t)part_get_number(head + 16, 4),
                        .is_last = flags == FLAG_LAST,
                        .first_seq = part_get_number(head + 24, 8),
                        .events = (uint32_t)part_get_number(head + 32, 4),
                        .body_bytes = (uint32_t)part_get_number(head + 36, 4),
                        .time_ms = part_get_number(head + 40, 8),
                        .epoch = part_get_number(head + 48, 8),
                        .durable = part_get_number(head + 56, 8),
                        .prev = part_get_number(head + 64, 8),
                        .body_sum = part_get_number(head + 72, 8),
                        .seal = part_get_number(head + SEAL_AT, 8)};
    if (part.seal != hash_bytes(head, SEAL_AT, seed_of(place)) || !is_plausible(&part, flags))
        return false;
    *out = part;
    return true;
}

bool part_has_body(const struct part *part, const struct part_place *place, const void *body)
{
    assert(part->body_bytes <= PART_BODY_MAX && place->ordinal > 0);
    return part->body_sum == hash_bytes(body, part->body_bytes, seed_of(place));
}

bool part_follows(const struct part *before, const struct part *part)
{
    if (part->prev != before->seal)
        return false;
    if (before->is_last)
        return part->number == before->number + 1 && part->index == 0 &&
               part->first_seq == before->first_seq + before->events;
    return part->number == before->number && part->index == before->index + 1 &&
           part->first_seq == before->first_seq && part->events == before->events &&
           part->time_ms == before->time_ms && part->epoch == before->epoch;
}
