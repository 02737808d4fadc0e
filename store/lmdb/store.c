#include "store/lmdb/inside.h"

#include "domain/base/crash_point.h"
#include "store/hash.h"
#include "store/journal/file.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_PART                                                                                 \
    4u /* of the cache, beside it: what changes in a round, and as much in the next */

static bool fail(char error[ERROR_BYTES], const struct lmdb_store *store, const char *what)
{
    snprintf(error, ERROR_BYTES, "the store %s %s", store->directory.path, what);
    return false;
}

/* ---- the journal ---- */

/* A store without one is none of ours: what its tables say could be held against nothing. */
static bool open_journal(struct lmdb_store *store, enum journal_file_mode mode,
                         char error[ERROR_BYTES])
{
    const struct directory *directory = &store->directory;
    if (mode != JOURNAL_FILE_MAY_BE_NEW && !directory_has(directory, DIRECTORY_JOURNAL))
        return fail(error, store,
                    "has no journal: it was removed, or the store is of an older allocd, whose "
                    "stores this one does not read");
    struct journal_file_options options = {.directory = directory->path,
                                           .first_bytes = JOURNAL_FIRST_BYTES,
                                           .largest_bytes = JOURNAL_LARGEST_BYTES,
                                           .mode = mode};
    store->journal = journal_file_open(directory->fd, &options, error);
    if (store->journal == NULL)
        return false;
    store->end_was_cut = journal_file_has_cut(store->journal);
    store->journal_id = journal_file_id(store->journal);
    CRASH_POINT(journal_there);
    return true;
}

/* ---- the tables ---- */

/* Has tables that were opened catch up with the journal. STORE_DAMAGED: they do not follow from it,
 * or it cannot be read. */
static enum store_result follow_journal(struct lmdb_store *store, char error[ERROR_BYTES])
{
    store->is_stale = true;
    store->cause = ENOMEM; /* of a failure that nobody says more of */
    enum store_result result = tables_refresh(&store->tables);
    if (result == STORE_OK)
        result = store_open_replies(store);
    if (result == STORE_OK)
        result = store_catch_up(store);
    if (result == STORE_DAMAGED)
        snprintf(error, ERROR_BYTES, "the tables in %s do not follow from its journal",
                 store->directory.path);
    else if (result != STORE_OK)
        snprintf(error, ERROR_BYTES, "the store %s cannot be brought up to date: %s",
                 store->directory.path,
                 result == STORE_FAILED ? lmdb_store_cause(store)
                 : result == STORE_FULL ? "there is no space left"
                                        : "the disk failed");
    return result;
}

/* They are made anew by going through all of the journal, as any that lack something. */
static void note_missing(struct lmdb_store *store)
{
    if (store->tables.env.is_new && store->why_rebuilt[0] == '\0' &&
        journal_newest(store->journal) > 0)
        snprintf(store->why_rebuilt, sizeof store->why_rebuilt,
                 "the tables in %s/" DIRECTORY_TABLES " are missing", store->directory.path);
}

static enum store_result open_and_follow(struct lmdb_store *store,
                                         const struct lmdb_store_options *options,
                                         char error[ERROR_BYTES])
{
    enum store_result result = lmdb_env_open(&store->tables.env, &store->directory,
                                             options->map_size_bytes, options->check_bytes, error);
    if (result == STORE_OK)
        note_missing(store);
    return result == STORE_OK ? follow_journal(store, error) : result;
}

static void close_tables(struct lmdb_store *store)
{
    (void)store_end_round(store);
    tables_close_env(&store->tables);
}

/* Tables follow from the journal, so damaged ones are no loss. */
static enum store_result rebuild(struct lmdb_store *store, const struct lmdb_store_options *options,
                                 char error[ERROR_BYTES])
{
    snprintf(store->why_rebuilt, sizeof store->why_rebuilt, "%s", error);
    close_tables(store);
    if (!lmdb_env_set_aside(&store->directory, error))
        return STORE_FAILED;
    CRASH_POINT(rebuilding);
    enum store_result result = open_and_follow(store, options, error);
    if (result == STORE_DAMAGED)
        snprintf(error, ERROR_BYTES,
                 "the store %s is damaged: its journal does not say what its tables were made of",
                 store->directory.path);
    if (result == STORE_OK)
        return STORE_OK;
    close_tables(store); /* those of before may be better than none, for whoever mends it by hand */
    lmdb_env_put_back(&store->directory);
    return result;
}

static bool open_tables(struct lmdb_store *store, const struct lmdb_store_options *options,
                        char error[ERROR_BYTES])
{
    enum store_result result = open_and_follow(store, options, error);
    if (result == STORE_DAMAGED && store->projected.journal == store->journal_id &&
        store->projected.entry > journal_newest(store->journal))
        return fail(error, store, "is damaged: its journal has lost what its tables have");
    if (result == STORE_DAMAGED)
        result = rebuild(store, options, error);
    return result == STORE_OK && lmdb_env_drop_aside(&store->directory, error);
}

/* ---- opening and closing ---- */

static bool make_parts(struct lmdb_store *store, const struct lmdb_store_options *options)
{
    store->codec = codec_new();
    for (size_t i = 0; i < sizeof store->memory / sizeof *store->memory; i++)
        store->memory[i].arena = arena_new();
    store->open = &store->memory[0];
    store->arena = store->open->arena;
    bool is_seeded = hash_new_seed(&store->hash_seed);
    store->cache = product_cache_new(options->cache_bytes, store->hash_seed);
    bool has_tables = tables_init(&store->tables);
    return is_seeded && has_tables && store->codec != NULL && store->memory[0].arena != NULL &&
           store->memory[1].arena != NULL && store->cache != NULL;
}

