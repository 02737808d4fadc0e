/* A store that lives in memory and ends with its process: the obvious one, by which the other is
 * judged, and the fast one for tests of what stands above it. It forgets no id. */
#ifndef TESTS_SUPPORT_MEMORY_STORE_STORE_H
#define TESTS_SUPPORT_MEMORY_STORE_STORE_H

#include "bus/ports/reader.h"
#include "bus/ports/unit_of_work.h"

struct memory_store;

/* NULL: no memory. */
struct memory_store *memory_store_new(void);
void memory_store_destroy(struct memory_store **store);

/* Its two ports; they belong to the store and live as long. */
struct unit_of_work *memory_store_unit(struct memory_store *store);
struct reader *memory_store_reader(struct memory_store *store);

#endif
