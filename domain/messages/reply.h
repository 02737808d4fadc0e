/* What the node answers, as plain values: the node's edge turns them into bytes. */
#ifndef DOMAIN_MESSAGES_REPLY_H
#define DOMAIN_MESSAGES_REPLY_H

#include "domain/messages/message.h"
#include "domain/messages/outcome.h"

#include <stdint.h>

/* A cut into a longer list: `next` is what to send as `after`, absent where all was seen. */
struct line_view {
    struct text sku;
    uint32_t qty;
    struct text batchref; /* absent: it waits for stock */
};

struct batch_view {
    struct text ref;
    struct text sku;
    uint32_t qty;
    uint32_t available;
    struct date eta;
};

struct product_view {
    struct text sku;
    uint64_t version;
    uint64_t available;
    uint64_t batches;
};

/* An event as it was published: its msgpack body. */
struct event_view {
    uint64_t seq;
    struct text body;
};

struct line_page {
    struct line_view *rows;
    size_t count;
    struct text next;
};

struct batch_page {
    struct batch_view *rows;
    size_t count;
    struct text next;
};

struct product_page {
    struct product_view *rows;
    size_t count;
    struct text next;
};

struct event_page {
    struct event_view *rows;
    size_t count;
    uint64_t next; /* 0: all was seen */
    uint64_t head;
    uint64_t first;
};

struct stock_view {
    struct text sku;
    uint64_t version;
    uint64_t available;
    struct batch_view *batches; /* in their order of use */
    size_t batch_count;
    uint64_t exhausted;
};

struct stats {
#define STAT(name, what) uint64_t name;
#include "domain/messages/stats.def"
};

/* Texts and rows live as long as the group that the request was part of. */
struct reply {
    enum outcome outcome;
    enum message_type type; /* of the request; MESSAGE_NONE where it is not known */
    struct text id;         /* of the request, absent where it had no valid one */
    struct text about;      /* what a refusal names, absent where it names nothing */
    struct text about_more; /* a second name behind a slash, or absent */
    const char *rule;       /* OUTCOME_INVALID_FIELD: the rule that was broken; else NULL */
    uint64_t seq;           /* commands alone */
    bool duplicate;
    struct text batchref; /* a done Allocate alone */
    union {
        struct line_page lines;       /* GetAllocations */
        struct stock_view stock;      /* GetStock */
        struct batch_page batches;    /* ListBatches */
        struct batch_view batch;      /* GetBatch */
        struct product_page products; /* ListProducts */
        struct event_page events;     /* GetEvents */
        struct stats stats;           /* GetStats */
    } as;
};

#endif
