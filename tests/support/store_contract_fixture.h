/* What the tests of the contract work with: a store under test, commands and questions of one
 * line each (the notation of tests/support/build.h), and the answers as text. */
#ifndef TESTS_SUPPORT_STORE_CONTRACT_FIXTURE_H
#define TESTS_SUPPORT_STORE_CONTRACT_FIXTURE_H

#include "store/wire/codec.h"
#include "tests/support/build.h"
#include "tests/support/store_contract.h"

struct contract {
    const struct store_factory *factory;
    void *store;
    struct unit_of_work *unit;
    struct reader *reader;
    struct codec *codec;
    struct arena *arena; /* until the end of the test */
    struct event_list decided;
    struct notation answer; /* to the last question */
};

void contract_open(struct contract *c, const struct store_factory *factory);
void contract_close(struct contract *c);

/* Closes the store and opens it again. A store that is not durable is left as it is, but for an
 * open unit, which is rolled back. */
void contract_reopen(struct contract *c);

void contract_begin(struct contract *c, uint64_t now_ms);
void contract_commit(struct contract *c);

/* Carries out a command in the open unit as the bus would, with its decisions, with all that
 * follows from it, and with its remembered reply where it has an id. Texts of `line` are copied. */
enum outcome contract_run(struct contract *c, const char *line);

/* begin at time 1, run each of the lines, commit. The list ends with a NULL. */
void contract_group(struct contract *c, const char *const *lines);
#define GROUP(c, ...) contract_group(c, (const char *const[]){__VA_ARGS__, NULL})

/* Asks the store and returns the answer, which lives until the next question. Questions are the
 * queries of the protocol, which go to the reader, and these, which go to the unit of work, which
 * is opened for the moment where it is closed:
 *   product SKU          the aggregate: totals, batches with stock, waiting lines
 *   batch REF            a batch, loaded or not, as the unit knows it
 *   line ORDERID SKU     a line
 *   newest REF UNITS     the newest lines of a batch that hold so many units
 *   recall COMMAND       what is remembered for a command with an id
 *   bodies               all events, in hex as they are published, page by page
 *   figures              the figures of the reader that do not depend on how it stores */
const char *contract_ask(struct contract *c, const char *question);
#define EXPECT(c, question, expected) assert_string_equal(contract_ask(c, question), expected)

/* All that can be asked of the store about what is in it, and the answers, a line each. */
void contract_dump(struct contract *c, struct notation *out);

/* Fails the test unless both answer everything in the same way. */
void contract_compare(struct contract *a, struct contract *b);

/* A text in the arena, as printf. */
const char *contract_text(struct contract *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The page that answers a query, which must not be refused. Rows live until the end of the test. */
struct reply contract_read(struct contract *c, const char *query);

#endif
