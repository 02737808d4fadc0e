/* A look over the bytes of a message before msgpack-c sees them: it refuses what would make the
 * unpacker ask for memory that the message does not pay for, and what the protocol forbids. */
#ifndef STORE_WIRE_SCAN_H
#define STORE_WIRE_SCAN_H

#include "store/wire/codec.h"

/* Keys of one body, all its maps together. No message has more than some ten: whoever sends more
 * wants them to be compared with each other. */
#define SCAN_KEYS_MAX 1024u

enum scan_mode {
    SCAN_STRICT, /* a request: one container in the map; every key, inside too, a str and once */
    SCAN_LENIENT /* an event: values that nobody here knows may be anything, eight deep */
};

/* Looks at one body: it must be exactly one msgpack map whose keys are str, none twice. `keys` is
 * scratch memory of SCAN_KEYS_MAX texts. Returns NULL if all is well, else a static text that
 * says what is wrong. Never reads beyond `body`. */
const char *scan_body(struct text body, enum scan_mode mode, struct text *keys);

/* The value of the first key `type`, whatever else is wrong with the body. Absent: it has none that
 * is a str, or it is not found. Points into `body`. */
struct text scan_type(struct text body);

#endif
