#include "tests/faults/power_loss_oracle.h"

#include "store/lmdb/pages.h"
#include "store/lmdb/store.h"
#include "store/verify/verify.h"
#include "store/lmdb/record.h"
#include "tests/support/build.h"
#include "tests/support/fake_parts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <lmdb.h>
#include <msgpack.h>
#include <stdlib.h>
#include <unistd.h>

#define MAP_BYTES ((size_t)256 * 1024 * 1024)

void oracle_init(struct oracle *oracle, const char *directory)
{
    *oracle = (struct oracle){.directory = directory};
}

static void release_rows(struct oracle_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free(rows->rows[i].bytes);
    free(rows->rows);
}

void oracle_release(struct oracle *oracle)
{
    release_rows(&oracle->events);
    release_rows(&oracle->replies);
    free(oracle->commits);
    free(oracle->promised);
}

/* ---- the store, read by hand ---- */

struct opened {
    MDB_env *env;
    MDB_txn *txn;
};

static void close_store(struct opened *opened)
{
    if (opened->txn != NULL)
        mdb_txn_abort(opened->txn);
    if (opened->env != NULL)
        mdb_env_close(opened->env);
}

/* False: there is no store that can be read, as before the first commit. */
static bool open_store(const char *directory, struct opened *out)
{
    *out = (struct opened){NULL, NULL};
    if (mdb_env_create(&out->env) == 0 && mdb_env_set_maxdbs(out->env, 16) == 0 &&
        mdb_env_set_mapsize(out->env, MAP_BYTES) == 0 &&
        mdb_env_open(out->env, directory, MDB_RDONLY | MDB_NOLOCK, 0600) == 0 &&
        mdb_txn_begin(out->env, NULL, MDB_RDONLY, &out->txn) == 0)
        return true;
    close_store(out);
    return false;
}

/* Row `index` of a table; false: it is not what it has to be. */
typedef bool take_row(void *context, size_t index, uint64_t key, MDB_val value);

static bool walk(const struct opened *opened, const char *table, take_row *take, void *context,
                 size_t *count)
{
    MDB_dbi dbi;
    MDB_cursor *cursor;
    *count = 0;
    if (mdb_dbi_open(opened->txn, table, MDB_INTEGERKEY, &dbi) != 0)
        return true; /* it was never made: it has no rows */
    if (mdb_cursor_open(opened->txn, dbi, &cursor) != 0)
        return false;
    MDB_val key;
    MDB_val value;
    bool good = true;
    while (good && mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        uint64_t number = 0;
        good = key.mv_size == sizeof number;
        if (good) {
            memcpy(&number, key.mv_data, sizeof number);
            good = take(context, *count, number, value);
        }
        ++*count;
    }
    mdb_cursor_close(cursor);
    return good;
}

static bool is_row(const struct oracle_rows *rows, size_t index, uint64_t key, MDB_val value)
{
    const struct oracle_row *row = &rows->rows[index];
    return key == rows->first + index && row->len == value.mv_size &&
           memcmp(row->bytes, value.mv_data, row->len) == 0;
}

static bool check_row(void *context, size_t index, uint64_t key, MDB_val value)
{
    const struct oracle_rows *rows = context;
    return index < rows->count && is_row(rows, index, key, value);
}

/* A row that is known already must still be what it was. */
static bool learn_row(void *context, size_t index, uint64_t key, MDB_val value)
{
    struct oracle_rows *rows = context;
    if (index < rows->count)
        return is_row(rows, index, key, value);
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity > 0 ? 2 * rows->capacity : 256;
        rows->rows = realloc(rows->rows, rows->capacity * sizeof *rows->rows);
        assert(rows->rows != NULL);
    }
    if (index == 0)
        rows->first = key;
    struct oracle_row row = {malloc(value.mv_size), value.mv_size};
    assert(row.bytes != NULL);
    memcpy(row.bytes, value.mv_data, row.len);
    rows->rows[rows->count++] = row;
    return key == rows->first + index;
}

/* ---- the run ---- */

bool oracle_learn(struct oracle *oracle, FILE *why)
{
    struct opened opened;
    struct oracle_size size = {0, 0};
    if (open_store(oracle->directory, &opened)) {
        bool good = walk(&opened, "events", learn_row, &oracle->events, &size.events) &&
                    walk(&opened, "remembered", learn_row, &oracle->replies, &size.replies);
        close_store(&opened);
        if (!good) {
            fprintf(why, "a commit changed what was stored before\n");
            return false;
        }
    }
    oracle->commits =
        realloc(oracle->commits, (oracle->commit_count + 1) * sizeof *oracle->commits);
    assert(oracle->commits != NULL);
    oracle->commits[oracle->commit_count++] = size;
    return true;
}

/* What a message says that a store could contradict. */
struct message {
    bool is_reply;
    bool is_event;
    bool has_seq;
    bool duplicate;
    uint64_t seq;
    struct text id;
    struct text error;
    struct text batchref;
};

