/* One hash for checksums and hash tables: XXH3 (xxhash.h), fast on short keys. */
#ifndef STORE_HASH_H
#define STORE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 64 bits that depend on each byte and on the seed. */
uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);

/* A seed that nobody can know, so that nobody can choose keys that collide. False: the system has
 * no random bytes. */
bool hash_new_seed(uint64_t *seed);

#endif
