#include "domain/base/text.h"

int text_compare(struct text a, struct text b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t text_character(const char *data, size_t len)
{
    const unsigned char *s = (const unsigned char *)data;
    if (len >= 1 && s[0] < 0x80)
        return 1;
    if (len >= 2 && s[0] >= 0xc2 && s[0] <= 0xdf && is_continuation(s[1]))
        return 2;
    if (len >= 3 && (s[0] & 0xf0) == 0xe0 && is_continuation(s[1]) && is_continuation(s[2])) {
        bool overlong = s[0] == 0xe0 && s[1] < 0xa0;
        bool surrogate = s[0] == 0xed && s[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (len >= 4 && s[0] >= 0xf0 && s[0] <= 0xf4 && is_continuation(s[1]) &&
        is_continuation(s[2]) && is_continuation(s[3])) {
        bool overlong = s[0] == 0xf0 && s[1] < 0x90;
        bool too_high = s[0] == 0xf4 && s[1] > 0x8f;
        return overlong || too_high ? 0 : 4;
    }
    return 0;
}

static bool is_control(const unsigned char *s, size_t bytes)
{
    if (bytes == 1)
        return s[0] < 0x20 || s[0] == 0x7f;
    return bytes == 2 && s[0] == 0xc2 && s[1] < 0xa0; /* U+0080 to 009F */
}

size_t text_printable(const char *data, size_t len)
{
    size_t bytes = text_character(data, len);
    return bytes > 0 && is_control((const unsigned char *)data, bytes) ? 0 : bytes;
}

bool text_is_name(struct text t, size_t max)
{
    if (text_is_none(t) || t.len == 0 || t.len > max)
        return false;
    for (size_t at = 0; at < t.len;) {
        if (t.data[at] >= 0x20 && t.data[at] < 0x7f) { /* most names are nothing but these */
            at++;
            continue;
        }
        size_t bytes = text_printable(t.data + at, t.len - at);
        if (bytes == 0)
            return false;
        at += bytes;
    }
    return true;
}
