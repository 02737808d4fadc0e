/* A round that was cut short between two of its slices: the tables then have a part of it and older
 * counters. Here such a part is written behind the back of the store, with an end at each record at
 * which a slice may end; a start goes through the journal, and all is as it was. */
#include "store/verify/verify.h"
#include "tests/support/behind_store.h"
#include "tests/support/sample_store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define IDS_KEPT 12u /* so that the oldest ones are forgotten within a round */
#define GROUPS 48u
#define FIRST_GROUPS                                                                               \
    24u /* that the counters have; the round has more of them, and not the last                    \
         */
#define ROUND_GROUPS 42u
#define RECORDS_MAX ((size_t)2000)

/* ---- the tables at one time ---- */

struct stored {
    enum table table;
    struct key key;
    struct record record;
};

/* All records, by table and key; and the file that has them. */
struct moment {
    struct stored *records;
    size_t count;
    char *file;
    size_t size;
};

static const char *const names[TABLES] = {
#define TABLE(upper, lower, what) [TABLE_##upper] = #lower,
    LMDB_TABLES(TABLE)
#undef TABLE
};

static void read_table(struct moment *m, MDB_txn *txn, enum table table)
{
    MDB_dbi dbi;
    struct lmdb_walk walk;
    assert_int_equal(mdb_dbi_open(txn, names[table], 0, &dbi), 0);
    assert_int_equal(lmdb_walk_begin(&walk, txn, dbi, text_none()), STORE_OK);
    while (lmdb_walk_next(&walk) == STORE_OK) {
        assert_true(m->count < RECORDS_MAX);
        struct stored *stored = &m->records[m->count++];
        stored->table = table;
        stored->key = key_of(walk.key);
        stored->record.len = walk.value.len;
        memcpy(stored->record.bytes, walk.value.data, walk.value.len);
    }
    lmdb_walk_end(&walk);
}

static void tables_path(const struct disk_store *disk, char out[128])
{
    snprintf(out, 128, "%s/" DIRECTORY_TABLES, disk->directory);
}

/* As of now; the store is stopped for it, so that its tables have everything. */
static struct moment note_moment(struct contract *c)
{
    struct disk_store *disk = c->store;
    struct moment m = {.records = calloc(RECORDS_MAX, sizeof *m.records)};
    MDB_env *env;
    struct stat status;
    char path[128];
    assert_non_null(m.records);
    lmdb_store_close(&disk->store);
    MDB_txn *txn = behind_begin(&env, disk->directory, MDB_RDONLY);
    for (enum table i = 0; i < TABLES; i++)
        if (i != TABLE_META)
            read_table(&m, txn, i);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    tables_path(disk, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    m.size = (size_t)status.st_size;
    m.file = malloc(m.size);
    assert_true(m.file != NULL && pread(fd, m.file, m.size, 0) == status.st_size);
    close(fd);
    contract_reopen(c);
    return m;
}

static void forget_moment(struct moment *m)
{
    free(m->records);
    free(m->file);
}

/* The tables become what they were. The store is closed. */
static void go_back(const struct disk_store *disk, const struct moment *m)
{
    char path[128];
    tables_path(disk, path);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0 && pwrite(fd, m->file, m->size, 0) == (ssize_t)m->size);
    close(fd);
}

/* ---- a round: what became of the records between two moments ---- */

struct change {
    struct stored stored;
    bool is_gone;
    bool may_end; /* a slice may end behind it */
};

struct round {
    struct change *changes; /* in the order in which they are written */
    size_t count;
    bool *is_taken; /* of the unsorted ones, on the way there */
    struct change *unsorted;
    size_t unsorted_count;
};

static int compare(const struct stored *a, const struct stored *b)
{
    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    return text_compare(key_text(&a->key), key_text(&b->key));
}

