/* The table of order lines: (orderid, sku) -> seq of the event that put the line where it is.
 *
 * Lines lie anywhere in the table, each on a page of its own. They are written behind the log
 * (store/lmdb/fold.c), many lines of a page at a time, and until then the table lacks them: what it
 * says of a line is outdated where one of two overlays has it. One takes what changes now. The
 * other holds what had changed when the round began that is being written, and is forgotten when
 * that ends.
 *
 * Order ids mostly grow, so most lines that are asked for lie beyond the last one there is. Knowing
 * the largest key spares the search for them. */
#include "store/lmdb/inside.h"

#include "domain/base/crash_point.h"

bool lmdb_lines_open(struct lmdb_store *store)
{
    store->lines.newer = line_overlay_new();
    store->lines.older = line_overlay_new();
    return store->lines.newer != NULL && store->lines.older != NULL;
}

void lmdb_lines_close(struct lmdb_store *store)
{
    line_overlay_destroy(&store->lines.newer);
    line_overlay_destroy(&store->lines.older);
}

void lmdb_lines_begin(struct lmdb_store *store)
{
    store->lines.near = NULL;
}

/* ---- one line ---- */

static void know_at_least(struct lmdb_lines *lines, const struct line_overlay *overlay)
{
    const struct overlay_line *last = line_overlay_last(overlay);
    if (last != NULL && text_compare(overlay_line_key(last), key_text(&lines->largest)) > 0)
        lines->largest = key_of(overlay_line_key(last));
}

/* Finds the largest key once; deletions may leave it too large, which is harmless. */
static enum store_result know_largest(struct lmdb_store *store)
{
    struct lmdb_lines *lines = &store->lines;
    if (lines->largest_is_known)
        return STORE_OK;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(store->txn, store->env.lines, &cursor);
    if (rc != 0)
        return lmdb_read_result(rc);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    mdb_cursor_close(cursor);
    lines->largest.len = 0; /* no line has an empty key */
    if (rc == 0 && key.mv_size <= KEY_MAX_BYTES)
        lines->largest = key_of(lmdb_text(key));
    else if (rc != MDB_NOTFOUND)
        return STORE_DAMAGED;
    know_at_least(lines, lines->newer);
    know_at_least(lines, lines->older);
    lines->largest_is_known = true;
    return STORE_OK;
}

static bool is_beyond_largest(const struct lmdb_store *store, const struct key *key)
{
    return text_compare(key_text(key), key_text(&store->lines.largest)) > 0;
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
    const struct overlay_line *line = line_overlay_find(store->lines.newer, key_text(&key));
    if (line == NULL)
        line = line_overlay_find(store->lines.older, key_text(&key));
    if (line != NULL) {
        *seq = line->seq;
        return line->seq != 0 ? STORE_OK : STORE_NOT_FOUND;
    }
    result = lmdb_get(store->txn, store->env.lines, key_text(&key), &value);
    if (result == STORE_OK && !record_get_line(key_text(&key), value, seq))
        result = STORE_DAMAGED;
    return result;
}

enum store_result lmdb_lines_follow(struct lmdb_store *store, const struct effect *effect)
{
    if (effect->on_line == LINE_UNTOUCHED)
        return STORE_OK;
    struct key key = key_of_two(effect->line.orderid, effect->line.sku);
    uint64_t seq = effect->on_line == LINE_PUT ? effect->line.seq : 0;
    enum store_result result = know_largest(store);
    if (result != STORE_OK)
        return result;
    if (is_beyond_largest(store, &key))
        store->lines.largest = key;
    return line_overlay_set(store->lines.newer, key_text(&key), seq) ? STORE_OK : STORE_FAILED;
}

/* ---- writing behind the log ---- */

size_t lmdb_lines_bytes(const struct lmdb_store *store)
{
    return line_overlay_bytes(store->lines.newer);
}

void lmdb_lines_take_round(struct lmdb_store *store)
{
    struct lmdb_lines *lines = &store->lines;
    struct line_overlay *written = lines->older;
    lines->older = lines->newer;
    lines->newer = written;
    lines->next = line_overlay_seek(lines->older, text_of(""));
}

