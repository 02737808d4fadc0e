#include "store/lmdb/tables.h"

#include <assert.h>

bool tables_init(struct tables *tables)
{
    bool is_made = true;
    for (enum table i = 0; i < TABLES; i++) {
        tables->newer[i] = overlay_new();
        tables->older[i] = overlay_new();
        is_made = is_made && tables->newer[i] != NULL && tables->older[i] != NULL;
    }
    return is_made;
}

void tables_close_env(struct tables *tables)
{
    if (tables->snapshot != NULL)
        mdb_txn_abort(tables->snapshot);
    tables->snapshot = NULL;
    lmdb_env_close(&tables->env);
}

void tables_close(struct tables *tables)
{
    tables_close_env(tables);
    for (enum table i = 0; i < TABLES; i++) {
        overlay_destroy(&tables->newer[i]);
        overlay_destroy(&tables->older[i]);
    }
    held_log_release(&tables->newer_held);
    held_log_release(&tables->older_held);
}

enum store_result tables_refresh(struct tables *tables)
{
    assert(tables->env.env != NULL);
    int rc = 0;
    if (tables->snapshot == NULL) {
        rc = mdb_txn_begin(tables->env.env, NULL, MDB_RDONLY, &tables->snapshot);
    } else {
        mdb_txn_reset(tables->snapshot);
        rc = mdb_txn_renew(tables->snapshot);
    }
    if (rc == 0)
        return STORE_OK;
    if (tables->snapshot != NULL)
        mdb_txn_abort(tables->snapshot);
    tables->snapshot = NULL;
    return STORE_FAILED;
}

enum store_result tables_meta(const struct tables *tables, struct meta *out)
{
    assert(tables->snapshot != NULL);
    struct text key = text_of(LMDB_META_KEY);
    struct text value;
    enum store_result result =
        lmdb_get(tables->snapshot, tables->env.tables[TABLE_META], key, &value);
    if (result == STORE_OK && !record_get_meta(key, value, out))
        result = STORE_DAMAGED;
    return result;
}

/* ---- one record ---- */

static enum store_result value_of(const struct overlay_item *item, struct text *out)
{
    if (item->is_gone)
        return STORE_NOT_FOUND;
    *out = overlay_value(item);
    return STORE_OK;
}

enum store_result tables_get(const struct tables *tables, enum table table, struct text key,
                             struct text *out)
{
    assert(tables->snapshot != NULL);
    const struct overlay_item *item = overlay_find(tables->newer[table], key);
    if (item == NULL)
        item = overlay_find(tables->older[table], key);
    if (item != NULL)
        return value_of(item, out);
    return lmdb_get(tables->snapshot, tables->env.tables[table], key, out);
}

/* ---- lines: which key is the largest ---- */

static void know_at_least(struct tables *tables, struct text key)
{
    if (text_compare(key, key_text(&tables->largest_line)) > 0)
        tables->largest_line = key_of(key);
}

/* Finds the largest key once; deletions may leave it too large, which is harmless. */
static enum store_result know_largest_line(struct tables *tables)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(tables->snapshot, tables->env.tables[TABLE_LINES], &cursor);
    if (rc != 0)
        return lmdb_read_result(rc);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    mdb_cursor_close(cursor);
    if (rc == 0 && key.mv_size <= KEY_MAX_BYTES)
        know_at_least(tables, lmdb_text(key));
    else if (rc != MDB_NOTFOUND)
        return STORE_DAMAGED;
    struct overlay *const overlays[] = {tables->newer[TABLE_LINES], tables->older[TABLE_LINES]};
    for (size_t i = 0; i < sizeof overlays / sizeof *overlays; i++) {
        const struct overlay_item *last = overlay_last(overlays[i]);
        if (last != NULL)
            know_at_least(tables, overlay_key(last));
    }
    return STORE_OK;
}

enum store_result tables_get_line(struct tables *tables, struct text key, struct text *out)
{
    assert(tables->snapshot != NULL);
    if (tables->largest_line.len == 0) {
        enum store_result result = know_largest_line(tables);
        if (result != STORE_OK)
            return result;
    }
    if (text_compare(key, key_text(&tables->largest_line)) > 0)
        return STORE_NOT_FOUND;
    return tables_get(tables, TABLE_LINES, key, out);
}

enum store_result tables_put(struct tables *tables, enum table table, struct text key,
                             const struct record *record)
{
    assert(table != TABLE_META && record->len > RECORD_HEAD_BYTES);
    struct text value = {(const char *)record->bytes, record->len};
    if (overlay_put(tables->newer[table], key, value) == NULL)
        return STORE_FAILED;
    if (table == TABLE_LINES && tables->largest_line.len > 0)
        know_at_least(tables, key);
    return STORE_OK;
}

enum store_result tables_delete(struct tables *tables, enum table table, struct text key)
{
    assert(table != TABLE_META);
    return overlay_delete(tables->newer[table], key) ? STORE_OK : STORE_FAILED;
}

