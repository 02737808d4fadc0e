/* The aggregate: a product with its batches and the lines that wait for its stock, and the only
 * way to change them ("Architecture Patterns with Python", chapter 7).
 *
 * State changes in two steps. A decision (product_create_batch ... product_reallocate) looks at
 * the product and appends the events that follow to a list; it changes nothing. product_apply
 * makes one event true. So a product is what its events made it, and replaying them gives it
 * again.
 *
 * Allocated lines do not live in the product, as they are too many: a batch carries their sum, and
 * a decision is given the lines that it is about. Exhausted batches need not be in it either: a
 * repository loads those with stock, and another one when it is asked for. */
#ifndef DOMAIN_PRODUCT_H
#define DOMAIN_PRODUCT_H

#include "domain/batch.h"
#include "domain/messages/outcome.h"

struct product;

/* A line that waits for stock, as the product keeps it. */
struct waiting_line {
    struct text orderid;
    uint32_t qty;
    uint64_t seq; /* of the OutOfStock with which it began to wait */
};

/* What is known of a product as a whole. */
struct product_totals {
    uint64_t version;   /* one more with each event */
    uint64_t last_seq;  /* of its newest event */
    uint64_t batches;   /* all of them, exhausted ones too */
    uint64_t open;      /* those with stock */
    uint64_t available; /* sum over its batches */
    uint64_t waiting;   /* lines that wait */
};

/* Events that a decision appends. Texts in them belong to the command, the lines and the product
 * that went in. The memory is kept from one decision to the next. */
struct event_list {
    struct event *items;
    size_t count;
    size_t capacity;
};

void event_list_release(struct event_list *list);

/* ---- making one; false or NULL: no memory, nothing changed -------------------------------- */

struct product *product_new(struct text sku);
void product_destroy(struct product **product);

/* For a repository that loads a product from where it is kept: the totals first, then the batches
 * with stock and the waiting lines, in any order. Texts are copied. Requires: no batch with that
 * ref, no waiting line with that seq is there yet. */
void product_restore_totals(struct product *product, const struct product_totals *totals);
bool product_restore_batch(struct product *product, const struct batch *batch);
bool product_restore_waiting(struct product *product, const struct waiting_line *line);

/* ---- looking at it; what is returned lives until the next product_apply -------------------- */

struct text product_sku(const struct product *product);
const struct product_totals *product_totals(const struct product *product);

/* NULL: no such batch, or an exhausted one that was not loaded. */
const struct batch *product_batch(const struct product *product, struct text ref);

/* Batches with stock in their order of use (NULL: the first one), NULL at the end. */
const struct batch *product_next_batch(const struct product *product, const struct batch *after);

/* The first batch, in the order of use, with at least `qty` available (rule 2); NULL: none. */
const struct batch *product_first_fit(const struct product *product, uint32_t qty);

/* Lines that wait, the one that waits longest first (0: from the start). False at the end. */
bool product_next_waiting(const struct product *product, uint64_t after_seq,
                          struct waiting_line *out);

/* The first line, after `after_seq`, of those that wait and that some batch could take now. */
bool product_next_servable(const struct product *product, uint64_t after_seq,
                           struct waiting_line *out);

/* Same sku, totals, batches with stock and waiting lines. */
bool product_equal(const struct product *a, const struct product *b);

/* Bytes of memory that it takes, roughly. */
size_t product_memory(const struct product *product);

/* ---- decisions ----------------------------------------------------------------------------
 * Each appends to `out` and returns OUTCOME_DONE, or a refusal. Where nothing was appended by
 * something done, what was asked for is so already: a duplicate. OUTCOME_STORAGE_FAILED: no
 * memory. */

/* `existing`: the batch with that ref, if the node has one at all, and the SKU that it is of. */
enum outcome product_create_batch(const struct create_batch *command, const struct batch *existing,
                                  struct text existing_sku, struct event_list *out);

/* `existing`: that line, where the order has one. On OUTCOME_DONE *batchref is set. A refusal with
 * OUTCOME_OUT_OF_STOCK appends OutOfStock, unless the line waits already. */
enum outcome product_allocate(const struct product *product, const struct allocate *command,
                              const struct order_line *existing, struct text *batchref,
                              struct event_list *out);

/* `newest`: lines of the batch, the newest first, at least as many as
 * product_units_to_displace() says. Requires: the batch is loaded. */
enum outcome product_change_batch_quantity(const struct product *product,
                                           const struct change_batch_quantity *command,
                                           const struct order_line *newest, size_t newest_count,
                                           struct event_list *out);

/* How many units must leave a batch so that it can shrink to `qty`. */
uint32_t product_units_to_displace(const struct batch *batch, uint32_t qty);

/* Requires: the batch is loaded. */
enum outcome product_change_batch_eta(const struct product *product,
                                      const struct change_batch_eta *command,
                                      struct event_list *out);

/* `existing`: that line, NULL where the order has none. */
enum outcome product_deallocate(const struct order_line *existing, struct event_list *out);

/* A line that lost its stock (seq 0), or one that waits since `seq`: Allocated where it fits;
 * else OutOfStock, unless it waits already. */
enum outcome product_reallocate(const struct product *product, const struct waiting_line *line,
                                struct event_list *out);

/* ---- applying ------------------------------------------------------------------------------
 * Makes one event of this product true. Requires: its version is the product's plus one, seq is
 * set, and it came from a decision on the product as it is. False: no memory, nothing changed. */
bool product_apply(struct product *product, const struct event *event);

#endif
