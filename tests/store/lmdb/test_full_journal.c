/* A journal without room for its next segment: units are refused, and the next ones before they do
 * anything, until there is room again. */
#include "store/lmdb/coarse_clock.h"
#include "store/lmdb/inside.h"
#include "tests/support/build.h"
#include "tests/support/disk_store.h"
#include "tests/support/store_contract_fixture.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#define EVENTS_OF_A_UNIT 50u

/* A batch with a ref of so many bytes, so that the journal fills up soon. */
static enum store_result add_batch(struct contract *c, unsigned number)
{
    struct product *product;
    struct text body;
    struct event event = build_event(contract_text(c, "BatchCreated x%0200u 1 -", number));
    assert_int_equal(unit_product(c->unit, text_of("RED"), &product), STORE_OK);
    return unit_append(c->unit, product, &event, &body);
}

/* Units, until one is refused. Returns how many events there are then. */
static unsigned fill_journal(struct contract *c)
{
    enum store_result result = STORE_OK;
    unsigned events = 0;
    while (result == STORE_OK) {
        assert_int_equal(unit_begin(c->unit, 1), STORE_OK);
        for (unsigned i = 0; i < EVENTS_OF_A_UNIT; i++)
            assert_int_equal(add_batch(c, events + i), STORE_OK);
        result = unit_commit(c->unit);
        events += result == STORE_OK ? EVENTS_OF_A_UNIT : 0;
        arena_reset(c->arena);
    }
    assert_int_equal(result, STORE_FULL);
    unit_rollback(c->unit);
    return events;
}

static void what_has_no_room_is_refused_at_once_until_there_is_some(void **state)
{
    (void)state;
    struct contract c;
    struct rlimit before;
    enum store_result result;
    disk_store_options.events_behind = 1000000; /* so that no round is in the way */
    contract_open(&c, &disk_store_factory);
    GROUP(&c, "CreateBatch b1 RED 5");
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {.rlim_cur = (rlim_t)1 << 20, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    unsigned events = fill_journal(&c);
    assert_in_range(events, 1000, 10000);
    struct lmdb_store *store = ((struct disk_store *)c.store)->store;
    assert_true(store->full_ms > 0);
    assert_int_equal(unit_begin(c.unit, 1), STORE_OK);
    store->full_ms = coarse_ms(); /* however long it took to catch up */
    assert_int_equal(add_batch(&c, events), STORE_FULL);
    unit_rollback(c.unit);
    const char *stock = contract_text(&c, "seq=%u products=1 waiting=0", 1 + events);
    EXPECT(&c, "figures", stock);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    time_t deadline = time(NULL) + 20;
    do {
        assert_int_equal(unit_begin(c.unit, 1), STORE_OK);
        result = add_batch(&c, events);
        if (result == STORE_OK)
            assert_int_equal(unit_commit(c.unit), STORE_OK);
        else
            unit_rollback(c.unit);
        sched_yield();
    } while (result == STORE_FULL && time(NULL) < deadline);
    assert_int_equal(result, STORE_OK);
    stock = contract_text(&c, "seq=%u products=1 waiting=0", 2 + events);
    EXPECT(&c, "figures", stock);
    contract_reopen(&c);
    EXPECT(&c, "figures", stock);
    contract_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_room_is_refused_at_once_until_there_is_some),
    };
    return cmocka_run_group_tests_name("full_journal", tests, NULL, NULL);
}
