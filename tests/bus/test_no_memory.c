/* Memory that runs out: the n-th allocation fails, for n = 1, 2, 3 ... until none is left that
 * could. The group is done or refused as a whole, and done in full when it comes again. The linker
 * gives our own code these functions for those of the library (tests/CMakeLists.txt). */
#include "tests/support/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static uint64_t left; /* allocations until the one that fails; 0: none does */
static bool has_failed;

static bool fails(void)
{
    if (left == 0 || --left > 0)
        return false;
    has_failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

static void fail_at(uint64_t n)
{
    left = n;
    has_failed = false;
}

static const char *const lines[] = {"CreateBatch b1 RED 10 - id=1",
                                    "Allocate o1 RED 6 id=2",
                                    "Allocate o2 RED 4",
                                    "CreateBatch b2 RED 5 2030-01-01",
                                    "ChangeBatchQuantity b1 5 id=3",
                                    "Deallocate o2 RED id=4",
                                    "Allocate o3 RED 50 id=5",
                                    "ChangeBatchEta b2 - id=6",
                                    "ChangeBatchQuantity b2 11 id=7",
                                    "CreateBatch b3 BLUE 1 -",
                                    "GetStock RED",
                                    "ListBatches RED",
                                    "GetAllocations o1",
                                    "ListProducts",
                                    "GetEvents",
                                    "GetBatch b1"};

#define LAST_COMMAND 9

static enum store_result handle_all(struct conversation *c, const struct request *requests)
{
    for (size_t i = 0; i < COUNT(lines); i++)
        bus_handle(c->fakes->bus, &requests[i], NULL);
    return bus_commit(c->fakes->bus);
}

static void expect_all_done(struct conversation *c)
{
    for (size_t i = 0; i <= LAST_COMMAND; i++) {
        enum outcome outcome = bus_reply(c->fakes->bus, i)->outcome;
        assert_true(outcome == OUTCOME_DONE || outcome == OUTCOME_OUT_OF_STOCK);
    }
}

static void a_group_is_done_or_refused(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (bool goes_on = true; goes_on; n++) {
        void *fresh = NULL;
        struct request requests[COUNT(lines)];
        conversation_set_up(&fresh);
        struct conversation *c = fresh;
        for (size_t i = 0; i < COUNT(lines); i++)
            requests[i] = build_request(lines[i]);
        fail_at(n);
        enum store_result result = handle_all(c, requests);
        left = 0;
        goes_on = has_failed;
        if (result != STORE_OK) {
            assert_true(has_failed && result == STORE_FAILED);
            for (size_t i = 0; i <= LAST_COMMAND; i++)
                assert_int_equal(bus_reply(c->fakes->bus, i)->outcome, OUTCOME_STORAGE_FAILED);
            conversation_end_group(c);
            assert_string_equal(conversation_ask(c, "GetStats"),
                                "ok seq=0 products=0 waiting_lines=0");
            assert_int_equal(handle_all(c, requests), STORE_OK);
        }
        expect_all_done(c);
        bus_publish(c->fakes->bus);
        assert_int_equal(bus_last_seq(c->fakes->bus), 15);
        assert_int_equal(c->fakes->publisher.count, 15);
        conversation_end_group(c);
        conversation_tear_down(&fresh);
    }
    assert_true(n > 20); /* else it no longer fails where it did */
}

/* Makes and destroys all that a node's core is made of. False: there was no memory. */
static bool make_parts(void)
{
    struct arena *arena = arena_new();
    struct codec *codec = codec_new();
    struct memory_store *store = memory_store_new();
    struct bus *bus = NULL;
    if (store != NULL) {
        struct stats stats = {0};
        struct bus_parts parts = {.unit = memory_store_unit(store),
                                  .reader = memory_store_reader(store),
                                  .stats = &stats};
        bus = bus_new(&parts);
    }
    bool made = arena != NULL && codec != NULL && bus != NULL;
    bus_destroy(&bus);
    memory_store_destroy(&store);
    codec_destroy(&codec);
    arena_destroy(&arena);
    return made;
}

static void what_cannot_be_made_leaves_nothing(void **state)
{
    (void)state;
    uint64_t n = 1;
    do {
        fail_at(n++);
        bool made = make_parts();
        left = 0;
        assert_true(made != has_failed);
    } while (has_failed);
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_group_is_done_or_refused),
                                       cmocka_unit_test(what_cannot_be_made_leaves_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
