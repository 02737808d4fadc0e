/* A store on disk with something of everything in it, made by a bus, and talked with in lines of
 * text (tests/support/build.h). It is the same each time. */
#ifndef TESTS_SUPPORT_SAMPLE_STORE_H
#define TESTS_SUPPORT_SAMPLE_STORE_H

#include "domain/base/error.h"
#include "store/lmdb/store.h"
#include "tests/support/build.h"
#include "tests/support/fake_parts.h"

#define SAMPLE_MAP_BYTES ((size_t)256 << 20)

struct sample {
    struct lmdb_store *store; /* NULL: it was refused, and `error` says why */
    struct fake_parts *fakes;
    struct codec *codec;
    struct notation reply; /* the one that was asked for last */
    char error[ERROR_BYTES];
};

/* A new directory in TMPDIR, in memory where it is not set. */
void sample_directory_make(char out[128]);
void sample_directory_remove(const char *directory);

/* Makes `to`, an existing directory, hold what `from` holds and nothing else. */
void sample_directory_copy(const char *from, const char *to);

/* Of all that are opened: how far the tables may be behind the log. */
#define SAMPLE_EVENTS_BEHIND 25u
extern uint64_t sample_events_behind;

/* False: the store was refused. It must be closed all the same. */
bool sample_open(struct sample *sample, const char *directory, uint64_t check_bytes);
void sample_close(struct sample *sample);

/* The reply to a request in a group of its own; NULL: the node would end. */
const char *sample_ask(struct sample *sample, const char *line);

/* Lines that own their text. */
struct sample_lines {
    char **items;
    size_t count;
    size_t capacity;
};

void sample_lines_add(struct sample_lines *lines, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sample_lines_release(struct sample_lines *lines);

/* The commands that make a store of so many orders: several products, batches with stock and
 * without, lines that lost theirs, that wait and that were taken back, most with an id. */
void sample_commands(struct sample_lines *out, unsigned orders);

/* Makes the store in an empty directory. */
void sample_make(const char *directory, const struct sample_lines *commands);

#endif
