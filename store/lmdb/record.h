/* How the LMDB store writes what it keeps: every record is
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
#define RECORD_VERSION 1u         /* of all records but two */
#define RECORD_META_VERSION 3u    /* version 1 had no txn, version 2 no folded_seq */
#define RECORD_PRODUCT_VERSION 2u /* version 1 carried no batch */

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

/* ---- keys: parts that hold no NUL, joined by one, so that byte order is order by parts ---- */

struct key key_of(struct text part);
struct key key_of_two(struct text first, struct text second);
/* first + NUL: what all keys start with that have this first part. */
struct key key_prefix(struct text first);
/* sku + NUL + eta + age, big endian: a product's batches with stock, in their order of use. */
struct key key_of_use(struct text sku, struct date eta, uint64_t age);
/* sku + NUL + seq, big endian: a product's waiting lines, the longest wait first. */
struct key key_of_waiting(struct text sku, uint64_t seq);

static inline struct text key_text(const struct key *key)
{
    return (struct text){key->bytes, key->len};
}

/* True where the seal is whole and the version one that some record has. */
bool record_is_sound(struct text key, struct text value);

/* ---- records; the `get` functions return false for one that is damaged or of a version that is
 * not known, with *out untouched or half filled, and their texts point into `value` ------------ */

struct meta {
    uint64_t txn; /* LMDB's number of the transaction that wrote it; 0: not known */
    uint64_t last_seq;
    uint64_t last_time_ms;
    uint64_t last_of_type[MESSAGE_TYPES]; /* seq of the newest event of each type */
    uint64_t products;
    uint64_t waiting_lines;
    uint64_t ids_first; /* numbers of the remembered replies: first .. next - 1 */
    uint64_t ids_next;
    uint64_t folded_seq; /* all tables have the events up to this one */
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

/* Without the ref, which is in the key. A batch that its product carries has nothing allocated
 * here. */
void record_put_batch(struct record *record, struct text key, const struct batch *batch);
bool record_get_batch(struct text key, struct text value, struct batch *out);

/* A text alone: ref -> sku, and order of use -> ref. */
void record_put_text(struct record *record, struct text key, struct text text);
bool record_get_text(struct text key, struct text value, struct text *out);

/* (orderid, sku) -> seq of the event that put the line where it is. */
void record_put_line(struct record *record, struct text key, uint64_t seq);
bool record_get_line(struct text key, struct text value, uint64_t *out);

/* Without the seq, which is in the key. */
void record_put_waiting(struct record *record, struct text key, const struct waiting_line *line);
bool record_get_waiting(struct text key, struct text value, struct waiting_line *out);

/* An event in the log: what is published, to the byte, and behind it what is not. */
struct logged_event {
    enum message_type type;
    uint64_t line_seq;
    uint64_t older_seq;
    struct text body;
};

/* False: it is longer than a record can be. */
bool record_put_event(struct record *record, uint64_t seq, const struct logged_event *event);
bool record_get_event(uint64_t seq, struct text value, struct logged_event *out);

/* A reply remembered by its request's id. */
struct remembered {
    struct text id;
    struct text request; /* canonical bytes */
    enum outcome outcome;
    bool duplicate;
    uint64_t seq;
    struct text batchref;
};

void record_put_remembered(struct record *record, uint64_t number,
                           const struct remembered *remembered);
bool record_get_remembered(uint64_t number, struct text value, struct remembered *out);

#endif
