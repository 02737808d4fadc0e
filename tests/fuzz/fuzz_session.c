/* Turns bytes into groups of requests, some of them with a store that fails, and takes them through
 * the bus over the memory store: replies and events must be those of the reference model. */
#include "tests/support/memory_store/store.h"
#include "tests/support/random_history.h"
#include "tests/support/session.h"

#include <stdio.h>
#include <stdlib.h>

#define GROUP_SIZE_MAX 8u

static void order_a_failure(struct random_history *history, struct session *session)
{
    enum faulty_call call =
        FAULTY_BEGIN + random_history_draw(history, FAULTY_SUBMIT - FAULTY_BEGIN + 1);
    uint64_t n = 1 + random_history_draw(history, 4);
    faulty_store_fail(&session->faulty, call, n, STORE_FAILED);
}

static bool run_groups(struct session *session, struct random_history *history)
{
    while (history->byte_count > 0) {
        struct request group[GROUP_SIZE_MAX];
        size_t count = 1 + random_history_draw(history, GROUP_SIZE_MAX);
        if (random_history_draw(history, 8) == 7)
            order_a_failure(history, session);
        for (size_t i = 0; i < count; i++)
            group[i] = random_history_request(history);
        if (!session_group(session, group, count))
            return false;
    }
    return session_check_state(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory_store *store = memory_store_new();
    if (store == NULL)
        abort();
    struct session *session = session_new(memory_store_unit(store), memory_store_reader(store));
    struct random_history history;
    random_history_from_bytes(&history, session->model, data, size);
    if (!run_groups(session, &history)) {
        fprintf(stderr, "%s\n", notation_text(&session->complaint));
        abort();
    }
    session_destroy(&session);
    memory_store_destroy(&store);
    return 0;
}
