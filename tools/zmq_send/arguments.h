/* The command line's fields as a request body, typed by the node's own table of messages. */
#ifndef TOOLS_ZMQ_SEND_ARGUMENTS_H
#define TOOLS_ZMQ_SEND_ARGUMENTS_H

#include <msgpack.h>
#include <stdbool.h>

/* Packs TYPE, the id (NULL: none) and the arguments `field=value` and `field:=json`. A type or
 * field that the table lacks is packed all the same, as str: the node says what is wrong with it.
 * False after a complaint: an argument is no such thing, or names a field twice. */
bool arguments_pack(const char *type, const char *id, char *const arguments[], int count,
                    msgpack_sbuffer *out);

#endif
