#include "store/lmdb/projector.h"

#include "domain/base/crash_point.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define SLICE_RECORDS 4096u

enum state { STATE_IDLE, STATE_WRITING, STATE_ENDED, STATE_CLOSING };

struct projector {
    struct tables *tables;
    const struct directory *directory;
    struct meta meta; /* of the round under way */
    enum store_result result;
    int cause;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards state alone; the rest belongs to whom it says */
    pthread_cond_t changed;
    enum state state;
};

/* ---- writing a round: the thread's ---- */

/* A round on its way into LMDB. */
struct round {
    const struct tables *tables;
    MDB_txn *txn;
    MDB_cursor *cursors[TABLES]; /* of the slice; NULL: not opened yet */
    struct overlay_place places[TABLES];
    size_t records; /* of the slice */
};

static int begin_slice(struct round *round)
{
    round->records = 0;
    for (enum table i = 0; i < TABLES; i++)
        round->cursors[i] = NULL; /* LMDB closes those of a write with it */
    int rc = mdb_txn_begin(round->tables->env.env, NULL, 0, &round->txn);
    if (rc != 0)
        round->txn = NULL;
    return rc;
}

static int end_slice(struct round *round)
{
    MDB_txn *txn = round->txn;
    round->txn = NULL;
    CRASH_POINT(projecting);
    return mdb_txn_commit(txn);
}

static int end_slice_if_full(struct round *round)
{
    if (round->records < SLICE_RECORDS)
        return 0;
    int rc = end_slice(round);
    return rc == 0 ? begin_slice(round) : rc;
}

static int delete_item(MDB_cursor *cursor, MDB_val *key)
{
    MDB_val value;
    int rc = mdb_cursor_get(cursor, key, &value, MDB_SET);
    if (rc == MDB_NOTFOUND)
        return 0;
    return rc == 0 ? mdb_cursor_del(cursor, 0) : rc;
}

/* Writes the item at the table's place, and goes on to the next. */
static int write_item(struct round *round, enum table table)
{
    const struct overlay_item *item = overlay_at(&round->places[table]);
    MDB_cursor **cursor = &round->cursors[table];
    MDB_val key = lmdb_val(overlay_key(item));
    MDB_val value = lmdb_val(overlay_value(item));
    int rc =
        *cursor == NULL ? mdb_cursor_open(round->txn, round->tables->env.tables[table], cursor) : 0;
    if (rc == 0)
        rc = item->is_gone ? delete_item(*cursor, &key) : mdb_cursor_put(*cursor, &key, &value, 0);
    overlay_next(&round->places[table]);
    round->records++;
    return rc;
}

/* All records of one product in a table. */
static int write_parts(struct round *round, enum table table, const struct key *prefix)
{
    int rc = 0;
    const struct overlay_item *item;
    while (rc == 0 && (item = overlay_at(&round->places[table])) != NULL &&
           item->key_len >= prefix->len && memcmp(item->bytes, prefix->bytes, prefix->len) == 0)
        rc = write_item(round, table);
    return rc;
}

/* What belongs to a product changes with it alone, and all of these tables are in the order of
 * SKUs.
 */
static int write_products(struct round *round)
{
    static const enum table parts[] = {TABLE_BATCHES, TABLE_USE, TABLE_WAITING};
    int rc = 0;
    const struct overlay_item *product;
    while (rc == 0 && (product = overlay_at(&round->places[TABLE_PRODUCTS])) != NULL) {
        struct key prefix = key_prefix(overlay_key(product));
        rc = write_item(round, TABLE_PRODUCTS);
        for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++)
            rc = write_parts(round, parts[i], &prefix);
        if (rc == 0)
            rc = end_slice_if_full(round);
    }
    return rc;
}

static int write_table(struct round *round, enum table table)
{
    int rc = 0;
    while (rc == 0 && overlay_at(&round->places[table]) != NULL) {
        rc = write_item(round, table);
        if (rc == 0)
            rc = end_slice_if_full(round);
    }
    return rc;
}

static int write_held_item(struct round *round, const struct held_item *item)
{
    const struct held_log *log = &round->tables->older_held;
    struct key key = key_of_held(held_item_ref(log, item), item->seq);
    MDB_cursor **cursor = &round->cursors[TABLE_HELD];
    MDB_val k = lmdb_val(key_text(&key));
    struct record record;
    record_put_text(&record, key_text(&key), held_item_orderid(log, item));
    MDB_val v = {record.len, record.bytes};
    int rc = *cursor == NULL
                 ? mdb_cursor_open(round->txn, round->tables->env.tables[TABLE_HELD], cursor)
                 : 0;
    if (rc == 0)
        rc = item->is_gone ? delete_item(*cursor, &k) : mdb_cursor_put(*cursor, &k, &v, 0);
    round->records++;
    return rc;
}

