/* What the files of the memory store share; for this folder alone.
 *
 * The truth is the log of events and the list of remembered replies. All else is a state derived
 * from them, and a rollback derives it anew from what was committed. */
#ifndef TESTS_SUPPORT_MEMORY_STORE_INSIDE_H
#define TESTS_SUPPORT_MEMORY_STORE_INSIDE_H

#include "domain/effect.h"
#include "store/wire/codec.h"
#include "tests/support/memory_store/store.h"
#include "tests/support/memory_store/table.h"

/* One event of the log. The event's texts point into the body. */
struct memory_record {
    struct event event;
    struct text body; /* as it is published */
    char bytes[];
};

/* One remembered reply. Its texts point into bytes[]. */
struct memory_reply {
    struct text id;
    struct text request; /* canonical bytes */
    struct text batchref;
    enum outcome outcome;
    bool duplicate;
    uint64_t seq;
    char bytes[];
};

/* Pointers to items that it owns, the oldest first. */
struct memory_list {
    void **items;
    size_t count;
    size_t committed; /* of them */
    size_t submitted; /* that are to be committed next */
    size_t retired;   /* items behind the last one: rolled back, but callers may still hold them */
    size_t capacity;
};

/* What follows from the log. Where a table's key is one text, it is the second one. */
struct memory_state {
    struct memory_table products;        /* sku: its product */
    struct memory_table added;           /* the same, of those that have no event yet */
    struct memory_table batches;         /* ref: its product, which holds the batch */
    struct memory_table product_batches; /* (sku, ref): the same */
    struct memory_table lines;           /* (orderid, sku): the record that put it there */
    struct memory_table replies;         /* id: the remembered reply */
    uint64_t newest[MESSAGE_TYPES];      /* seq of the newest event of a type, 0 if none */
};

struct memory_store {
    struct unit_of_work unit;
    struct reader reader;
    struct codec *codec;
    struct arena *arena;        /* what the unit hands out, until the next begin */
    struct memory_list records; /* the log: seq 1 is the first */
    struct memory_list replies;
    struct memory_state state;   /* those not committed included */
    struct memory_state retired; /* before the last rollback: callers may still hold parts of it */
    uint64_t now_ms;
};

void memory_state_release(struct memory_state *state);

/* NULL: no such product, or one without an event yet. */
struct product *memory_state_product(const struct memory_state *state, struct text sku);

/* NULL: no memory. Requires: none of that SKU has an event yet. */
struct product *memory_state_add_product(struct memory_state *state, struct text sku);

/* Makes an event true for the product, and for what is known of batches and lines. False: no
 * memory. */
bool memory_state_apply(struct memory_state *state, struct product *product,
                        struct memory_record *record);

bool memory_state_remember(struct memory_state *state, struct memory_reply *reply);

/* Derives a state from the beginning of time. False: no memory. Requires: *state is zero. */
bool memory_state_replay(struct memory_state *state, const struct memory_list *records,
                         const struct memory_list *replies);

extern const struct reader_ops memory_reader_ops;

static inline struct memory_store *memory_store_of_reader(struct reader *reader)
{
    return (struct memory_store *)(void *)((char *)reader - offsetof(struct memory_store, reader));
}

static inline struct memory_record *memory_record_at(const struct memory_store *store, uint64_t seq)
{
    assert(seq >= 1 && seq <= store->records.count);
    return store->records.items[seq - 1];
}

#endif
