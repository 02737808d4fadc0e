/* Where the reply to an id is: hash of the id -> number of the remembered reply.
 *
 * In memory, so that remembering costs the store one append and no write in random order. It holds
 * hashes alone: whoever finds a number looks at the record whether it is the right one. */
#ifndef STORE_AHEAD_REMEMBERED_INDEX_H
#define STORE_AHEAD_REMEMBERED_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct remembered_index;

#define REMEMBERED_INDEX_MAX ((size_t)8 * 1000 * 1000) /* numbers */

/* For up to so many numbers at a time. NULL: no memory. Requires: 1 to REMEMBERED_INDEX_MAX. */
struct remembered_index *remembered_index_new(size_t entries);
void remembered_index_destroy(struct remembered_index **index);

/* Has the processor fetch what the next look for that hash needs, which is far away as a rule. */
void remembered_index_expect(const struct remembered_index *index, uint64_t hash);

/* Requires: it holds fewer than it was made for, and not this one yet. Those that are in it at one
 * time lie less than 2^24 apart. */
void remembered_index_add(struct remembered_index *index, uint64_t hash, uint64_t number);

/* Requires: that number is there with that hash. */
void remembered_index_remove(struct remembered_index *index, uint64_t hash, uint64_t number);

/* Numbers that may be the right one, one a call. `near` is any number less than 2^24 from all.
 * Begin with *cursor = 0. False: no more. */
bool remembered_index_next(const struct remembered_index *index, uint64_t hash, uint64_t near,
                           size_t *cursor, uint64_t *number);

#endif
