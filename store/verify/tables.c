/* The tables that follow from the journal, each held against what that says. They are looked at as
 * a start would find them: what they lack of the journal is laid over them. */
#include "store/verify/inside.h"

#include "store/hash.h"

/* One table: what it makes of a record, and how it sees what is missing. */
struct table_check {
    struct verify_check check;
    enum table table;
    /* The model is there only where the journal was replayed. */
    void (*see)(struct verify *v, struct text key, struct text value);
};

static void damaged(struct verify *v, struct text key)
{
    verify_finding(v, "the record %s is damaged", verify_name(key).text);
}

static void differs(struct verify *v, struct text key)
{
    verify_finding(v, "%s is not what the journal says", verify_name(key).text);
}

static bool is_key(const struct key *key, struct text text)
{
    return text_equal(key_text(key), text);
}

/* ---- products and batches ---- */

static bool has_figures(const struct batch *stored, const struct seen_batch *batch,
                        uint64_t allocated)
{
    return stored->age == batch->age && stored->eta.yyyymmdd == batch->eta.yyyymmdd &&
           stored->qty == batch->qty && stored->allocated == allocated;
}

static bool is_product(const struct product_record *stored, const struct seen_product *product)
{
    const struct product_totals *totals = &stored->totals;
    const struct seen_batch *carried = product->carried;
    bool is_carried =
        carried == NULL || (text_equal(stored->carried.ref, carried->item.key) &&
                            has_figures(&stored->carried, carried, carried->allocated));
    return is_carried && totals->version == product->totals.version &&
           totals->last_seq == product->totals.last_seq &&
           totals->batches == product->totals.batches && totals->open == product->totals.open &&
           totals->available == product->totals.available &&
           totals->waiting == product->totals.waiting;
}

static void see_product(struct verify *v, struct text key, struct text value)
{
    struct product_record stored;
    if (!record_get_product(key, value, &stored)) {
        damaged(v, key);
        return;
    }
    struct seen_product *product = verify_table_find(&v->products, key);
    if (!v->is_replayed)
        return;
    if (product == NULL || !is_product(&stored, product))
        differs(v, key);
    if (product != NULL)
        product->is_stored = true;
}

/* The key of a batch is its SKU, NUL, its ref; neither holds a NUL. */
static struct seen_batch *batch_of_key(const struct verify *v, struct text key)
{
    const char *nul = memchr(key.data, 0, key.len);
    if (nul == NULL)
        return NULL;
    struct text sku = {key.data, (size_t)(nul - key.data)};
    struct text ref = {nul + 1, key.len - sku.len - 1};
    struct seen_batch *batch = verify_table_find(&v->batches, ref);
    return batch != NULL && text_equal(batch->product->item.key, sku) ? batch : NULL;
}

static void see_batch(struct verify *v, struct text key, struct text value)
{
    struct batch stored;
    if (!record_get_batch(key, value, &stored)) {
        damaged(v, key);
        return;
    }
    if (!v->is_replayed)
        return;
    struct seen_batch *batch = batch_of_key(v, key);
    bool is_carried = batch != NULL && batch->product->carried == batch;
    if (batch == NULL || !has_figures(&stored, batch, is_carried ? 0 : batch->allocated))
        differs(v, key);
    if (batch != NULL)
        batch->is_stored = true;
}

static void see_use(struct verify *v, struct text key, struct text value)
{
    struct text ref;
    if (!record_get_text(key, value, &ref)) {
        damaged(v, key);
        return;
    }
    struct seen_batch *batch = v->is_replayed ? verify_table_find(&v->batches, ref) : NULL;
    if (!v->is_replayed)
        return;
    if (batch == NULL || batch->allocated >= batch->qty) {
        differs(v, key);
        return;
    }
    struct key expected = key_of_use(batch->product->item.key, batch->eta, batch->age);
    if (is_key(&expected, key))
        batch->is_in_use = true;
    else
        differs(v, key);
}

static void see_ref(struct verify *v, struct text key, struct text value)
{
    struct text sku;
    if (!record_get_text(key, value, &sku)) {
        damaged(v, key);
        return;
    }
    struct seen_batch *batch = verify_table_find(&v->batches, key);
    if (!v->is_replayed)
        return;
    if (batch == NULL || !text_equal(batch->product->item.key, sku))
        differs(v, key);
    else
        batch->has_ref = true;
}

/* ---- lines ---- */