static bool make_projector(struct lmdb_store *store, char error[ERROR_BYTES])
{
    store->projector = projector_new(&store->tables, &store->directory);
    if (store->projector == NULL)
        snprintf(error, ERROR_BYTES, "no memory");
    return store->projector != NULL;
}

/* NULL: no memory. */
static struct lmdb_store *store_new(const struct lmdb_store_options *options,
                                    char error[ERROR_BYTES])
{
    assert(options->ids_kept >= 1 && options->ids_kept <= LMDB_STORE_IDS_MAX);
    struct lmdb_store *store = calloc(1, sizeof *store);
    snprintf(error, ERROR_BYTES, "no memory");
    if (store == NULL)
        return NULL;
    store->unit.ops = &lmdb_unit_ops;
    store->reader.ops = &lmdb_reader_ops;
    store->replies.kept = options->ids_kept;
    store->rounds.events = options->events_behind;
    store->rounds.bytes = options->cache_bytes / ROUND_PART + 1;
    store->directory = (struct directory){.fd = -1, .marker_fd = -1, .place.fd = -1};
    if (!make_parts(store, options))
        lmdb_store_close(&store);
    return store;
}

struct lmdb_store *lmdb_store_open(const struct lmdb_store_options *options,
                                   char error[ERROR_BYTES])
{
    struct lmdb_store *store = store_new(options, error);
    if (store == NULL)
        return NULL;
    if (directory_open(&store->directory, options->directory, error) &&
        open_journal(store,
                     store->directory.was_made ? JOURNAL_FILE_IS_THERE : JOURNAL_FILE_MAY_BE_NEW,
                     error) &&
        make_projector(store, error) && open_tables(store, options, error) &&
        directory_mark_made(&store->directory, error) &&
        directory_note_place(&store->directory, error))
        return store;
    lmdb_store_close(&store);
    return NULL;
}

struct lmdb_store *store_look(const struct lmdb_store_options *options, char error[ERROR_BYTES])
{
    struct lmdb_store *store = store_new(options, error);
    if (store != NULL && !(directory_look(&store->directory, options->directory, error) &&
                           open_journal(store, JOURNAL_FILE_READ_ONLY, error)))
        lmdb_store_close(&store);
    return store;
}

enum store_result store_look_at_tables(struct lmdb_store *store, size_t map_size_bytes,
                                       struct lmdb_pages_found *found, char error[ERROR_BYTES])
{
    enum store_result result =
        lmdb_env_look(&store->tables.env, &store->directory, map_size_bytes, found, error);
    if (result == STORE_OK)
        result = follow_journal(store, error);
    if (result != STORE_OK)
        tables_close_env(&store->tables);
    return result;
}

/* One that is under way is waited for. */
static void end_units(struct lmdb_store *store)
{
    enum store_result ignored;
    if (store->unit.is_under_way) {
        unit_wait(&store->unit);
        unit_done(&store->unit, &ignored);
    }
    unit_rollback(&store->unit);
}

static void release_memory(struct unit_memory *memory)
{
    arena_destroy(&memory->arena);
    entry_release(&memory->entry);
    free(memory->added.items);
    free(memory->outdated.items);
}

/* The tables are to have everything when a store is closed, if they can. */
static void write_last_round(struct lmdb_store *store)
{
    if (store->is_stale || store_end_round(store) != STORE_OK || store->rounds.is_under_way ||
        store->committed.entry == store->projected.entry)
        return;
    store_begin_round(store);
    (void)store_end_round(store);
}

void lmdb_store_close(struct lmdb_store **store)
{
    struct lmdb_store *s = *store;
    if (s == NULL)
        return;
    if (s->cache != NULL)
        end_units(s);
    if (s->projector != NULL && s->tables.snapshot != NULL)
        write_last_round(s);
    projector_destroy(&s->projector);
    tables_close(&s->tables);
    journal_file_close(&s->journal);
    directory_close(&s->directory);
    store_close_replies(s);
    product_cache_destroy(&s->cache);
    codec_destroy(&s->codec);
    for (size_t i = 0; i < sizeof s->memory / sizeof *s->memory; i++)
        release_memory(&s->memory[i]);
    free(s);
    *store = NULL;
}

bool lmdb_store_was_walked(const struct lmdb_store *store)
{
    return store->tables.env.is_new || store->tables.env.checked != LMDB_PAGES_METAS;
}

const char *lmdb_store_why_rebuilt(const struct lmdb_store *store)
{
    return store->why_rebuilt[0] != '\0' ? store->why_rebuilt : NULL;
}

bool lmdb_store_has_cut(const struct lmdb_store *store)
{
    return store->end_was_cut;
}

const char *lmdb_store_cause(const struct lmdb_store *store)
{
    return strerror(store->cause);
}

bool lmdb_store_is_in_place(struct lmdb_store *store, char error[ERROR_BYTES])
{
    struct directory *directory = &store->directory;
    if (!directory_has_news(directory) ||
        (directory_is_in_place(directory, error) &&
         journal_file_is_in_place(store->journal, directory->path, error)))
        return true;
    directory_look_again(directory); /* what was not in place is looked up the next time too */
    return false;
}

struct unit_of_work *lmdb_store_unit(struct lmdb_store *store)
{
    return &store->unit;
}

struct reader *lmdb_store_reader(struct lmdb_store *store)
{
    return &store->reader;
}
