/* One hash for checksums and hash tables: XXH3 (xxhash.h), fast on short keys. */
#ifndef STORE_HASH_H
#define STORE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* 64 bits that depend on each byte and on the seed. */
uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);

#endif
