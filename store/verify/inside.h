/* What the files of the verifier share; for this folder alone.
 *
 * The journal is replayed into a model that shares no code with the product: what these files check
 * would be no check otherwise. Then each table is walked once, as a start would find it, and held
 * against the model. */
#ifndef STORE_VERIFY_INSIDE_H
#define STORE_VERIFY_INSIDE_H

#include "store/lmdb/inside.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- table.c: items by key, in memory ---- */

/* Starts each struct that is kept in a table. */
struct verify_item {
    struct verify_item *next;
    uint64_t hash;
    struct text key; /* its own copy */
};

struct verify_table {
    struct verify_item **buckets;
    size_t capacity;
    size_t count;
    uint64_t seed; /* of the hash; chosen with the first item */
};

/* NULL: there is none. */
void *verify_table_find(const struct verify_table *table, struct text key);

/* A new item of `size` bytes, zero behind its head. NULL: no memory. Requires: the key is not
 * there. */
void *verify_table_add(struct verify_table *table, struct text key, size_t size);

/* Takes the item out; it is the caller's, to free. */
void verify_table_take(struct verify_table *table, void *item);

/* All items, in no order: the one after `item` (NULL: the first), NULL at the end. */
void *verify_table_next(const struct verify_table *table, const void *item);

void verify_table_release(struct verify_table *table);

/* ---- the model ---- */

struct seen_product {
    struct verify_item item; /* sku */
    uint64_t version;
    uint64_t last_seq;
    struct product_totals totals; /* summed up at the end */
    struct seen_batch *carried;   /* its record has this one's figures: the first with stock */
    bool is_stored;               /* seen in its table */
};

struct seen_batch {
    struct verify_item item; /* ref */
    struct seen_product *product;
    uint64_t age;
    struct date eta;
    uint32_t qty;
    uint64_t allocated;
    struct seen_line *lines; /* the newest of its lines */
    bool is_stored, is_in_use, has_ref;
};

struct seen_line {
    struct verify_item item; /* orderid, NUL, sku */
    struct seen_product *product;
    struct seen_batch *batch; /* NULL: it waits */
    uint64_t seq;             /* of the event that put it where it is */
    uint32_t qty;
    struct seen_line *newer; /* neighbours in the batch */
    struct seen_line *older;
    bool is_stored, is_waiting, is_held;
};

/* A reply that should be in the table of those that are remembered. */
struct seen_reply {
    struct verify_item item; /* its key */
    uint64_t hash;           /* of its record */
    bool is_stored;
};

/* Remembered replies. In an entry each stands behind the events of its command. */
struct verify_replies {
    uint64_t number;          /* of the next one */
    struct verify_table kept; /* those that the table should have */
    struct verify_table ids;  /* of these */
    bool has_begun;           /* the events of a command were seen, and not its reply: */
    struct event first;       /* the first of them, with texts of the entry */
    uint64_t last_seq;        /* of the last of them */
};

struct verify_check {
    const char *name;
    uint64_t findings;
};

struct verify {
    FILE *out;
    struct lmdb_store *store;
    bool has_tables; /* they are open, and as a start would find them */

    struct verify_check *check;    /* the one at work */
    struct verify_check log_check; /* these two are at work in turn */
    struct verify_check reply_check;
    uint64_t findings; /* of all checks */

    struct verify_table products;
    struct verify_table batches;
    struct verify_table lines;
    struct seen_batch *shrinking; /* it holds more than it has: lines must leave it now */
    struct seen_line *displaced;  /* lines that left it, by `older`: the next one to move first */
    uint64_t waiting;             /* lines */
    uint64_t last_seq;
    uint64_t last_time_ms;
    uint64_t last_of_type[MESSAGE_TYPES];
    bool is_replayed; /* the journal was whole: tables can be held against the model */
    bool no_memory;

    struct verify_replies replies;
};

/* ---- report.c ---- */

/* Puts a check to work; returns the one before it. */
struct verify_check *verify_turn_to(struct verify *v, struct verify_check *check);

/* Ends a check with a line that says what was looked at. */
void verify_end(struct verify *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Something is wrong, says the check at work. Its first ones are printed, all are counted. */
void verify_finding(struct verify *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A key or name that is fit to print. */
struct verify_name {
    char text[3 * KEY_MAX_BYTES + 1];
};
struct verify_name verify_name(struct text text);

/* ---- the checks ---- */

/* Reads the journal, and replays it. */
void verify_log(struct verify *v);
/* Makes an event true in the model, as far as it can be. NULL: the journal has come to its end. */
void verify_replay(struct verify *v, const struct event *event);
/* Of an event, before it is replayed; a reply; and the end of an entry, or of all of them. */
void verify_replies_event(struct verify *v, const struct event *event);
void verify_replies_reply(struct verify *v, const struct entry_reply *reply);
void verify_replies_end_entry(struct verify *v);
void verify_replies_end(struct verify *v);
/* Requires: they are open. */
void verify_tables(struct verify *v);

/* The line of the model, NULL: there is none. */
struct seen_line *verify_find_line(const struct verify *v, struct text orderid, struct text sku);

#endif
