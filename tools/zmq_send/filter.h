/* Which events `sub` was asked for. */
#ifndef TOOLS_ZMQ_SEND_FILTER_H
#define TOOLS_ZMQ_SEND_FILTER_H

#include "domain/messages/message.h"

/* Prefixes of topics. It borrows the strings. */
struct filter {
    char *const *prefixes;
    size_t count;
    bool is_everything; /* no prefix, or an empty one */
    /* The types that can match; none where that cannot be told (everything, or a type that this
     * program does not know). */
    enum message_type types[MESSAGE_TYPES];
    size_t type_count;
};

void filter_init(struct filter *filter, char *const *prefixes, size_t count);

/* Whether the topic of such an event, `TYPE/SKU/` with `%` and `/` of the SKU escaped, begins with
 * a prefix. Any type and SKU will do, those that this program does not know too. */
bool filter_matches(const struct filter *filter, struct text type, struct text sku);

#endif
