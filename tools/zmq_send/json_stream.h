/* JSON values from a descriptor, one after the other, in any layout, each as soon as it is whole:
 * a value is cut out by its brackets and quotes before jansson sees it. */
#ifndef TOOLS_ZMQ_SEND_JSON_STREAM_H
#define TOOLS_ZMQ_SEND_JSON_STREAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define JSON_VALUE_MAX_BYTES ((size_t)16 << 20)

struct json_stream;

enum json_stream_result {
    JSON_STREAM_VALUE, /* a value */
    JSON_STREAM_WRONG, /* a value that cannot be used (a key twice, a number too large); go on */
    JSON_STREAM_MORE,  /* read more first */
    JSON_STREAM_END,   /* there are no more */
    JSON_STREAM_BAD,   /* no JSON: what follows cannot be told apart */
};

/* Never NULL. The descriptor stays the caller's. */
struct json_stream *json_stream_new(int fd);
void json_stream_destroy(struct json_stream **stream);

/* Reads what is there, once. It blocks where nothing is. False: errno says why it failed. */
bool json_stream_read(struct json_stream *stream);

/* VALUE: *value is the caller's. WRONG and BAD: *why says what and where, until the next call. */
enum json_stream_result json_stream_next(struct json_stream *stream, json_t **value,
                                         const char **why);

#endif
