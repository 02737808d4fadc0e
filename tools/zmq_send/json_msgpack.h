/* JSON and msgpack, each turned into the other. Keys keep their order. */
#ifndef TOOLS_ZMQ_SEND_JSON_MSGPACK_H
#define TOOLS_ZMQ_SEND_JSON_MSGPACK_H

#include "domain/base/text.h"

#include <jansson.h>
#include <msgpack.h>
#include <stdio.h>

/* How all JSON is read here: any value, a key twice is an error, \u0000 is not. */
#define JSON_READ_FLAGS (JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

/* Packs a value: an integer as the shortest int, a number with a fraction or exponent as float. */
void json_to_msgpack(const json_t *value, msgpack_packer *out);

/* Writes a value on one line. What JSON lacks is shown as: bin {"bin": HEX}, ext {"ext": TYPE,
 * "bin": HEX}, NaN and infinity as null. Requires: keys are str (body_unpack sees to that). */
void json_write(FILE *out, const msgpack_object *value);

/* Writes a JSON string. Bytes that are no UTF-8 become U+FFFD; control characters are escaped, so
 * that no text can play tricks on a terminal. */
void json_write_text(FILE *out, struct text text);

#endif
