#include "tools/zmq_send/filter.h"

/* Takes `len` bytes off the front of *prefix. True: they are `data`, as far as *prefix goes. */
static bool strip(struct text *prefix, const char *data, size_t len)
{
    size_t shorter = len < prefix->len ? len : prefix->len;
    bool is_same = shorter == 0 || memcmp(prefix->data, data, shorter) == 0;
    prefix->data += shorter;
    prefix->len -= shorter;
    return is_same;
}

static bool strip_escaped(struct text *prefix, char c)
{
    if (c == '%')
        return strip(prefix, "%25", 3);
    if (c == '/')
        return strip(prefix, "%2F", 3);
    return strip(prefix, &c, 1);
}

static bool begins_with(struct text type, struct text sku, struct text prefix)
{
    bool is_same = strip(&prefix, type.data, type.len) && strip(&prefix, "/", 1);
    for (size_t i = 0; is_same && prefix.len > 0 && i < sku.len; i++)
        is_same = strip_escaped(&prefix, sku.data[i]);
    return is_same && strip(&prefix, "/", 1) && prefix.len == 0;
}

bool filter_matches(const struct filter *filter, struct text type, struct text sku)
{
    if (filter->is_everything)
        return true;
    for (size_t i = 0; i < filter->count; i++)
        if (begins_with(type, sku, text_of(filter->prefixes[i])))
            return true;
    return false;
}

/* Whether a topic of that type can begin with the prefix. */
static bool can_match(enum message_type type, struct text prefix)
{
    const char *name = message_info(type)->name;
    return strip(&prefix, name, strlen(name)) && strip(&prefix, "/", 1);
}

void filter_init(struct filter *filter, char *const *prefixes, size_t count)
{
    *filter = (struct filter){.prefixes = prefixes, .count = count, .is_everything = count == 0};
    bool may_match[MESSAGE_TYPES] = {false};
    bool is_known = true;
    for (size_t i = 0; i < count; i++) {
        bool fits = false;
        filter->is_everything = filter->is_everything || prefixes[i][0] == '\0';
        for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++)
            if (message_is_event(type) && can_match(type, text_of(prefixes[i])))
                may_match[type] = fits = true;
        is_known = is_known && fits;
    }
    if (filter->is_everything || !is_known)
        return;
    for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++)
        if (may_match[type])
            filter->types[filter->type_count++] = type;
}
