#include "domain/product.h"

#include "domain/fit_tree.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>

/* A batch in the product. It stands among all by ref always, and in by_use while it has stock. */
struct batch_node {
    struct batch batch; /* its first member is `ref`, by which it is found */
    struct fit_node by_use;
    char ref[];
};

struct waiting_node {
    struct fit_node by_age;
    uint32_t qty;
    size_t orderid_len;
    char orderid[];
};

struct product {
    struct product_totals totals;
    void *batches;   /* the only one that is loaded, or a tsearch tree of several, by ref */
    uint32_t loaded; /* how many they are */
    uint32_t sku_len;
    struct fit_tree batches_by_use; /* those with stock: room is what is available */
    struct fit_tree waiting_by_age; /* room is the more, the less a line asks */
    size_t texts;                   /* bytes of refs and order ids */
    char sku[];
};

#define NODE_OF(type, member, fit) ((type *)(void *)((char *)(fit)-offsetof(type, member)))

static int compare_refs(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

_Static_assert(offsetof(struct batch, ref) == 0, "compare_refs looks at the start of a batch");

/* Rule 2: warehouse stock first, as "no ETA" is 0; then the earliest ETA; then the older batch. */
static struct fit_key key_of_use(const struct batch *batch)
{
    return (struct fit_key){(uint64_t)batch->eta.yyyymmdd, batch->age};
}

static struct fit_key key_of_age(uint64_t seq)
{
    return (struct fit_key){0, seq};
}

/* A line that asks for `qty` fits where `available` is as much, so the trees can look for it as
 * for the room that it leaves below the maximum. */
static uint32_t room_left_by(uint32_t qty)
{
    return UINT32_MAX - qty;
}

struct product *product_new(struct text sku)
{
    struct product *product = calloc(1, sizeof *product + sku.len);
    if (product == NULL)
        return NULL;
    memcpy(product->sku, sku.data, sku.len);
    product->sku_len = (uint32_t)sku.len;
    return product;
}

void product_destroy(struct product **product)
{
    if (*product == NULL)
        return;
    if ((*product)->loaded > 1)
        tdestroy((*product)->batches, free);
    else
        free((*product)->batches);
    struct fit_tree *waiting = &(*product)->waiting_by_age;
    while (waiting->root != NULL)
        free(NODE_OF(struct waiting_node, by_age, fit_tree_remove(waiting, waiting->root->key)));
    free(*product);
    *product = NULL;
}

/* ---- looking ---- */

struct text product_sku(const struct product *product)
{
    return (struct text){product->sku, product->sku_len};
}

const struct product_totals *product_totals(const struct product *product)
{
    return &product->totals;
}

static struct batch_node *find_batch(const struct product *product, struct text ref)
{
    /* Mostly it is the one with stock, however many exhausted ones there are. */
    struct fit_node *in_use = product->batches_by_use.root;
    struct batch_node *likely = in_use != NULL ? NODE_OF(struct batch_node, by_use, in_use) : NULL;
    if (likely != NULL && text_equal(likely->batch.ref, ref))
        return likely;
    if (product->loaded > 1) {
        void *found = tfind(&ref, &product->batches, compare_refs);
        return found != NULL ? *(struct batch_node **)found : NULL;
    }
    struct batch_node *only = product->batches;
    return only != NULL && text_equal(only->batch.ref, ref) ? only : NULL;
}

const struct batch *product_batch(const struct product *product, struct text ref)
{
    const struct batch_node *node = find_batch(product, ref);
    return node != NULL ? &node->batch : NULL;
}

const struct batch *product_next_batch(const struct product *product, const struct batch *after)
{
    struct fit_key key = after != NULL ? key_of_use(after) : (struct fit_key){0, 0};
    struct fit_node *next = fit_tree_next(&product->batches_by_use, after != NULL ? &key : NULL);
    return next != NULL ? &NODE_OF(struct batch_node, by_use, next)->batch : NULL;
}

const struct batch *product_first_fit(const struct product *product, uint32_t qty)
{
    struct fit_node *first = fit_tree_first_fit(&product->batches_by_use, NULL, qty);
    return first != NULL ? &NODE_OF(struct batch_node, by_use, first)->batch : NULL;
}

/* The first waiting line after `after_seq` that asks for `most` at most. */
static bool next_waiting(const struct product *product, uint64_t after_seq, uint32_t most,
                         struct waiting_line *out)
{
    struct fit_key key = key_of_age(after_seq);
    struct fit_node *next = fit_tree_first_fit(&product->waiting_by_age, &key, room_left_by(most));
    if (next == NULL)
        return false;
    const struct waiting_node *node = NODE_OF(struct waiting_node, by_age, next);
    *out = (struct waiting_line){
        {node->orderid, node->orderid_len}, node->qty, node->by_age.key.minor};
    return true;
}

bool product_next_waiting(const struct product *product, uint64_t after_seq,
                          struct waiting_line *out)
{
    return next_waiting(product, after_seq, UINT32_MAX, out);
}

bool product_next_servable(const struct product *product, uint64_t after_seq,
                           struct waiting_line *out)
{
    return next_waiting(product, after_seq, fit_tree_most_room(&product->batches_by_use), out);
}

static bool batches_equal(const struct product *a, const struct product *b)
{
    const struct batch *x = product_next_batch(a, NULL);
    const struct batch *y = product_next_batch(b, NULL);
    while (x != NULL && y != NULL) {
        if (!text_equal(x->ref, y->ref) || x->age != y->age || x->qty != y->qty ||
            x->allocated != y->allocated || x->eta.yyyymmdd != y->eta.yyyymmdd)
            return false;
        x = product_next_batch(a, x);
        y = product_next_batch(b, y);
    }
    return x == NULL && y == NULL;
}

static bool waiting_equal(const struct product *a, const struct product *b)
{
    struct waiting_line x = {0};
    struct waiting_line y = {0};
    for (;;) {
        bool more = product_next_waiting(a, x.seq, &x);
        if (product_next_waiting(b, y.seq, &y) != more)
            return false;
        if (!more)
            return true;
        if (!text_equal(x.orderid, y.orderid) || x.qty != y.qty || x.seq != y.seq)
            return false;
    }
}

bool product_equal(const struct product *a, const struct product *b)
{
    const struct product_totals *s = &a->totals;
    const struct product_totals *t = &b->totals;
    bool totals_equal = s->version == t->version && s->last_seq == t->last_seq &&
                        s->batches == t->batches && s->open == t->open &&
                        s->available == t->available && s->waiting == t->waiting;
    return totals_equal && text_equal(product_sku(a), product_sku(b)) && batches_equal(a, b) &&
           waiting_equal(a, b);
}

/* What the C library takes for a piece of so many bytes. */
static size_t piece(size_t bytes)
{
    return (bytes + sizeof(size_t) + 15) / 16 * 16;
}

size_t product_memory(const struct product *product)
{
    size_t tree_nodes = product->loaded > 1 ? product->loaded : 0; /* of tsearch */
    return piece(sizeof *product + product->sku_len) + tree_nodes * piece(3 * sizeof(void *)) +
           product->loaded * piece(sizeof(struct batch_node)) +
           product->totals.waiting * piece(sizeof(struct waiting_node)) + product->texts;
}

/* ---- restoring and applying ---- */

/* Adds to a tree, which may be empty. */
static bool add_to_tree(void **tree, struct batch_node *node)
{
    void *slot = tsearch(node, tree, compare_refs);
    assert(slot == NULL || *(struct batch_node **)slot == node); /* it was not there before */
    return slot != NULL;
}

/* The first batch stands alone, as in most products it stays the only one. */
static bool add_by_ref(struct product *product, struct batch_node *node)
{
    struct batch_node *only = product->batches;
    void *tree = NULL;
    if (product->loaded == 0) {
        product->batches = node;
    } else if (product->loaded > 1) {
        if (!add_to_tree(&product->batches, node))
            return false;
    } else {
        if (!add_to_tree(&tree, only))
            return false;
        if (!add_to_tree(&tree, node)) {
            tdelete(only, &tree, compare_refs);
            return false;
        }
        product->batches = tree;
    }
    product->loaded++;
    return true;
}

/* NULL: no memory. The batch is in no tree by use yet. */
static struct batch_node *add_batch(struct product *product, const struct batch *batch)
{
    struct batch_node *node = malloc(sizeof *node + batch->ref.len);
    if (node == NULL)
        return NULL;
    memcpy(node->ref, batch->ref.data, batch->ref.len);
    node->batch = *batch;
    node->batch.ref.data = node->ref;
    if (!add_by_ref(product, node)) {
        free(node);
        return NULL;
    }
    product->texts += batch->ref.len;
    return node;
}

static bool add_waiting(struct product *product, const struct waiting_line *line)
{
    struct waiting_node *node = malloc(sizeof *node + line->orderid.len);
    if (node == NULL)
        return false;
    memcpy(node->orderid, line->orderid.data, line->orderid.len);
    node->orderid_len = line->orderid.len;
    node->qty = line->qty;
    fit_tree_insert(&product->waiting_by_age, &node->by_age, key_of_age(line->seq),
                    room_left_by(line->qty));
    product->texts += line->orderid.len;
    return true;
}

static void put_in_use(struct product *product, struct batch_node *node)
{
    uint32_t available = batch_available(&node->batch);
    if (available > 0)
        fit_tree_insert(&product->batches_by_use, &node->by_use, key_of_use(&node->batch),
                        available);
}

void product_restore_totals(struct product *product, const struct product_totals *totals)
{
    product->totals = *totals;
}

bool product_restore_batch(struct product *product, const struct batch *batch)
{
    struct batch_node *node = add_batch(product, batch);
    if (node != NULL)
        put_in_use(product, node);
    return node != NULL;
}

bool product_restore_waiting(struct product *product, const struct waiting_line *line)
{
    return add_waiting(product, line);
}

static void leave_use(struct product *product, struct batch_node *node)
{
    if (batch_available(&node->batch) > 0)
        fit_tree_remove(&product->batches_by_use, key_of_use(&node->batch));
}

/* Puts changed figures into a batch, and all that is derived from them into the product. */
static void change_batch(struct product *product, struct batch_node *node,
                         const struct batch *changed)
{
    struct product_totals *totals = &product->totals;
    uint32_t before = batch_available(&node->batch);
    uint32_t after = batch_available(changed);
    bool same_place = node->batch.eta.yyyymmdd == changed->eta.yyyymmdd;
    if (same_place && before > 0 && after > 0) {
        node->batch = *changed;
        if (before != after)
            fit_tree_set_room(&product->batches_by_use, key_of_use(changed), after);
    } else {
        leave_use(product, node);
        node->batch = *changed;
        put_in_use(product, node);
    }
    totals->available = totals->available - before + after;
    totals->open = totals->open - (before > 0) + (after > 0);
}

static void remove_waiting(struct product *product, uint64_t seq)
{
    struct fit_node *removed = fit_tree_remove(&product->waiting_by_age, key_of_age(seq));
    struct waiting_node *node = NODE_OF(struct waiting_node, by_age, removed);
    product->texts -= node->orderid_len;
    product->totals.waiting--;
    free(node);
}

static bool apply_batch_created(struct product *product, const struct event *event)
{
    const struct batch_created *created = &event->as.batch_created;
    struct batch batch = {
        .ref = created->ref, .age = event->seq, .eta = created->eta, .qty = created->qty};
    struct batch_node *node = add_batch(product, &batch);
    if (node == NULL)
        return false;
    put_in_use(product, node);
    product->totals.batches++;
    product->totals.open++;
    product->totals.available += batch.qty;
    return true;
}

static bool apply_batch_quantity_changed(struct product *product, const struct event *event)
{
    struct batch_node *node = find_batch(product, event->as.batch_quantity_changed.ref);
    assert(node != NULL);
    struct batch changed = node->batch;
    changed.qty = event->as.batch_quantity_changed.qty;
    change_batch(product, node, &changed);
    return true;
}

static bool apply_batch_eta_changed(struct product *product, const struct event *event)
{
    struct batch_node *node = find_batch(product, event->as.batch_eta_changed.ref);
    assert(node != NULL);
    struct batch changed = node->batch;
    changed.eta = event->as.batch_eta_changed.eta;
    change_batch(product, node, &changed);
    return true;
}

static bool apply_allocated(struct product *product, const struct event *event)
{
    const struct allocated *allocated = &event->as.allocated;
    struct batch_node *node = find_batch(product, allocated->batchref);
    assert(node != NULL && batch_available(&node->batch) >= allocated->qty);
    struct batch changed = node->batch;
    changed.allocated += allocated->qty;
    change_batch(product, node, &changed);
    if (event->line_seq != 0)
        remove_waiting(product, event->line_seq);
    return true;
}

static bool apply_deallocated(struct product *product, const struct event *event)
{
    const struct deallocated *deallocated = &event->as.deallocated;
    if (text_is_none(deallocated->batchref)) {
        remove_waiting(product, event->line_seq);
        return true;
    }
    struct batch_node *node = find_batch(product, deallocated->batchref);
    assert(node != NULL && node->batch.allocated >= deallocated->qty);
    struct batch changed = node->batch;
    changed.allocated -= deallocated->qty;
    change_batch(product, node, &changed);
    return true;
}

static bool apply_out_of_stock(struct product *product, const struct event *event)
{
    const struct out_of_stock *refused = &event->as.out_of_stock;
    if (!refused->waiting)
        return true;
    struct waiting_line line = {refused->orderid, refused->qty, event->seq};
    if (!add_waiting(product, &line))
        return false;
    product->totals.waiting++;
    return true;
}

bool product_apply(struct product *product, const struct event *event)
{
    typedef bool apply(struct product *, const struct event *);
    static apply *const appliers[MESSAGE_TYPES] = {
#define EVENT(upper, lower, wire) [MESSAGE_##upper] = apply_##lower,
#include "domain/messages/messages.def"
    };
    assert(message_is_event(event->type));
    assert(event->seq > product->totals.last_seq);
    assert(event->version == product->totals.version + 1);
    if (!appliers[event->type](product, event))
        return false;
    product->totals.version = event->version;
    product->totals.last_seq = event->seq;
    return true;
}
