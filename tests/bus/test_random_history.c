/* Histories by chance, through the bus over both stores, against the reference model. Each seed
 * runs over the memory store and every fourth one over LMDB too, with groups of chance sizes, calls
 * of the store that fail, and restarts.
 *
 * RANDOM_SEEDS (200) seeds from RANDOM_FIRST_SEED (1) on, of RANDOM_COMMANDS (300) requests. */
#include "store/lmdb/store.h"
#include "store/verify/verify.h"
#include "tests/support/memory_store/store.h"
#include "tests/support/random_history.h"
#include "tests/support/session.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define GROUP_SIZE_MAX 24u
#define MAP_BYTES ((size_t)1 << 30)

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? strtoull(value, NULL, 10) : otherwise;
}

/* ---- the two stores ---- */

struct under_test {
    struct unit_of_work *unit;
    struct reader *reader;
    struct memory_store *memory; /* one of the two is there */
    struct lmdb_store *lmdb;
    char directory[256];
    size_t cache_bytes;
};

static void open_memory(struct under_test *store)
{
    *store = (struct under_test){.memory = memory_store_new()};
    assert_non_null(store->memory);
    store->unit = memory_store_unit(store->memory);
    store->reader = memory_store_reader(store->memory);
}

/* Closes the store and has it verified: what it keeps is what the log says. */
static void close_lmdb(struct under_test *store)
{
    char *report = NULL;
    size_t len = 0;
    lmdb_store_close(&store->lmdb);
    FILE *out = open_memstream(&report, &len);
    assert_non_null(out);
    bool is_whole = lmdb_verify(store->directory, MAP_BYTES, out);
    assert_int_equal(fclose(out), 0);
    if (!is_whole)
        fail_msg("%s", report);
    free(report);
}

static void open_lmdb(struct under_test *store)
{
    char error[ERROR_BYTES];
    const struct lmdb_store_options options = {.directory = store->directory,
                                               .map_size_bytes = MAP_BYTES,
                                               .cache_bytes = store->cache_bytes,
                                               .check_bytes = UINT64_MAX,
                                               .events_behind = 40,
                                               .ids_kept = 100000};
    store->lmdb = lmdb_store_open(&options, error);
    if (store->lmdb == NULL)
        fail_msg("%s", error);
    store->unit = lmdb_store_unit(store->lmdb);
    store->reader = lmdb_store_reader(store->lmdb);
}

static void make_lmdb(struct under_test *store, uint64_t seed)
{
    const char *parent = getenv("TMPDIR");
    *store = (struct under_test){.cache_bytes = seed % 8 == 0 ? 4096 : (size_t)64 << 20};
    snprintf(store->directory, sizeof store->directory, "%s/random_history.XXXXXX",
             parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(store->directory));
    open_lmdb(store);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void close_store(struct under_test *store)
{
    memory_store_destroy(&store->memory);
    if (store->lmdb == NULL)
        return;
    close_lmdb(store);
    assert_int_equal(nftw(store->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* The memory store loses all when it is closed, so there it is only the bus that starts anew. */
static void restart(struct session *session, struct under_test *store)
{
    session_stop(session);
    if (store->lmdb != NULL) {
        close_lmdb(store);
        open_lmdb(store);
    }
    session_restart(session, store->unit, store->reader);
}

/* ---- a history ---- */

/* One call of the store, of a function of the unit of work, fails in some of the groups. */
static void order_a_failure(struct random_history *history, struct session *session,
                            enum faulty_call last)
{
    static const enum store_result failures[] = {STORE_FAILED, STORE_FULL};
    enum faulty_call call = FAULTY_BEGIN + random_history_draw(history, last - FAULTY_BEGIN + 1);
    uint64_t n = 1;
    if (call != FAULTY_BEGIN && call < FAULTY_SUBMIT)
        n += random_history_draw(history, 12);
    faulty_store_fail(&session->faulty, call, n, failures[random_history_draw(history, 2)]);
}

/* The clock goes on, or back, as clocks do. */
static void move_clock(struct random_history *history, struct session *session)
{
    session->fakes->clock.now_ms += random_history_draw(history, 5000);
    if (random_history_draw(history, 10) == 0)
        session->fakes->clock.now_ms -= 20000;
}

static bool run_groups(struct session *session, struct random_history *history,
                       struct under_test *store, uint64_t commands)
{
    while (commands > 0) {
        struct request group[GROUP_SIZE_MAX];
        size_t count = 1 + random_history_draw(history, GROUP_SIZE_MAX);
        count = count < commands ? count : (size_t)commands;
        for (size_t i = 0; i < count; i++)
            group[i] = random_history_request(history);
        commands -= count;
        move_clock(history, session);
        if (random_history_draw(history, 8) == 0)
            order_a_failure(history, session, store->lmdb == NULL ? FAULTY_DONE : FAULTY_SUBMIT);
        if (random_history_draw(history, 2) == 0)
            session->split = random_history_draw(history, (uint32_t)count);
        if (!session_group(session, group, count))
            return false;
        if (random_history_draw(history, 12) == 0)
            restart(session, store);
    }
    return session_check_state(session);
}

static struct seen seen; /* in all histories */

static bool run_history(struct under_test *store, uint64_t seed, uint64_t commands)
{
    struct session *session = session_new(store->unit, store->reader);
    session->seen = &seen;
    struct random_history history;
    random_history_from_seed(&history, session->model, seed);
    bool same = run_groups(session, &history, store, commands);
    if (!same)
        fprintf(stderr, "seed %llu on %s (RANDOM_FIRST_SEED=%llu RANDOM_SEEDS=1): %s\n",
                (unsigned long long)seed, store->lmdb != NULL ? "LMDB" : "memory",
                (unsigned long long)seed, notation_text(&session->complaint));
    session_destroy(&session);
    close_store(store);
    return same;
}

static void both_stores_keep_to_the_model(void **state)
{
    (void)state;
    uint64_t first = number_from_environment("RANDOM_FIRST_SEED", 1);
    uint64_t seeds = number_from_environment("RANDOM_SEEDS", 200);
    uint64_t commands = number_from_environment("RANDOM_COMMANDS", 300);
    assert_true(seeds > 0 && commands > 0);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct under_test store;
        open_memory(&store);
        assert_true(run_history(&store, seed, commands));
        if (seed % 4 != 0 && seeds > 1)
            continue;
        make_lmdb(&store, seed);
        assert_true(run_history(&store, seed, commands));
    }
}

/* What no decoder lets through, and so does not come to the bus. */
static bool is_of_the_codec(enum outcome outcome)
{
    return outcome >= OUTCOME_TOO_LARGE && outcome <= OUTCOME_INVALID_FIELD;
}

/* Or a message that was added would be compared with the model in nothing. */
static void every_message_and_outcome_has_occurred(void **state)
{
    (void)state;
    if (number_from_environment("RANDOM_SEEDS", 200) < 20)
        return;
#define COMMAND(upper, lower, wire) assert_true(seen.requests[MESSAGE_##upper] > 0);
#define QUERY(upper, lower, wire) assert_true(seen.requests[MESSAGE_##upper] > 0);
#define EVENT(upper, lower, wire) assert_true(seen.events[MESSAGE_##upper] > 0);
#include "domain/messages/messages.def"
    for (enum outcome outcome = 0; outcome < OUTCOMES; outcome++)
        if (seen.outcomes[outcome] == 0 && !is_of_the_codec(outcome))
            fail_msg("%s has never occurred", outcome_info(outcome)->code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_stores_keep_to_the_model),
        cmocka_unit_test(every_message_and_outcome_has_occurred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
