#include "tests/support/journal_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

uint64_t journal_bench_dice(uint64_t *state, uint64_t sides)
{
    assert(sides > 0);
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % sides;
}

void journal_bench_clear(struct journal_bench *bench)
{
    for (size_t i = 0; i < bench->body_count; i++)
        free(bench->bodies[i]);
    free(bench->bodies);
    free(bench->entries);
    *bench = (struct journal_bench){.journal = NULL};
}

static char *new_body(struct journal_bench *bench, size_t bytes)
{
    if (bench->body_count == bench->body_capacity) {
        bench->body_capacity = 2 * bench->body_capacity + 16;
        bench->bodies = realloc(bench->bodies, bench->body_capacity * sizeof *bench->bodies);
        assert_non_null(bench->bodies);
    }
    char *body =
        malloc(bytes > 0 ? bytes : 1); /* of its own length, so that a read behind is seen */
    assert_non_null(body);
    bench->bodies[bench->body_count++] = body;
    return body;
}

struct journal_entry journal_bench_make(struct journal_bench *bench, uint32_t events, size_t bytes)
{
    uint64_t number = bench->count + 1;
    uint64_t state = number * 1000003 + bench->salt * 7919 + bytes;
    char *body = new_body(bench, bytes);
    for (size_t i = 0; i < bytes; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        body[i] = (char)(state >> 56);
    }
    const struct journal_entry *last = bench->count > 0 ? &bench->entries[bench->count - 1] : NULL;
    return (struct journal_entry){.number = number,
                                  .first_seq = last != NULL ? last->first_seq + last->events : 1,
                                  .events = events,
                                  .time_ms = 1700000000000 + number * 10 + bench->salt,
                                  .epoch = 3 + number / 7,
                                  .body = {body, bytes}};
}

void journal_bench_add(struct journal_bench *bench, const struct journal_entry *entry)
{
    if (bench->count == bench->capacity) {
        bench->capacity = 2 * bench->capacity + 16;
        bench->entries = realloc(bench->entries, bench->capacity * sizeof *bench->entries);
        assert_non_null(bench->entries);
    }
    bench->entries[bench->count++] = *entry;
}

void journal_bench_submit(struct journal_bench *bench, uint32_t events, size_t bytes, bool here)
{
    struct journal_entry entry = journal_bench_make(bench, events, bytes);
    assert_int_equal(journal_submit(bench->journal, &entry, here), STORE_OK);
    assert_int_equal(journal_newest(bench->journal), entry.number);
    journal_bench_add(bench, &entry);
}

static void expect_told(struct journal_bench *bench, uint64_t number)
{
    uint64_t told = 0;
    enum store_result result = STORE_OTHER;
    assert_true(journal_done(bench->journal, &told, &result));
    assert_int_equal(told, number);
    assert_int_equal(result, STORE_OK);
    assert_int_equal(journal_durable(bench->journal), number);
    const struct journal_entry *entry = &bench->entries[number - 1];
    assert_int_equal(journal_durable_seq(bench->journal), entry->first_seq + entry->events - 1);
}

void journal_bench_append(struct journal_bench *bench, uint32_t events, size_t bytes)
{
    journal_bench_submit(bench, events, bytes, true);
    expect_told(bench, bench->count);
}

void journal_bench_finish(struct journal_bench *bench)
{
    uint64_t number;
    enum store_result result;
    journal_wait(bench->journal);
    while (journal_durable(bench->journal) < bench->count)
        expect_told(bench, journal_durable(bench->journal) + 1);
    assert_false(journal_done(bench->journal, &number, &result));
}

void journal_bench_forget(struct journal_bench *bench, uint64_t number)
{
    assert_true(number <= bench->count);
    bench->count = number;
    bench->salt++;
}

void journal_bench_same(const struct journal_entry *found, const struct journal_entry *expected)
{
    assert_int_equal(found->number, expected->number);
    assert_int_equal(found->first_seq, expected->first_seq);
    assert_int_equal(found->events, expected->events);
    assert_int_equal(found->time_ms, expected->time_ms);
    assert_int_equal(found->epoch, expected->epoch);
    assert_int_equal(found->body.len, expected->body.len);
    assert_memory_equal(found->body.data, expected->body.data, expected->body.len);
}

void journal_bench_check(struct journal_bench *bench)
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    assert_int_equal(journal_read_begin(bench->journal, JOURNAL_BY_NUMBER, 1, &cursor), STORE_OK);
    for (size_t i = 0; i < bench->count; i++) {
        assert_int_equal(journal_read_next(cursor, &entry), STORE_OK);
        journal_bench_same(&entry, &bench->entries[i]);
    }
    assert_int_equal(journal_read_next(cursor, &entry), STORE_NOT_FOUND);
    journal_read_end(&cursor);
    assert_null(cursor);
}

enum store_result journal_bench_read(struct journal_bench *bench, enum journal_key key,
                                     uint64_t value, uint64_t number)
{
    struct journal_cursor *cursor = NULL;
    struct journal_entry entry;
    assert_int_equal(journal_read_begin(bench->journal, key, value, &cursor), STORE_OK);
    enum store_result result = journal_read_next(cursor, &entry);
    if (result == STORE_OK) {
        assert_true(number > 0);
        journal_bench_same(&entry, &bench->entries[number - 1]);
    }
    journal_read_end(&cursor);
    return result;
}

void journal_bench_find(struct journal_bench *bench, enum journal_key key, uint64_t value,
                        uint64_t number)
{
    assert_int_equal(journal_bench_read(bench, key, value, number),
                     number > 0 ? STORE_OK : STORE_NOT_FOUND);
}
