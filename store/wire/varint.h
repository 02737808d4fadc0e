/* Numbers and texts in stored bytes: a number is a varint (LEB128, at most 10 bytes), a text its
 * length and its bytes. Reading goes on in `ok == false` once something did not fit, and gives
 * zeros and absent texts from there, so that a reader asks once, at the end. */
#ifndef STORE_WIRE_VARINT_H
#define STORE_WIRE_VARINT_H

#include "domain/base/text.h"

#include <stdint.h>

#define VARINT_MAX_BYTES 10u

/* Returns how many bytes of `out` it took. Requires: room for VARINT_MAX_BYTES. */
static inline size_t varint_put(unsigned char *out, uint64_t number)
{
    size_t len = 0;
    while (number >= 0x80) {
        out[len++] = (unsigned char)(number | 0x80);
        number >>= 7;
    }
    out[len++] = (unsigned char)number;
    return len;
}

struct input {
    const unsigned char *at;
    const unsigned char *end;
    bool ok; /* false once something did not fit */
};

static inline struct input input_of(struct text bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    return (struct input){at, at + bytes.len, true};
}

static inline uint64_t input_number(struct input *in)
{
    uint64_t number = 0;
    for (unsigned shift = 0; in->ok && shift < 64; shift += 7) {
        if (in->at == in->end)
            break;
        unsigned char byte = *in->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
    }
    in->ok = false;
    return 0;
}

/* A number that has to be at most `max`. */
static inline uint64_t input_number_to(struct input *in, uint64_t max)
{
    uint64_t number = input_number(in);
    if (number <= max)
        return number;
    in->ok = false;
    return 0;
}

/* A text that points into the bytes. */
static inline struct text input_text(struct input *in)
{
    size_t len = input_number(in);
    if (!in->ok || len > (size_t)(in->end - in->at)) {
        in->ok = false;
        return text_none();
    }
    struct text text = {(const char *)in->at, len};
    in->at += len;
    return text;
}

static inline struct text input_rest(struct input *in)
{
    struct text text = {(const char *)in->at, (size_t)(in->end - in->at)};
    in->at = in->end;
    return text;
}

static inline bool input_is_done(const struct input *in)
{
    return in->ok && in->at == in->end;
}

#endif