static void see_line(struct verify *v, struct text key, struct text value)
{
    struct order_line stored;
    if (!record_get_line(key, value, &stored)) {
        damaged(v, key);
        return;
    }
    if (!v->is_replayed)
        return;
    struct seen_line *line = verify_table_find(&v->lines, key);
    struct text batchref =
        line != NULL && line->batch != NULL ? line->batch->item.key : text_none();
    if (line == NULL || line->seq != stored.seq || line->qty != stored.qty ||
        !text_equal(batchref, stored.batchref))
        differs(v, key);
    if (line != NULL)
        line->is_stored = true;
}

/* The key of a line that a batch holds is its ref, NUL, the complement of the line's seq. */
static void see_held(struct verify *v, struct text key, struct text value)
{
    struct text orderid;
    if (!record_get_text(key, value, &orderid)) {
        damaged(v, key);
        return;
    }
    if (!v->is_replayed)
        return;
    const char *nul = memchr(key.data, 0, key.len);
    struct text ref = {key.data, nul != NULL ? (size_t)(nul - key.data) : 0};
    const struct seen_batch *batch = verify_table_find(&v->batches, ref);
    struct seen_line *line = NULL;
    if (batch != NULL && orderid.len <= REF_MAX_BYTES)
        line = verify_find_line(v, orderid, batch->product->item.key);
    struct key expected = line != NULL ? key_of_held(ref, line->seq) : (struct key){.len = 0};
    uint64_t complement = 0;
    struct text rest = {nul != NULL ? nul + 1 : NULL, nul != NULL ? key.len - ref.len - 1 : 0};
    if (line != NULL && line->batch == batch && is_key(&expected, key))
        line->is_held = true;
    else if (!key_get_number(rest, &complement) ||
             !held_log_has(&v->store->tables.newer_held, ref, ~complement))
        differs(v, key);
}

/* What the table of held lines lacks. Which lines a batch has lost the model knows. */
static void see_held_log(struct verify *v)
{
    const struct held_log *log = &v->store->tables.newer_held;
    for (size_t i = 0; i < log->count; i++) {
        const struct held_item *item = &log->items[i];
        const struct seen_batch *batch = verify_table_find(&v->batches, held_item_ref(log, item));
        struct seen_line *line = batch != NULL ? verify_find_line(v, held_item_orderid(log, item),
                                                                  batch->product->item.key)
                                               : NULL;
        if (line != NULL && line->batch == batch && line->seq == item->seq)
            line->is_held = true;
    }
}

static void see_remembered(struct verify *v, struct text key, struct text value)
{
    struct remembered stored;
    if (!record_get_remembered(key, value, &stored)) {
        damaged(v, key);
        return;
    }
    if (!v->is_replayed)
        return;
    struct seen_reply *reply = verify_table_find(&v->replies.kept, key);
    if (reply == NULL || reply->hash != hash_bytes(value.data, value.len, 0))
        differs(v, key);
    if (reply != NULL)
        reply->is_stored = true;
}

static void see_waiting(struct verify *v, struct text key, struct text value)
{
    struct waiting_line stored;
    if (!record_get_waiting(key, value, &stored)) {
        damaged(v, key);
        return;
    }
    if (!v->is_replayed)
        return;
    const char *nul = memchr(key.data, 0, key.len);
    struct text sku = {key.data, nul != NULL ? (size_t)(nul - key.data) : 0};
    struct seen_line *line = NULL;
    if (sku.len <= SKU_MAX_BYTES && stored.orderid.len <= REF_MAX_BYTES)
        line = verify_find_line(v, stored.orderid, sku);
    if (line == NULL || line->batch != NULL || line->qty != stored.qty) {
        differs(v, key);
        return;
    }
    struct key expected = key_of_waiting(sku, line->seq);
    if (is_key(&expected, key))
        line->is_waiting = true;
    else
        differs(v, key);
}

/* ---- what is missing ---- */

static bool is_used_before(const struct seen_batch *a, const struct seen_batch *b)
{
    if (a->eta.yyyymmdd != b->eta.yyyymmdd)
        return a->eta.yyyymmdd < b->eta.yyyymmdd;
    return a->age < b->age;
}

/* Sums that the products tell, and the lines that wait, from what the model has in the end. */
static void sum_up(struct verify *v)
{
    for (struct seen_product *product = NULL;
         (product = verify_table_next(&v->products, product)) != NULL;) {
        product->totals.version = product->version;
        product->totals.last_seq = product->last_seq;
    }
    for (struct seen_batch *batch = NULL;
         (batch = verify_table_next(&v->batches, batch)) != NULL;) {
        struct seen_product *product = batch->product;
        bool is_open = batch->qty > batch->allocated;
        product->totals.batches++;
        product->totals.open += is_open;
        product->totals.available += batch->qty - batch->allocated;
        if (is_open && (product->carried == NULL || is_used_before(batch, product->carried)))
            product->carried = batch;
    }
    for (struct seen_line *line = NULL; (line = verify_table_next(&v->lines, line)) != NULL;)
        line->product->totals.waiting += line->batch == NULL;
}

