/* The table of order lines: (orderid, sku) -> seq of the event that put the line where it is.
 *
 * Order ids mostly grow, so most lines that are asked for lie beyond the last one that is stored.
 * Knowing the largest key spares the search for them, and lets them be appended: then neither
 * costs more the more lines there are. */
#include "store/lmdb_inside.h"

/* Finds the largest key once; deletions may leave it too large, which is harmless. */
static enum store_result know_largest(struct lmdb_store *store)
{
    if (store->largest_line_known)
        return STORE_OK;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(store->txn, store->env.lines, &cursor);
    if (rc != 0)
        return lmdb_read_result(rc);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    mdb_cursor_close(cursor);
    store->largest_line.len = 0; /* no line has an empty key */
    if (rc == 0 && key.mv_size <= KEY_MAX_BYTES)
        store->largest_line = key_of(lmdb_text(key));
    else if (rc != MDB_NOTFOUND)
        return STORE_DAMAGED;
    store->largest_line_known = true;
    return STORE_OK;
}

static bool is_beyond_largest(const struct lmdb_store *store, const struct key *key)
{
    return text_compare(key_text(key), key_text(&store->largest_line)) > 0;
}

enum store_result lmdb_lines_get(struct lmdb_store *store, struct text orderid, struct text sku,
                                 uint64_t *seq)
{
    struct key key = key_of_two(orderid, sku);
    struct text value;
    enum store_result result = know_largest(store);
    if (result != STORE_OK)
        return result;
    if (is_beyond_largest(store, &key))
        return STORE_NOT_FOUND;
    result = lmdb_get(store->txn, store->env.lines, key_text(&key), &value);
    if (result == STORE_OK && !record_get_line(key_text(&key), value, seq))
        result = STORE_DAMAGED;
    return result;
}

enum store_result lmdb_lines_put(struct lmdb_store *store, struct text orderid, struct text sku,
                                 uint64_t seq)
{
    struct key key = key_of_two(orderid, sku);
    struct record record;
    enum store_result result = know_largest(store);
    if (result != STORE_OK)
        return result;
    record_put_line(&record, key_text(&key), seq);
    int rc;
    if (is_beyond_largest(store, &key)) {
        rc = lmdb_append(store->txn, store->env.lines, &store->lines_end, key_text(&key), &record);
        store->largest_line = key;
    } else {
        rc = lmdb_put(store->txn, store->env.lines, key_text(&key), &record);
    }
    return lmdb_write_result(&store->env, rc);
}

enum store_result lmdb_lines_delete(struct lmdb_store *store, struct text orderid, struct text sku)
{
    struct key key = key_of_two(orderid, sku);
    return lmdb_write_result(&store->env,
                             lmdb_delete(store->txn, store->env.lines, key_text(&key)));
}
