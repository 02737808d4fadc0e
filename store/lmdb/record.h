/* How the tables keep what they say: every record is
 *
 *     checksum (4 bytes, little endian) | format version (1 byte) | payload
 *
 * The checksum is of the key and of all that follows it, so that a record that was damaged, or
 * that stands under another key, is never taken for good. Numbers in a payload are varints (LEB128)
 * and texts are a varint length and their bytes, unless the record says otherwise.
 *
 * Golden samples of each record stand in tests/store/lmdb/test_record.c: a change of format is a
 * new version, and the old one stays readable. */
#ifndef STORE_LMDB_RECORD_H
#define STORE_LMDB_RECORD_H

#include "domain/product.h"

#include <stdint.h>

#define RECORD_MAX_BYTES 2048u /* no record is longer */
#define RECORD_HEAD_BYTES 5u
#define RECORD_VERSION 4u /* of all of them; 1 to 3 were those of stores without a journal */

/* A key is at most sku + NUL + ref, or orderid + NUL + sku: LMDB takes up to 511 bytes. */
#define KEY_MAX_BYTES (REF_MAX_BYTES + 1 + SKU_MAX_BYTES)
_Static_assert(KEY_MAX_BYTES <= 511, "LMDB's longest key");

struct record {
    unsigned char bytes[RECORD_MAX_BYTES];
    size_t len;
};

struct key {
    char bytes[KEY_MAX_BYTES];
    size_t len;
};

/* ---- keys: pieces that hold no NUL, joined by one, so that byte order is order by pieces ---- */

struct key key_of(struct text part);
struct key key_of_two(struct text first, struct text second);
/* first + NUL: what all keys start with that have this first piece. */
struct key key_prefix(struct text first);
/* sku + NUL + eta + age, big endian: a product's batches with stock, in their order of use. */
struct key key_of_use(struct text sku, struct date eta, uint64_t age);
/* sku + NUL + seq, big endian: a product's waiting lines, the longest wait first. */
struct key key_of_waiting(struct text sku, uint64_t seq);
/* ref + NUL + the complement of seq, big endian: a batch's lines, the newest first. */
struct key key_of_held(struct text ref, uint64_t seq);
/* Big endian: remembered replies, the oldest first. */
struct key key_of_number(uint64_t number);
/* The number in which such a key, or the rest of one, consists. False: it is none. */
bool key_get_number(struct text bytes, uint64_t *out);

static inline struct text key_text(const struct key *key)
{
    return (struct text){key->bytes, key->len};
}

/* True where the checksum is right and the version one that some record has. */
bool record_is_sound(struct text key, struct text value);

/* ---- records; the `get` functions return false for one that is damaged or of a version that is
 * not known, with *out untouched or half filled, and their texts point into `value` ------------ */

/* The counters, as of the entry up to which all tables have what the journal says. */
struct meta {
    uint64_t journal; /* the id of the journal that the tables follow from */
    uint64_t entry;   /* its number */
    uint64_t last_seq;
    uint64_t last_time_ms;
    uint64_t last_of_type[MESSAGE_TYPES]; /* seq of the newest event of each type */
    uint64_t products;
    uint64_t waiting_lines;
    uint64_t ids_first; /* numbers of the remembered replies: first .. next - 1 */
    uint64_t ids_next;
};

void record_put_meta(struct record *record, struct text key, const struct meta *meta);
bool record_get_meta(struct text key, struct text value, struct meta *out);

/* A product carries the figures of its first batch in the order of use, while it has one: this is
 * the batch that most events change, and one record is then all that has to be read and written. */
struct product_record {
    struct product_totals totals;
    struct batch carried; /* its ref is absent where there is none */
};

/* Requires: one is carried while some batch is open. */
void record_put_product(struct record *record, struct text key,
                        const struct product_record *product);
bool record_get_product(struct text key, struct text value, struct product_record *out);

/* Without the ref, which is in the key. Within a command that takes stock away a batch may hold
 * more than it has; such a record is put again before the command ends, and is never read. A batch
 * that its product carries has nothing allocated here: its figures are in the product's record. */
void record_put_batch(struct record *record, struct text key, const struct batch *batch);
bool record_get_batch(struct text key, struct text value, struct batch *out);

/* A text alone: ref -> sku, and order of use -> ref. */
void record_put_text(struct record *record, struct text key, struct text text);
bool record_get_text(struct text key, struct text value, struct text *out);

/* Without orderid and sku, which are in the key. */
void record_put_line(struct record *record, struct text key, const struct order_line *line);
bool record_get_line(struct text key, struct text value, struct order_line *out);

/* Without the seq, which is in the key. */
void record_put_waiting(struct record *record, struct text key, const struct waiting_line *line);
bool record_get_waiting(struct text key, struct text value, struct waiting_line *out);

/* A reply remembered by its request's id. */
struct remembered {
    struct text id;
    uint64_t request; /* hash of the request's canonical bytes */
    enum outcome outcome;
    bool duplicate;
    uint64_t seq;
    struct text batchref;
};

void record_put_remembered(struct record *record, struct text key,
                           const struct remembered *remembered);
bool record_get_remembered(struct text key, struct text value, struct remembered *out);

#endif
