#include "tests/support/memory_journal.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Entries 1 .. written are kept, with bodies of their own; the others up to `submitted` are the
 * caller's. */
struct memory_journal {
    struct journal port;
    struct journal_entry *entries; /* entry n is at n - 1 */
    size_t capacity;
    uint64_t submitted;
    uint64_t written;
    uint64_t told;
    enum store_result trouble; /* what becomes of those that are not written */
    uint64_t fail_in;
    enum store_result failure;
    bool is_held;
    bool is_signalled;
    int event_fd;
    uint64_t room;
    uint64_t bytes;
};

struct memory_cursor {
    struct journal_cursor port;
    uint64_t number;
};

static struct memory_journal *of(struct journal *journal)
{
    return (struct memory_journal *)(void *)journal;
}

static void keep_body(struct memory_journal *memory, struct journal_entry *entry)
{
    char *body = malloc(entry->body.len + 1);
    assert(body != NULL);
    memcpy(body, entry->body.data, entry->body.len);
    entry->body.data = body;
    memory->bytes += entry->body.len;
}

static void signal_completion(struct memory_journal *memory)
{
    const uint64_t one = 1;
    if (!memory->is_signalled)
        memory->is_signalled = write(memory->event_fd, &one, sizeof one) == sizeof one;
}

/* What becomes of the next entry. */
static enum store_result write_next(struct memory_journal *memory)
{
    if (memory->fail_in > 0 && --memory->fail_in == 0) {
        memory->trouble = memory->failure;
        return memory->failure;
    }
    keep_body(memory, &memory->entries[memory->written]);
    memory->written++;
    return STORE_OK;
}

static void write_all(struct memory_journal *memory)
{
    while (memory->trouble == STORE_OK && memory->written < memory->submitted) {
        write_next(memory);
        signal_completion(memory);
    }
}

static void add(struct memory_journal *memory, const struct journal_entry *entry)
{
    if (memory->submitted == memory->capacity) {
        memory->capacity = memory->capacity == 0 ? 16 : 2 * memory->capacity;
        memory->entries = realloc(memory->entries, memory->capacity * sizeof *memory->entries);
        assert(memory->entries != NULL);
    }
    memory->entries[memory->submitted++] = *entry;
}

static enum store_result submit(struct journal *journal, const struct journal_entry *entry,
                                bool here)
{
    struct memory_journal *memory = of(journal);
    if (memory->trouble != STORE_OK)
        return memory->trouble;
    if (entry->body.len > memory->room)
        return STORE_FULL;
    add(memory, entry);
    if (here && memory->written + 1 == memory->submitted && !memory->is_held) {
        enum store_result result = write_next(memory);
        if (result != STORE_OK)
            memory->submitted--;
        if (result == STORE_FULL)
            memory->trouble = STORE_OK;
        return result;
    }
    if (!memory->is_held)
        write_all(memory);
    return STORE_OK;
}

static bool done(struct journal *journal, struct journal_completion *out)
{
    uint64_t count;
    struct memory_journal *memory = of(journal);
    uint64_t number = memory->told + 1;
    bool is_written = number <= memory->written;
    if (!is_written && (memory->trouble == STORE_OK || number > memory->submitted))
        return false;
    const struct journal_entry *entry = &memory->entries[number - 1];
    *out = (struct journal_completion){number, entry->first_seq + entry->events,
                                       is_written ? STORE_OK : memory->trouble};
    memory->told = number;
    if (memory->told == (memory->trouble == STORE_OK ? memory->written : memory->submitted) &&
        memory->is_signalled)
        memory->is_signalled = read(memory->event_fd, &count, sizeof count) != sizeof count;
    if (out->result == STORE_FULL && number == memory->submitted) {
        memory->trouble = STORE_OK;
        memory->told = memory->submitted = memory->written;
    }
    return true;
}

static void wait_for_all(struct journal *journal)
{
    write_all(of(journal));
}

static int descriptor(const struct journal *journal)
{
    return ((const struct memory_journal *)(const void *)journal)->event_fd;
}

static bool has_room(struct journal *journal, uint64_t bytes)
{
    return bytes <= of(journal)->room;
}

static uint64_t bytes_of_all(struct journal *journal)
{
    return of(journal)->bytes;
}

static enum store_result read_begin(struct journal *journal, enum journal_key key, uint64_t value,
                                    struct journal_cursor **out)
{
    struct memory_cursor *cursor = calloc(1, sizeof *cursor);
    if (cursor == NULL)
        return STORE_FAILED;
    const struct memory_journal *memory = of(journal);
    cursor->port.journal = journal;
    cursor->number = value > 0 ? value : 1;
    if (key == JOURNAL_BY_SEQ) {
        for (cursor->number = 1; cursor->number <= memory->submitted; cursor->number++) {
            const struct journal_entry *entry = &memory->entries[cursor->number - 1];
            if (entry->first_seq + entry->events > value)
                break;
        }
    }
    *out = &cursor->port;
    return STORE_OK;
}

static enum store_result read_next(struct journal_cursor *port, struct journal_entry *out)
{
    struct memory_cursor *cursor = (struct memory_cursor *)(void *)port;
    const struct memory_journal *memory = of(port->journal);
    if (cursor->number > memory->submitted ||
        (cursor->number > memory->written && cursor->number <= memory->told))
        return STORE_NOT_FOUND;
    *out = memory->entries[cursor->number++ - 1];
    return STORE_OK;
}

static void read_end(struct journal_cursor *port)
{
    free(port);
}

static const struct journal_ops ops = {
    .submit = submit,
    .done = done,
    .wait = wait_for_all,
    .fd = descriptor,
    .has_room = has_room,
    .bytes = bytes_of_all,
    .read_begin = read_begin,
    .read_next = read_next,
    .read_end = read_end,
};

struct journal *memory_journal_new(void)
{
    struct memory_journal *memory = calloc(1, sizeof *memory);
    assert(memory != NULL);
    memory->port = (struct journal){.ops = &ops, .next_seq = 1, .durable_next_seq = 1};
    memory->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    memory->room = INT64_MAX;
    assert(memory->event_fd >= 0);
    return &memory->port;
}

void memory_journal_destroy(struct journal **journal)
{
    struct memory_journal *memory = of(*journal);
    for (uint64_t i = 0; i < memory->written; i++)
        free((void *)(uintptr_t)memory->entries[i].body.data);
    free(memory->entries);
    close(memory->event_fd);
    free(memory);
    *journal = NULL;
}

void memory_journal_fail(struct journal *journal, uint64_t n, enum store_result result)
{
    assert(result == STORE_FULL || result == STORE_BROKEN);
    of(journal)->fail_in = n;
    of(journal)->failure = result;
}

void memory_journal_hold(struct journal *journal)
{
    of(journal)->is_held = true;
}

void memory_journal_release(struct journal *journal)
{
    of(journal)->is_held = false;
    write_all(of(journal));
}

void memory_journal_reopen(struct journal *journal)
{
    uint64_t count;
    struct memory_journal *memory = of(journal);
    memory->told = memory->submitted = memory->written;
    memory->trouble = STORE_OK;
    memory->is_held = false;
    if (memory->is_signalled)
        memory->is_signalled = read(memory->event_fd, &count, sizeof count) != sizeof count;
    const struct journal_entry *last =
        memory->written > 0 ? &memory->entries[memory->written - 1] : NULL;
    journal->newest = journal->durable = memory->written;
    journal->next_seq = journal->durable_next_seq =
        last != NULL ? last->first_seq + last->events : 1;
}

void memory_journal_set_room(struct journal *journal, uint64_t bytes)
{
    of(journal)->room = bytes;
}
