/* Message bodies as msgpack-c sees them, read with care: they come from outside. */
#ifndef TOOLS_ZMQ_SEND_BODY_H
#define TOOLS_ZMQ_SEND_BODY_H

#include "domain/base/text.h"

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Unpacks exactly one value, whose maps have str keys and none of them twice. True: *out is filled,
 * its texts point into `data`, and msgpack_unpacked_destroy frees it. False: *why says what is
 * wrong, and *out needs no freeing. */
bool body_unpack(msgpack_unpacked *out, const char *data, size_t len, const char **why);

/* The value under that key; NULL where `map` is no map or has none. Here and below `map` is of a
 * body that was unpacked as above. */
const msgpack_object *body_find(const msgpack_object *map, const char *key);

/* The str under that key, absent where there is none. */
struct text body_text(const msgpack_object *map, const char *key);

/* True: *out is the integer, 0 or more, under that key. False: there is none, *out is as it was. */
bool body_count(const msgpack_object *map, const char *key, uint64_t *out);

#endif
