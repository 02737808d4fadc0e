/* What stands in an entry of the journal: all that one group of commands did, in its order.
 *
 * An entry is a row of items. An item is its kind (a byte), the length of the rest, and the rest:
 *
 *     event    line_seq | the body, to the byte as it is published
 *     reply    id | canonical request | outcome | duplicate | seq | batchref
 *
 * Numbers and texts are those of varint.h; outcomes stand by their code, as numbers may change. */
#ifndef STORE_WIRE_ENTRY_H
#define STORE_WIRE_ENTRY_H

#include "domain/base/text.h"
#include "domain/messages/outcome.h"

#include <stdint.h>

enum entry_kind { ENTRY_EVENT = 1, ENTRY_REPLY = 2 };

struct entry_event {
    uint64_t line_seq; /* struct event */
    struct text body;
};

/* A reply that is remembered by its request's id. */
struct entry_reply {
    struct text id;
    struct text request; /* canonical bytes */
    enum outcome outcome;
    bool duplicate;
    uint64_t seq;
    struct text batchref; /* absent: none */
};

struct entry_item {
    enum entry_kind kind;
    union {
        struct entry_event event;
        struct entry_reply reply;
    } as;
};

/* An entry that is being made. All zeros: empty. */
struct entry_bytes {
    char *data;
    size_t len;
    size_t capacity;
};

/* Adds an item. False: no memory, and nothing was added. */
bool entry_add_event(struct entry_bytes *entry, const struct entry_event *event);
bool entry_add_reply(struct entry_bytes *entry, const struct entry_reply *reply);

/* Empty again; its memory stays for the next one, unless it is very much. */
void entry_clear(struct entry_bytes *entry);
void entry_release(struct entry_bytes *entry);

static inline struct text entry_text(const struct entry_bytes *entry)
{
    return (struct text){entry->len > 0 ? entry->data : "", entry->len};
}

/* Takes the first item off `rest`; texts point into it. False: there is none, or, where *rest is
 * not empty then, what stands there is no item. */
bool entry_next(struct text *rest, struct entry_item *out);

#endif
