#include "tests/support/verified_store.h"

#include "store/journal/file.h"
#include "store/verify/verify.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* b1 is exhausted, b2 has stock, b3 shrank: o3 was displaced and waits. */
static const char *const commands[] = {"CreateBatch b1 RED 10 - id=i1",
                                       "CreateBatch b2 RED 20 2030-01-01 id=i2",
                                       "CreateBatch b3 BLUE 8 - id=i3",
                                       "Allocate o1 RED 10 id=i4",
                                       "Allocate o2 RED 5 id=i5",
                                       "Allocate o3 BLUE 6 id=i6",
                                       "Allocate o4 BLUE 2",
                                       "ChangeBatchQuantity b3 4 id=i7",
                                       "ChangeBatchEta b2 2031-01-01",
                                       "Allocate o5 RED 99 id=i8",
                                       "Deallocate o2 RED id=i9",
                                       "Allocate o2 RED 3 id=i10",
                                       "Allocate o2 RED 3 id=i11",
                                       "Deallocate o9 RED id=i12",
                                       "CreateBatch b4 GREEN 1 - id=i13"};

/* ---- a store, and the report on it ---- */

int verified_set_up(void **state)
{
    struct verified *f = calloc(1, sizeof *f);
    struct sample_lines lines = {NULL, 0, 0};
    assert_non_null(f);
    sample_directory_make(f->directory);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        sample_lines_add(&lines, "%s", commands[i]);
    sample_make(f->directory, &lines);
    sample_lines_release(&lines);
    f->codec = codec_new();
    f->arena = arena_new();
    assert_true(f->codec != NULL && f->arena != NULL);
    *state = f;
    return 0;
}

int verified_tear_down(void **state)
{
    struct verified *f = *state;
    sample_directory_remove(f->directory);
    codec_destroy(&f->codec);
    arena_destroy(&f->arena);
    free(f->report);
    free(f);
    return 0;
}

bool verified_report(struct verified *f, const char *directory)
{
    size_t len;
    free(f->report);
    FILE *out = open_memstream(&f->report, &len);
    assert_non_null(out);
    bool is_whole = lmdb_verify(directory, SAMPLE_MAP_BYTES, out);
    assert_int_equal(fclose(out), 0);
    return is_whole;
}

void verified_expect_whole(struct verified *f)
{
    if (!verified_report(f, f->directory))
        fail_msg("%s", f->report);
    assert_non_null(strstr(f->report, "is whole\n"));
}

void verified_expect(struct verified *f, const char *finding)
{
    if (verified_report(f, f->directory))
        fail_msg("not found: %s\n%s", finding, f->report);
    if (strstr(f->report, finding) == NULL)
        fail_msg("it does not say \"%s\":\n%s", finding, f->report);
    assert_non_null(strstr(f->report, "is damaged: "));
}

/* ---- writing behind its back ---- */