static enum store_result write_line(struct lmdb_store *store, const struct overlay_line *line)
{
    struct lmdb_lines *lines = &store->lines;
    struct text key = overlay_line_key(line);
    struct record record;
    if (line->seq == 0) {
        if (lines->near != NULL) /* LMDB would have to keep it in step */
            mdb_cursor_close(lines->near);
        lines->near = NULL;
        return lmdb_write_result(&store->env, lmdb_delete(store->txn, store->env.lines, key));
    }
    record_put_line(&record, key, line->seq);
    return lmdb_write_result(
        &store->env, lmdb_put_near(store->txn, store->env.lines, &lines->near, key, &record));
}

enum store_result lmdb_lines_write_some(struct lmdb_store *store, uint64_t writes)
{
    struct line_place *next = &store->lines.next;
    enum store_result result = STORE_OK;
    const struct overlay_line *line;
    for (; writes > 0 && (line = line_place_get(next)) != NULL; writes--) {
        result = write_line(store, line);
        CRASH_POINT(folding_lines);
        if (result != STORE_OK)
            break;
        line_place_next(next);
    }
    return result;
}

bool lmdb_lines_are_written(const struct lmdb_store *store)
{
    return line_place_get(&store->lines.next) == NULL;
}

void lmdb_lines_end_round(struct lmdb_store *store)
{
    line_overlay_clear(store->lines.older);
}

void lmdb_lines_forget(struct lmdb_store *store)
{
    struct lmdb_lines *lines = &store->lines;
    line_overlay_clear(lines->newer);
    line_overlay_clear(lines->older);
    lines->next = (struct line_place){.leaf = NULL};
    lines->largest_is_known = false;
}

/* ---- reading them in order ---- */

void lmdb_lines_walk_begin(struct lmdb_lines_walk *lines, const struct lmdb_store *store,
                           const struct key *prefix, struct text from)
{
    lines->prefix = *prefix;
    lines->newer = line_overlay_seek(store->lines.newer, from);
    lines->older = line_overlay_seek(store->lines.older, from);
    lines->has_looked = false;
}

/* The table's next line, absent at its end, for as long as it is not passed. */
static enum store_result look_at_table(struct lmdb_lines_walk *lines, struct lmdb_walk *walk)
{
    if (lines->has_looked)
        return STORE_OK;
    enum store_result result = lmdb_walk_next(walk);
    lines->key = result == STORE_OK ? walk->key : text_none();
    lines->value = walk->value;
    lines->has_looked = true;
    return result == STORE_NOT_FOUND ? STORE_OK : result;
}

/* Where the place is at that key: its line, and the place is behind it. */
static const struct overlay_line *pass(struct line_place *place, struct text key)
{
    const struct overlay_line *line = line_place_get(place);
    if (line == NULL || !text_equal(overlay_line_key(line), key))
        return NULL;
    line_place_next(place);
    return line;
}

static struct text smaller(struct text key, const struct line_place *place)
{
    const struct overlay_line *line = line_place_get(place);
    if (line == NULL || (!text_is_none(key) && text_compare(key, overlay_line_key(line)) <= 0))
        return key;
    return overlay_line_key(line);
}

enum store_result lmdb_lines_walk_next(struct lmdb_lines_walk *lines, struct lmdb_walk *walk)
{
    for (;;) {
        enum store_result result = look_at_table(lines, walk);
        if (result != STORE_OK)
            return result;
        struct text key = smaller(smaller(lines->key, &lines->older), &lines->newer);
        struct text rest;
        if (text_is_none(key) || !lmdb_key_rest(key, &lines->prefix, &rest))
            return STORE_NOT_FOUND;
        if (text_equal(key, lines->key))
            lines->has_looked = false;
        const struct overlay_line *older = pass(&lines->older, key);
        const struct overlay_line *newer = pass(&lines->newer, key);
        const struct overlay_line *line = newer != NULL ? newer : older;
        if (line != NULL && line->seq == 0)
            continue;
        walk->key = key;
        walk->value = lines->value;
        if (line != NULL) {
            record_put_line(&lines->record, key, line->seq);
            walk->value = (struct text){(const char *)lines->record.bytes, lines->record.len};
        }
        return STORE_OK;
    }
}