static void missing(struct verify *v, const char *what, struct text key)
{
    verify_finding(v, "%s %s is missing", what, verify_name(key).text);
}

static void find_missing(struct verify *v)
{
    for (struct seen_product *product = NULL;
         (product = verify_table_next(&v->products, product)) != NULL;) {
        if (!product->is_stored)
            missing(v, "product", product->item.key);
    }
    for (struct seen_batch *batch = NULL;
         (batch = verify_table_next(&v->batches, batch)) != NULL;) {
        if (!batch->is_stored)
            missing(v, "batch", batch->item.key);
        if (!batch->has_ref)
            missing(v, "the SKU of batch", batch->item.key);
        if (!batch->is_in_use && batch->qty > batch->allocated)
            missing(v, "in the order of use, batch", batch->item.key);
    }
    for (struct seen_line *line = NULL; (line = verify_table_next(&v->lines, line)) != NULL;) {
        if (!line->is_stored)
            missing(v, "line", line->item.key);
        if (!line->is_held && line->batch != NULL)
            missing(v, "among those of its batch, line", line->item.key);
        if (!line->is_waiting && line->batch == NULL)
            missing(v, "among those that wait, line", line->item.key);
    }
    for (struct seen_reply *reply = NULL;
         (reply = verify_table_next(&v->replies.kept, reply)) != NULL;) {
        if (!reply->is_stored)
            missing(v, "reply", reply->item.key);
    }
}

/* ---- all of them ---- */

static void check_table(struct verify *v, struct table_check *table)
{
    struct table_walk walk;
    const struct key no_prefix = {.len = 0};
    uint64_t records = 0;
    verify_turn_to(v, &table->check);
    enum store_result result =
        table_walk_begin(&walk, &v->store->tables, table->table, &no_prefix, text_none());
    while (result == STORE_OK && (result = table_walk_next(&walk)) == STORE_OK) {
        table->see(v, walk.key, walk.value);
        records++;
    }
    table_walk_end(&walk);
    if (result == STORE_DAMAGED)
        verify_finding(v, "they cannot be read behind record %" PRIu64, records);
    verify_end(v, "%" PRIu64 "%s", records,
               v->is_replayed ? "" : ", not compared with the journal");
}

static void check_counters(struct verify *v)
{
    struct verify_check check = {"counters", 0};
    const struct meta *meta = &v->store->meta;
    verify_turn_to(v, &check);
    if (meta->last_seq != v->last_seq || meta->last_time_ms != v->last_time_ms)
        verify_finding(v, "the newest event is %" PRIu64 ", not %" PRIu64 ", or of another time",
                       v->last_seq, meta->last_seq);
    if (memcmp(meta->last_of_type, v->last_of_type, sizeof meta->last_of_type) != 0)
        verify_finding(v, "the newest events of each type are others");
    if (v->is_replayed && meta->products != v->products.count)
        verify_finding(v, "there are %zu products, not %" PRIu64, v->products.count,
                       meta->products);
    if (v->is_replayed && meta->waiting_lines != v->waiting)
        verify_finding(v, "%" PRIu64 " lines wait, not %" PRIu64, v->waiting, meta->waiting_lines);
    verify_end(v, "seq %" PRIu64 ", %" PRIu64 " products, %" PRIu64 " lines wait", meta->last_seq,
               meta->products, meta->waiting_lines);
}

void verify_tables(struct verify *v)
{
    struct table_check tables[] = {
        {{"products", 0}, TABLE_PRODUCTS, see_product},
        {{"batches", 0}, TABLE_BATCHES, see_batch},
        {{"order of use", 0}, TABLE_USE, see_use},
        {{"references", 0}, TABLE_REFS, see_ref},
        {{"lines", 0}, TABLE_LINES, see_line},
        {{"lines of batches", 0}, TABLE_HELD, see_held},
        {{"waiting lines", 0}, TABLE_WAITING, see_waiting},
        {{"remembered replies", 0}, TABLE_REMEMBERED, see_remembered},
    };
    struct verify_check missing_check = {"what the journal has", 0};
    sum_up(v);
    see_held_log(v);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        check_table(v, &tables[i]);
    check_counters(v);
    if (!v->is_replayed)
        return;
    verify_turn_to(v, &missing_check);
    find_missing(v);
    verify_end(v, "%zu products, %zu batches, %zu lines, each in its place", v->products.count,
               v->batches.count, v->lines.count);
}