void verified_begin(struct verified *f)
{
    assert_int_equal(mdb_env_create(&f->env), 0);
    assert_int_equal(mdb_env_set_maxdbs(f->env, TABLES), 0);
    assert_int_equal(mdb_env_set_mapsize(f->env, SAMPLE_MAP_BYTES), 0);
    assert_int_equal(mdb_env_open(f->env, f->directory, MDB_NOLOCK | MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(f->env, NULL, 0, &f->txn), 0);
}

MDB_dbi verified_table(struct verified *f, const char *name)
{
    MDB_dbi dbi;
    assert_int_equal(mdb_dbi_open(f->txn, name, 0, &dbi), 0);
    return dbi;
}

void verified_put(struct verified *f, const char *name, struct text key,
                  const struct record *record)
{
    MDB_val k = lmdb_val(key);
    MDB_val v = {record->len, (void *)(uintptr_t)record->bytes};
    assert_int_equal(mdb_put(f->txn, verified_table(f, name), &k, &v, 0), 0);
}

struct text verified_get(struct verified *f, const char *name, struct text key)
{
    struct text value = text_none();
    assert_int_equal(lmdb_get(f->txn, verified_table(f, name), key, &value), STORE_OK);
    return value;
}

void verified_drop(struct verified *f, const char *name, struct text key)
{
    MDB_val k = lmdb_val(key);
    assert_int_equal(mdb_del(f->txn, verified_table(f, name), &k, NULL), 0);
}

struct meta verified_get_meta(struct verified *f)
{
    struct meta meta;
    struct text key = text_of(LMDB_META_KEY);
    assert_true(record_get_meta(key, verified_get(f, "meta", key), &meta));
    return meta;
}

void verified_put_meta(struct verified *f, struct meta meta)
{
    struct record record;
    record_put_meta(&record, text_of(LMDB_META_KEY), &meta);
    verified_put(f, "meta", text_of(LMDB_META_KEY), &record);
}

void verified_commit(struct verified *f)
{
    assert_int_equal(mdb_txn_commit(f->txn), 0);
    mdb_env_close(f->env);
}

/* ---- the journal ---- */

static struct journal *open_journal(const struct verified *f, enum journal_file_mode mode)
{
    struct journal_file_options options = {.directory = f->directory,
                                           .first_bytes = JOURNAL_FIRST_BYTES,
                                           .largest_bytes = JOURNAL_LARGEST_BYTES,
                                           .mode = mode};
    char error[ERROR_BYTES];
    int fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct journal *journal = journal_file_open(fd, &options, error);
    if (journal == NULL)
        fail_msg("%s", error);
    close(fd);
    return journal;
}

static void read_entry(struct verified *f, const struct journal_entry *entry)
{
    struct verified_entry *out = &f->entries[f->entry_count++];
    struct text rest;
    struct entry_item item;
    uint64_t seq = entry->first_seq;
    *out = (struct verified_entry){.count = 0};
    assert_true(f->entry_count <= VERIFIED_ENTRIES_MAX);
    assert_true(arena_text(f->arena, entry->body, &rest));
    while (entry_next(&rest, &item)) {
        assert_true(out->count < VERIFIED_ITEMS_MAX);
        struct verified_item *added = &out->items[out->count++];
        *added = (struct verified_item){.kind = item.kind, .bytes = text_none()};
        if (item.kind == ENTRY_REPLY) {
            added->reply = item.as.reply;
            continue;
        }
        assert_true(codec_decode_event(f->codec, item.as.event.body, &added->event));
        assert_int_equal(added->event.seq, seq++);
        added->event.line_seq = item.as.event.line_seq;
    }
    assert_int_equal(rest.len, 0);
}

void verified_read_journal(struct verified *f)
{
    struct journal *journal = open_journal(f, JOURNAL_FILE_READ_ONLY);
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    f->entry_count = 0;
    assert_int_equal(journal_read_begin(journal, JOURNAL_BY_NUMBER, 1, &cursor), STORE_OK);
    while (journal_read_next(cursor, &entry) == STORE_OK)
        read_entry(f, &entry);
    journal_read_end(&cursor);
    journal_file_close(&journal);
}

static void add_bytes(struct entry_bytes *entry, struct text bytes)
{
    struct entry_event room = {.body = bytes};
    size_t len = entry->len;
    assert_true(entry_add_event(entry, &room)); /* which makes enough of it */
    memcpy(entry->data + len, bytes.data, bytes.len);
    entry->len = len + bytes.len;
}

/* Returns how many events that is. */
static uint32_t add_item(struct verified *f, struct entry_bytes *entry,
                         const struct verified_item *item)
{
    bool is_event = item->kind == ENTRY_EVENT;
    struct text body;
    if (!text_is_none(item->bytes)) {
        add_bytes(entry, item->bytes);
    } else if (is_event) {
        assert_true(codec_encode_event(f->codec, &item->event, &body));
        struct entry_event event = {item->event.line_seq, body};
        assert_true(entry_add_event(entry, &event));
    } else {
        assert_true(entry_add_reply(entry, &item->reply));
    }
    return is_event;
}

static void write_entry(struct verified *f, struct journal *journal,
                        const struct verified_entry *from)
{
    struct entry_bytes bytes = {.data = NULL};
    uint64_t number = 0;
    enum store_result result = STORE_FAILED;
    uint32_t events = from->events_too_many;
    for (size_t i = 0; i < from->count; i++)
        events += add_item(f, &bytes, &from->items[i]);
    struct journal_entry entry = {.number = journal_newest(journal) + 1,
                                  .first_seq = journal_next_seq(journal),
                                  .events = events,
                                  .body = entry_text(&bytes)};
    assert_int_equal(journal_submit(journal, &entry, true), STORE_OK);
    journal_wait(journal);
    assert_true(journal_done(journal, &number, &result));
    assert_int_equal(result, STORE_OK);
    entry_release(&bytes);
}

void verified_write_journal(struct verified *f)
{
    char path[160];
    snprintf(path, sizeof path, "%s/" JOURNAL_DIRECTORY, f->directory);
    sample_directory_remove(path);
    struct journal *journal = open_journal(f, JOURNAL_FILE_MAY_BE_NEW);
    for (size_t i = 0; i < f->entry_count; i++)
        write_entry(f, journal, &f->entries[i]);
    verified_begin(f);
    struct meta meta = verified_get_meta(f);
    meta.journal = journal_file_id(journal);
    verified_put_meta(f, meta);
    verified_commit(f);
    journal_file_close(&journal);
}

struct verified_item *verified_event(struct verified *f, uint64_t seq)
{
    for (size_t i = 0; i < f->entry_count; i++)
        for (size_t j = 0; j < f->entries[i].count; j++)
            if (f->entries[i].items[j].kind == ENTRY_EVENT && --seq == 0)
                return &f->entries[i].items[j];
    fail_msg("there is no such event");
    return NULL;
}

struct verified_item *verified_reply(struct verified *f, uint64_t number)
{
    for (size_t i = 0; i < f->entry_count; i++)
        for (size_t j = 0; j < f->entries[i].count; j++)
            if (f->entries[i].items[j].kind == ENTRY_REPLY && number-- == 0)
                return &f->entries[i].items[j];
    fail_msg("there is no such reply");
    return NULL;
}

static struct verified_entry *entry_of(struct verified *f, const struct verified_item *item)
{
    for (size_t i = 0; i < f->entry_count; i++)
        if (item >= f->entries[i].items && item < f->entries[i].items + VERIFIED_ITEMS_MAX)
            return &f->entries[i];
    fail_msg("the item is of no entry");
    return NULL;
}

void verified_take_out(struct verified *f, struct verified_item *item)
{
    struct verified_entry *entry = entry_of(f, item);
    const struct verified_item *end = &entry->items[entry->count--];
    memmove(item, item + 1, (size_t)(end - item - 1) * sizeof *item);
}

void verified_put_behind(struct verified *f, struct verified_item *item, struct verified_item added)
{
    struct verified_entry *entry = entry_of(f, item);
    assert_true(entry->count < VERIFIED_ITEMS_MAX);
    const struct verified_item *end = &entry->items[entry->count++];
    memmove(item + 2, item + 1, (size_t)(end - item - 1) * sizeof *item);
    item[1] = added;
}

/* ---- changes ---- */

void verified_start_does_no_harm(struct verified *f)
{
    struct sample sample;
    char path[160];
    for (unsigned i = 0; i < 2; i++) {
        if (!sample_open(&sample, f->directory, UINT64_MAX))
            assert_non_null(strstr(sample.error, "damaged"));
        sample_close(&sample);
        snprintf(path, sizeof path, "%s/" DIRECTORY_TABLES, f->directory);
        (void)remove(path);
    }
}

void verified_expect_each(void **state, const struct verified_change *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct verified *f = *state;
        verified_read_journal(f);
        rows[i].change(f);
        verified_write_journal(f);
        if (verified_report(f, f->directory))
            fail_msg("%s is not found:\n%s", rows[i].name, f->report);
        if (strstr(f->report, rows[i].finding) == NULL)
            fail_msg("%s: it does not say \"%s\":\n%s", rows[i].name, rows[i].finding, f->report);
        verified_start_does_no_harm(f);
        verified_tear_down(state);
        verified_set_up(state);
    }
}