static struct text text_in(const msgpack_object *value)
{
    if (value->type != MSGPACK_OBJECT_STR)
        return text_none();
    return (struct text){value->via.str.ptr, value->via.str.size};
}

static void read_field(struct message *out, struct text key, const msgpack_object *value)
{
    if (text_equal(key, text_of("ok"))) {
        out->is_reply = true;
    } else if (text_equal(key, text_of("prev"))) {
        out->is_event = true;
    } else if (text_equal(key, text_of("seq")) && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        out->has_seq = true;
        out->seq = value->via.u64;
    } else if (text_equal(key, text_of("duplicate")) && value->type == MSGPACK_OBJECT_BOOLEAN) {
        out->duplicate = value->via.boolean;
    } else if (text_equal(key, text_of("id"))) {
        out->id = text_in(value);
    } else if (text_equal(key, text_of("error"))) {
        out->error = text_in(value);
    } else if (text_equal(key, text_of("batchref"))) {
        out->batchref = text_in(value);
    }
}

/* False: the frame is no body, or says nothing of what is stored. */
static bool read_message(const msgpack_object *body, struct message *out)
{
    *out = (struct message){0};
    if (body->type != MSGPACK_OBJECT_MAP)
        return false;
    for (uint32_t i = 0; i < body->via.map.size; i++) {
        const msgpack_object_kv *pair = &body->via.map.ptr[i];
        read_field(out, text_in(&pair->key), &pair->val);
    }
    return out->has_seq;
}

static bool is_remembered(const struct message *message)
{
    if (!message->is_reply || text_is_none(message->id))
        return false;
    if (text_is_none(message->error))
        return true;
    for (enum outcome outcome = 0; outcome < OUTCOMES; outcome++)
        if (text_equal(message->error, text_of(outcome_info(outcome)->code)))
            return outcome_info(outcome)->remembered;
    return false;
}

/* The commands of a run have ids, its queries have none: so each reply with a seq and an id is in
 * the store. *number: how many replies are, up to this one. */
static bool find_reply(const struct oracle *oracle, const struct message *message, size_t *number)
{
    for (size_t i = oracle->replies.count; i > 0; i--) {
        const struct oracle_row *row = &oracle->replies.rows[i - 1];
        struct text value = {(const char *)row->bytes, row->len};
        struct remembered found;
        if (!record_get_remembered(oracle->replies.first + i - 1, value, &found) ||
            !text_equal(found.id, message->id))
            continue;
        const char *code = outcome_info(found.outcome)->code;
        bool is_done = found.outcome == OUTCOME_DONE;
        *number = i;
        return found.seq == message->seq && found.duplicate == message->duplicate &&
               is_done == text_is_none(message->error) &&
               (is_done || text_equal(message->error, text_of(code))) &&
               text_equal(found.batchref, message->batchref);
    }
    return false;
}

static bool is_stored_event(const struct oracle *oracle, uint64_t seq, struct text body)
{
    if (seq == 0 || seq > oracle->events.count)
        return false;
    const struct oracle_row *row = &oracle->events.rows[seq - 1];
    struct logged_event logged;
    return record_get_event(seq, (struct text){(const char *)row->bytes, row->len}, &logged) &&
           text_equal(logged.body, body);
}

/* Requires: the last entry of `promised` is free. */
static bool take_message(struct oracle *oracle, const struct message *message, struct text body,
                         FILE *why)
{
    struct oracle_size *promised = &oracle->promised[oracle->message_count - 1];
    if (message->seq > oracle->events.count ||
        (message->is_event && !is_stored_event(oracle, message->seq, body))) {
        fprintf(why, "a message left before a write that syncs stored seq %" PRIu64 "\n",
                message->seq);
        return false;
    }
    if (message->seq > promised->events)
        promised->events = message->seq;
    size_t number = 0;
    if (is_remembered(message) && !find_reply(oracle, message, &number)) {
        fprintf(why, "the reply to %.*s left before a write that syncs stored it as it is\n",
                TEXT_ARG(message->id));
        return false;
    }
    if (number > promised->replies)
        promised->replies = number;
    return true;
}

bool oracle_learn_sent(struct oracle *oracle, const unsigned char *frame, size_t len, FILE *why)
{
    size_t count = oracle->message_count;
    oracle->promised = realloc(oracle->promised, (count + 1) * sizeof *oracle->promised);
    assert(oracle->promised != NULL);
    oracle->promised[count] = count > 0 ? oracle->promised[count - 1] : (struct oracle_size){0, 0};
    oracle->message_count++;

    msgpack_unpacked body;
    struct message message;
    bool good = true;
    msgpack_unpacked_init(&body);
    size_t end = 0;
    if (msgpack_unpack_next(&body, (const char *)frame, len, &end) == MSGPACK_UNPACK_SUCCESS &&
        end == len && read_message(&body.data, &message))
        good = take_message(oracle, &message, (struct text){(const char *)frame, len}, why);
    msgpack_unpacked_destroy(&body);
    return good;
}

/* ---- what a cut left ---- */