enum store_result tables_put_at(struct tables *tables, enum table table, struct text key,
                                const struct record *record, struct overlay_mark *mark)
{
    assert(table != TABLE_META && table != TABLE_LINES);
    struct text value = {(const char *)record->bytes, record->len};
    bool is_there = mark->item != NULL && mark->round == tables->round;
    assert(!is_there || text_equal(overlay_key(mark->item), key));
    if (is_there && overlay_put_again(mark->item, value))
        return STORE_OK;
    struct overlay_item *item = overlay_put(tables->newer[table], key, value);
    if (item == NULL)
        return STORE_FAILED;
    *mark = (struct overlay_mark){item, tables->round};
    return STORE_OK;
}

enum store_result tables_hold(struct tables *tables, const struct order_line *line, bool is_gone)
{
    assert(!order_line_waits(line));
    bool is_added =
        held_log_add(&tables->newer_held, line->batchref, line->seq, line->orderid, is_gone);
    return is_added ? STORE_OK : STORE_FAILED;
}

/* ---- many, in order ---- */

enum store_result table_walk_begin(struct table_walk *walk, const struct tables *tables,
                                   enum table table, const struct key *prefix, struct text from)
{
    assert(tables->snapshot != NULL && prefix->len + from.len <= KEY_MAX_BYTES);
    struct key first = *prefix;
    if (from.len > 0)
        memcpy(first.bytes + first.len, from.data, from.len);
    first.len += from.len;
    *walk = (struct table_walk){.prefix = *prefix,
                                .newer = overlay_seek(tables->newer[table], key_text(&first)),
                                .older = overlay_seek(tables->older[table], key_text(&first))};
    enum store_result result = lmdb_walk_begin(&walk->stored, tables->snapshot,
                                               tables->env.tables[table], key_text(&first));
    if (result != STORE_OK)
        return result;
    /* Here, as the walk keeps the key's address for its first step alone. */
    result = lmdb_walk_next(&walk->stored);
    walk->has_looked = result == STORE_OK;
    walk->has_no_more = result == STORE_NOT_FOUND;
    return result == STORE_NOT_FOUND ? STORE_OK : result;
}

static enum store_result look_at_snapshot(struct table_walk *walk)
{
    if (walk->has_looked || walk->has_no_more)
        return STORE_OK;
    enum store_result result = lmdb_walk_next(&walk->stored);
    walk->has_looked = result == STORE_OK;
    walk->has_no_more = result == STORE_NOT_FOUND;
    return result == STORE_NOT_FOUND ? STORE_OK : result;
}

static struct text smaller(struct text key, const struct overlay_place *place)
{
    const struct overlay_item *item = overlay_at(place);
    if (item == NULL || (!text_is_none(key) && text_compare(key, overlay_key(item)) <= 0))
        return key;
    return overlay_key(item);
}

/* Where the place is at that key: its item, and the place is behind it. */
static const struct overlay_item *pass(struct overlay_place *place, struct text key)
{
    const struct overlay_item *item = overlay_at(place);
    if (item == NULL || !text_equal(overlay_key(item), key))
        return NULL;
    overlay_next(place);
    return item;
}

static bool has_prefix(struct text key, const struct key *prefix)
{
    return key.len >= prefix->len && memcmp(key.data, prefix->bytes, prefix->len) == 0;
}

enum store_result table_walk_next(struct table_walk *walk)
{
    for (;;) {
        enum store_result result = look_at_snapshot(walk);
        if (result != STORE_OK)
            return result;
        struct text stored = walk->has_looked ? walk->stored.key : text_none();
        struct text key = smaller(smaller(stored, &walk->older), &walk->newer);
        if (text_is_none(key) || !has_prefix(key, &walk->prefix))
            return STORE_NOT_FOUND;
        bool is_stored = text_equal(key, stored);
        const struct overlay_item *older = pass(&walk->older, key);
        const struct overlay_item *newer = pass(&walk->newer, key);
        const struct overlay_item *item = newer != NULL ? newer : older;
        if (is_stored)
            walk->has_looked = false; /* what it looked at stays until the next look */
        if (item != NULL && item->is_gone)
            continue;
        walk->key = key;
        walk->value = item != NULL ? overlay_value(item) : walk->stored.value;
        return STORE_OK;
    }
}

void table_walk_end(struct table_walk *walk)
{
    lmdb_walk_end(&walk->stored);
}

/* ---- rounds ---- */

size_t tables_bytes(const struct tables *tables)
{
    size_t bytes = held_log_bytes(&tables->newer_held);
    for (enum table i = 0; i < TABLES; i++)
        bytes += overlay_bytes(tables->newer[i]);
    return bytes;
}

void tables_begin_round(struct tables *tables)
{
    for (enum table i = 0; i < TABLES; i++) {
        struct overlay *empty = tables->older[i];
        assert(overlay_last(empty) == NULL);
        tables->older[i] = tables->newer[i];
        tables->newer[i] = empty;
    }
    struct held_log empty_log = tables->older_held;
    assert(empty_log.count == 0);
    tables->older_held = tables->newer_held;
    tables->newer_held = empty_log;
    tables->round++;
}

void tables_drop_round(struct tables *tables)
{
    for (enum table i = 0; i < TABLES; i++)
        overlay_clear(tables->older[i]);
    held_log_clear(&tables->older_held);
}

void tables_forget(struct tables *tables)
{
    tables_drop_round(tables);
    for (enum table i = 0; i < TABLES; i++)
        overlay_clear(tables->newer[i]);
    held_log_clear(&tables->newer_held);
    tables->round++;
    tables->largest_line.len = 0;
}