static bool is_same(const struct record *a, const struct record *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* The record at *at of a moment, which goes on, where it is that of the key; NULL: it has none. */
static const struct stored *pass(const struct moment *m, size_t *at, const struct stored *key)
{
    if (*at == m->count || compare(&m->records[*at], key) != 0)
        return NULL;
    return &m->records[(*at)++];
}

static const struct stored *smallest(const struct stored *a, const struct moment *m, size_t at)
{
    if (at == m->count || (a != NULL && compare(a, &m->records[at]) <= 0))
        return a;
    return &m->records[at];
}

/* All that was another record at one of the moments, as it is at the last one. What came and went
 * meanwhile is gone: a round that was cut short may have it. */
static void find_changes(struct round *round, const struct moment *const moments[3])
{
    size_t at[3] = {0, 0, 0};
    const struct stored *key;
    while ((key = smallest(smallest(smallest(NULL, moments[0], at[0]), moments[1], at[1]),
                           moments[2], at[2])) != NULL) {
        const struct stored *each[3];
        for (size_t i = 0; i < 3; i++)
            each[i] = pass(moments[i], &at[i], key);
        bool is_changed = false;
        for (size_t i = 0; i < 2; i++)
            is_changed = is_changed || (each[i] == NULL) != (each[2] == NULL) ||
                         (each[2] != NULL && !is_same(&each[i]->record, &each[2]->record));
        if (!is_changed)
            continue;
        struct change *change = &round->unsorted[round->unsorted_count++];
        change->is_gone = each[2] == NULL;
        change->stored = *(each[2] != NULL ? each[2] : key);
    }
}

/* Those of a table whose keys begin so come next. */
static void take(struct round *round, enum table table, const struct key *prefix, bool may_end)
{
    for (size_t i = 0; i < round->unsorted_count; i++) {
        const struct stored *stored = &round->unsorted[i].stored;
        if (round->is_taken[i] || stored->table != table || stored->key.len < prefix->len ||
            memcmp(stored->key.bytes, prefix->bytes, prefix->len) != 0)
            continue;
        round->is_taken[i] = true;
        round->changes[round->count] = round->unsorted[i];
        round->changes[round->count++].may_end = may_end;
    }
}

/* In the order of store/lmdb/projector.c: a product with all of its parts, ... */
static struct round round_between(const struct moment *from, const struct moment *via,
                                  const struct moment *to)
{
    static const enum table others[] = {TABLE_REFS, TABLE_LINES, TABLE_REMEMBERED, TABLE_HELD};
    static const struct key no_prefix = {.len = 0};
    struct round round = {.changes = calloc(2 * RECORDS_MAX, sizeof *round.changes),
                          .unsorted = calloc(2 * RECORDS_MAX, sizeof *round.unsorted),
                          .is_taken = calloc(2 * RECORDS_MAX, sizeof *round.is_taken)};
    assert_true(round.changes != NULL && round.unsorted != NULL && round.is_taken != NULL);
    find_changes(&round, (const struct moment *const[]){from, via, to});
    for (size_t i = 0; i < round.unsorted_count; i++) {
        const struct stored *stored = &round.unsorted[i].stored;
        if (stored->table != TABLE_PRODUCTS)
            continue;
        struct key parts = key_prefix(key_text(&stored->key));
        take(&round, TABLE_PRODUCTS, &stored->key, false);
        take(&round, TABLE_BATCHES, &parts, false);
        take(&round, TABLE_USE, &parts, false);
        take(&round, TABLE_WAITING, &parts, false);
        round.changes[round.count - 1].may_end = true;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        take(&round, others[i], &no_prefix, true);
    assert_int_equal(round.count, round.unsorted_count); /* nothing is left out */
    return round;
}

static void forget_round(struct round *round)
{
    free(round->changes);
    free(round->unsorted);
    free(round->is_taken);
}

/* Writes the first ones of a round. */
static void write_changes(const struct disk_store *disk, const struct round *round, size_t count)
{
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *txn = behind_begin(&env, disk->directory, 0);
    for (size_t i = 0; i < count; i++) {
        const struct change *change = &round->changes[i];
        MDB_val key = lmdb_val(key_text(&change->stored.key));
        MDB_val value = {change->stored.record.len, (void *)(uintptr_t)change->stored.record.bytes};
        assert_int_equal(mdb_dbi_open(txn, names[change->stored.table], 0, &dbi), 0);
        int rc =
            change->is_gone ? mdb_del(txn, dbi, &key, NULL) : mdb_put(txn, dbi, &key, &value, 0);
        assert_true(rc == 0 || (change->is_gone && rc == MDB_NOTFOUND));
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* ---- what happened ---- */

struct history {
    struct contract *contract;
    struct moment first, later, last;
    struct round round;  /* from the first one to the later one, ... */
    struct round longer; /* ... and to the last one */
    struct notation answers;
    struct notation again;
};

/* Batches that are new and that shrink, lines that come, move, wait, go and come again. */
static void run_group(struct contract *c, unsigned i)
{
    unsigned sku = i % 5;
    GROUP(c, contract_text(c, "Allocate o%u P%u %u id=a%u", i, sku, 1 + i % 4, i),
          contract_text(c, "Allocate o%u P%u %u", i + 100, (sku + 1) % 5, 1 + i % 3));
    if (i % 4 == 0)
        GROUP(c, contract_text(c, "CreateBatch n%u P%u 6 203%u-01-01 id=n%u", i, sku, i % 9, i));
    if (i % 6 == 5) /* within a round, and then in the next one */
        GROUP(c, contract_text(c, "CreateBatch q%u Q%u 3", i, i / 12),
              contract_text(c, "Allocate o%u Q%u 2", i, i / 12));
    if (i % 5 == 2)
        GROUP(c, contract_text(c, "ChangeBatchQuantity b%u %u id=c%u", sku, i % 7, i));
    if (i % 7 == 3)
        GROUP(c, contract_text(c, "Deallocate o%u P%u", i - 2, (i - 2) % 5));
    if (i % 7 == 6)
        GROUP(c, contract_text(c, "Allocate o%u P%u 1", i - 5, (i - 5) % 5));
    if (i % 9 == 4)
        GROUP(c, contract_text(c, "ChangeBatchEta b%u 2029-0%u-01", (sku + 2) % 5, 1 + i % 9));
}

/* All answers, and what is remembered for each id that there was. */
static void ask_everything(struct contract *c, struct notation *out)
{
    notation_clear(out);
    contract_dump(c, out);
    for (unsigned i = 0; i < GROUPS; i++) {
        notation_add(out, "%s\n",
                     contract_ask(c, contract_text(c, "recall Allocate o%u P%u %u id=a%u", i, i % 5,
                                                   1 + i % 4, i)));
        notation_add(out, "%s\n",
                     contract_ask(c, contract_text(c, "recall Deallocate o%u P0 id=n%u", i, i)));
    }
    arena_reset(c->arena);
}

static int set_up(void **state)
{
    static struct history h;
    static struct contract c;
    uint64_t usual = disk_store_options.ids_kept;
    h = (struct history){.contract = &c};
    disk_store_options.ids_kept = IDS_KEPT;
    contract_open(&c, &disk_store_factory);
    disk_store_options.ids_kept = usual;
    for (unsigned i = 0; i < 5; i++)
        GROUP(&c, contract_text(&c, "CreateBatch b%u P%u 20", i, i));
    for (unsigned i = 0; i < GROUPS; i++) {
        if (i == FIRST_GROUPS)
            h.first = note_moment(&c);
        if (i == ROUND_GROUPS)
            h.later = note_moment(&c);
        run_group(&c, i);
    }
    h.last = note_moment(&c);
    h.round = round_between(&h.first, &h.first, &h.later);
    h.longer = round_between(&h.first, &h.later, &h.last);
    ask_everything(&c, &h.answers);
    *state = &h;
    return 0;
}

static int tear_down(void **state)
{
    struct history *h = *state;
    forget_moment(&h->first);
    forget_moment(&h->later);
    forget_moment(&h->last);
    forget_round(&h->round);
    forget_round(&h->longer);
    notation_release(&h->answers);
    notation_release(&h->again);
    contract_close(h->contract);
    return 0;
}

/* ---- and what is there after it ---- */

static void expect_whole(const struct disk_store *disk, const char *what, size_t count)
{
    char *report = NULL;
    size_t len;
    FILE *out = open_memstream(&report, &len);
    assert_non_null(out);
    bool is_whole = lmdb_verify(disk->directory, disk->options.map_size_bytes, out);
    assert_int_equal(fclose(out), 0);
    if (!is_whole)
        fail_msg("%s of %zu: %s", what, count, report);
    free(report);
}

static void expect_answers(struct history *h, const char *what, size_t count)
{
    struct contract *c = h->contract;
    const char *why = lmdb_store_why_rebuilt(behind_store(c));
    if (why != NULL)
        fail_msg("%s of %zu: %s", what, count, why);
    ask_everything(c, &h->again);
    if (strcmp(notation_text(&h->again), notation_text(&h->answers)) != 0) {
        print_message("%s of %zu:\n", what, count);
        assert_string_equal(notation_text(&h->again), notation_text(&h->answers));
    }
}

/* Begins at tables that are closed, and ends with some that are whole and closed. */
static void start_and_look(struct history *h, uint64_t events, size_t count)
{
    struct contract *c = h->contract;
    struct disk_store *disk = c->store;
    expect_whole(disk, "a part", count);
    behind_set_events(c, events);
    contract_reopen(c);
    expect_answers(h, "a part", count);
    behind_crash(c); /* in the middle of other rounds */
    expect_answers(h, "a part and a crash", count);
    lmdb_store_close(&disk->store);
    expect_whole(disk, "a part, and all", count);
}

static void a_round_with_an_end_at_each_slice(void **state)
{
    struct history *h = *state;
    struct disk_store *disk = h->contract->store;
    unsigned ends = 0;
    lmdb_store_close(&disk->store);
    for (size_t count = 0; count <= h->round.count; count++) {
        if (count > 0 && !h->round.changes[count - 1].may_end)
            continue;
        go_back(disk, &h->first);
        write_changes(disk, &h->round, count);
        start_and_look(h, count % 2 == 0 ? 1000 : 3, count);
        ends++;
    }
    assert_true(ends > 50);
    print_message("%u ends in %zu records\n", ends, h->round.count);
    contract_reopen(h->contract);
}

static size_t end_near(const struct round *round, size_t count)
{
    while (count > 0 && !round->changes[count - 1].may_end)
        count--;
    return count;
}

/* A start that was cut short too, in a round that is shorter or longer than that before it. */
static void two_rounds_that_were_cut(void **state)
{
    struct history *h = *state;
    struct disk_store *disk = h->contract->store;
    unsigned random = 5;
    lmdb_store_close(&disk->store);
    for (unsigned i = 0; i < 24; i++) {
        random = random * 1103515245u + 12345u;
        const struct round *before = i % 2 == 0 ? &h->round : &h->longer;
        const struct round *behind = i % 2 == 0 ? &h->longer : &h->round;
        size_t first = end_near(before, (random >> 8) % (before->count + 1));
        random = random * 1103515245u + 12345u;
        size_t second = end_near(behind, (random >> 8) % (behind->count + 1));
        go_back(disk, &h->first);
        write_changes(disk, before, first);
        if (i % 2 == 0)
            write_changes(disk, behind, second);
        start_and_look(h, 1 + i % 7, first);
    }
    contract_reopen(h->contract);
}

/* What no slice ends with: a product that has not all of its parts, as a damaged page may leave it.
 * Where that shows it is made anew, and nothing ends the process. */
static void a_product_without_its_parts_is_noticed(void **state)
{
    struct history *h = *state;
    struct disk_store *disk = h->contract->store;
    unsigned noticed = 0;
    lmdb_store_close(&disk->store);
    for (size_t count = 1; count < h->round.count; count++) {
        if (h->round.changes[count - 1].may_end)
            continue;
        go_back(disk, &h->first);
        write_changes(disk, &h->round, count);
        contract_reopen(h->contract);
        noticed += lmdb_store_why_rebuilt(behind_store(h->contract)) != NULL;
        lmdb_store_close(&disk->store);
    }
    assert_true(noticed > 0);
    contract_reopen(h->contract);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_with_an_end_at_each_slice),
        cmocka_unit_test(two_rounds_that_were_cut),
        cmocka_unit_test(a_product_without_its_parts_is_noticed),
    };
    return cmocka_run_group_tests_name("cut_rounds", tests, set_up, tear_down);
}