bool oracle_is_cut_off(const struct oracle *oracle)
{
    char path[PATH_MAX];
    char error[LMDB_PAGES_ERROR_BYTES];
    struct lmdb_pages_found found;
    enum lmdb_pages_depth depth = LMDB_PAGES_METAS;
    snprintf(path, sizeof path, "%s/data.mdb", oracle->directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_cut_off =
        fd >= 0 && lmdb_pages_check_file(fd, 0, &depth, &found, error) && found.unfinished.txn > 0;
    if (fd >= 0)
        close(fd);
    return is_cut_off;
}

static bool is_size_of_commit(const struct oracle *oracle, struct oracle_size size)
{
    for (size_t i = oracle->commit_count; i > 0; i--)
        if (oracle->commits[i - 1].events == size.events &&
            oracle->commits[i - 1].replies == size.replies)
            return true;
    return size.events == 0 && size.replies == 0;
}

bool oracle_check(const struct oracle *oracle, size_t messages, FILE *why)
{
    struct opened opened;
    struct oracle_size size = {0, 0};
    bool good = lmdb_verify(oracle->directory, MAP_BYTES, why);
    if (good && open_store(oracle->directory, &opened)) {
        good =
            walk(&opened, "events", check_row, (void *)(uintptr_t)&oracle->events, &size.events) &&
            walk(&opened, "remembered", check_row, (void *)(uintptr_t)&oracle->replies,
                 &size.replies);
        close_store(&opened);
        if (!good)
            fprintf(why, "an event or a remembered reply is not that of the run\n");
    }
    if (!good)
        return false;
    struct oracle_size promised =
        messages > 0 ? oracle->promised[messages - 1] : (struct oracle_size){0, 0};
    if (size.events >= promised.events && size.replies >= promised.replies &&
        is_size_of_commit(oracle, size))
        return true;
    fprintf(why, "%zu events and %zu replies are stored; %zu and %zu had left; %s\n", size.events,
            size.replies, promised.events, promised.replies,
            is_size_of_commit(oracle, size) ? "so it was after a commit" : "no commit left that");
    return false;
}

static bool take_command(struct lmdb_store *store, const char **why)
{
    struct fake_parts *fakes = fake_parts_new(lmdb_store_unit(store), lmdb_store_reader(store));
    struct request request = build_request("CreateBatch after-the-cut AFTER-THE-CUT 1 id=after");
    bus_handle(fakes->bus, &request);
    *why = "its commit failed";
    bool good = bus_commit(fakes->bus) == STORE_OK;
    if (good) {
        *why = "it is refused";
        good = bus_reply(fakes->bus, 0)->outcome == OUTCOME_DONE;
    }
    bus_end_group(fakes->bus);
    fake_parts_destroy(&fakes);
    return good;
}

/* What one more commit must leave as it was. */
struct begin {
    const struct oracle_rows *rows;
    size_t count;
};

static bool check_begin(void *context, size_t index, uint64_t key, MDB_val value)
{
    const struct begin *begin = context;
    return index >= begin->count || is_row(begin->rows, index, key, value);
}

/* The copy begins with the rows that the store has. */
static bool begins_with(const struct opened *copy, const struct opened *store, const char *table,
                        const struct oracle_rows *rows)
{
    struct begin begin = {rows, 0};
    size_t count;
    return walk(store, table, check_row, (void *)(uintptr_t)rows, &begin.count) &&
           walk(copy, table, check_begin, &begin, &count) && count >= begin.count;
}

static bool keeps_all(const struct oracle *oracle, const char *copy, FILE *why)
{
    struct opened before;
    struct opened after;
    if (!open_store(oracle->directory, &before))
        return true; /* nothing was stored */
    bool good = open_store(copy, &after);
    if (good) {
        good = begins_with(&after, &before, "events", &oracle->events) &&
               begins_with(&after, &before, "remembered", &oracle->replies);
        close_store(&after);
    }
    close_store(&before);
    if (!good)
        fprintf(why, "a start lost or changed what was stored\n");
    return good;
}

bool oracle_goes_on(const struct oracle *oracle, const char *copy, uint64_t *finished, FILE *why)
{
    char error[ERROR_BYTES];
    struct lmdb_store_options options = {.directory = copy,
                                         .map_size_bytes = MAP_BYTES,
                                         .cache_bytes = MAP_BYTES,
                                         .events_behind = 40,
                                         .ids_kept = 10000,
                                         .check_bytes = MAP_BYTES};
    struct lmdb_store *store = lmdb_store_open(&options, error);
    if (store == NULL) {
        fprintf(why, "the store does not open: %s\n", error);
        return false;
    }
    const char *what = NULL;
    *finished += lmdb_store_has_finished_commit(store);
    bool good = take_command(store, &what);
    lmdb_store_close(&store);
    if (!good)
        fprintf(why, "one more command: %s\n", what);
    return good && keeps_all(oracle, copy, why) && lmdb_verify(copy, MAP_BYTES, why);
}