/* Of a line that came and went, the newer item says all. */
static int write_held(struct round *round)
{
    const struct held_log *log = &round->tables->older_held;
    size_t *order = held_log_order(log);
    int rc = order == NULL && log->count > 0 ? ENOMEM : 0;
    const struct held_item *before = NULL;
    for (size_t i = 0; rc == 0 && i < log->count; i++) {
        const struct held_item *item = &log->items[order[i]];
        bool is_same = before != NULL && before->seq == item->seq &&
                       text_equal(held_item_ref(log, before), held_item_ref(log, item));
        before = item;
        if (is_same)
            continue;
        rc = write_held_item(round, item);
        if (rc == 0)
            rc = end_slice_if_full(round);
    }
    free(order);
    return rc;
}

static int write_meta(struct round *round, const struct meta *meta)
{
    struct text name = text_of(LMDB_META_KEY);
    struct record record;
    record_put_meta(&record, name, meta);
    MDB_val key = lmdb_val(name);
    MDB_val value = {record.len, record.bytes};
    return mdb_put(round->txn, round->tables->env.tables[TABLE_META], &key, &value, 0);
}

static int write_round(const struct tables *tables, const struct meta *meta)
{
    static const enum table others[] = {TABLE_REFS, TABLE_LINES, TABLE_REMEMBERED};
    struct round round = {.tables = tables};
    for (enum table i = 0; i < TABLES; i++)
        round.places[i] = overlay_seek(tables->older[i], text_of(""));
    int rc = begin_slice(&round);
    if (rc == 0)
        rc = write_products(&round);
    for (size_t i = 0; rc == 0 && i < sizeof others / sizeof *others; i++)
        rc = write_table(&round, others[i]);
    if (rc == 0)
        rc = write_held(&round);
    if (rc == 0)
        rc = write_meta(&round, meta);
    CRASH_POINT(before_projected);
    if (rc == 0)
        rc = end_slice(&round);
    if (round.txn != NULL)
        mdb_txn_abort(round.txn);
    CRASH_POINT(projected);
    return rc;
}

/* ---- the two threads ---- */

static void set_state(struct projector *p, enum state state)
{
    pthread_mutex_lock(&p->mutex);
    p->state = state;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

/* Returns the state that it is in then. */
static enum state wait_while(struct projector *p, enum state state)
{
    pthread_mutex_lock(&p->mutex);
    while (p->state == state)
        pthread_cond_wait(&p->changed, &p->mutex);
    enum state now = p->state;
    pthread_mutex_unlock(&p->mutex);
    return now;
}

static enum state state_of(const struct projector *projector)
{
    struct projector *p = (struct projector *)(uintptr_t)projector; /* for the mutex alone */
    pthread_mutex_lock(&p->mutex);
    enum state now = p->state;
    pthread_mutex_unlock(&p->mutex);
    return now;
}

static void *run(void *argument)
{
    struct projector *p = argument;
    enum state state;
    while ((state = wait_while(p, STATE_IDLE)) != STATE_CLOSING) {
        if (state == STATE_WRITING) {
            int rc = write_round(p->tables, &p->meta);
            p->result = lmdb_write_result(p->directory, rc, &p->cause);
            set_state(p, STATE_ENDED);
        }
        wait_while(p, STATE_ENDED);
    }
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct projector *p)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&p->thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

struct projector *projector_new(struct tables *tables, const struct directory *directory)
{
    struct projector *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->tables = tables;
    p->directory = directory;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->changed, NULL);
    if (start_thread(p) == 0)
        return p;
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    free(p);
    return NULL;
}

void projector_destroy(struct projector **projector)
{
    struct projector *p = *projector;
    if (p == NULL)
        return;
    wait_while(p, STATE_WRITING);
    set_state(p, STATE_CLOSING);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    free(p);
    *projector = NULL;
}

void projector_begin(struct projector *projector, const struct meta *meta)
{
    assert(projector_is_idle(projector));
    projector->meta = *meta;
    set_state(projector, STATE_WRITING);
}

bool projector_is_idle(const struct projector *projector)
{
    return state_of(projector) == STATE_IDLE;
}

bool projector_take(struct projector *projector, enum store_result *result)
{
    if (state_of(projector) != STATE_ENDED)
        return false;
    *result = projector->result;
    set_state(projector, STATE_IDLE);
    return true;
}

int projector_cause(const struct projector *projector)
{
    assert(projector_is_idle(projector));
    return projector->cause;
}

void projector_wait(struct projector *projector)
{
    wait_while(projector, STATE_WRITING);
}
