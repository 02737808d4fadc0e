#include "tools/zmq_send/json_stream.h"

#include "tools/zmq_send/json_msgpack.h"
#include "tools/zmq_send/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)

struct json_stream {
    int fd;
    bool at_end;
    char *buffer;
    size_t capacity;
    size_t start; /* of the value, or of the space before it */
    size_t seen;  /* up to here its end was looked for */
    size_t end;   /* of the bytes */
    /* What was seen of the value up to `seen`. */
    bool began;
    bool in_string;
    bool escaped; /* a backslash came just before */
    size_t depth; /* of open brackets */
    /* Where `start` is, for messages. */
    size_t line;
    size_t column;
    char why[JSON_ERROR_TEXT_LENGTH + 80];
};

struct json_stream *json_stream_new(int fd)
{
    struct json_stream *stream = must_have(calloc(1, sizeof *stream));
    stream->fd = fd;
    stream->line = 1;
    return stream;
}

void json_stream_destroy(struct json_stream **stream)
{
    if (*stream == NULL)
        return;
    free((*stream)->buffer);
    free(*stream);
    *stream = NULL;
}

static void make_room(struct json_stream *stream)
{
    if (stream->start > 0) {
        memmove(stream->buffer, stream->buffer + stream->start, stream->end - stream->start);
        stream->seen -= stream->start;
        stream->end -= stream->start;
        stream->start = 0;
    }
    if (stream->capacity - stream->end >= READ_BYTES)
        return;
    stream->capacity = 2 * stream->capacity + READ_BYTES;
    stream->buffer = must_have(realloc(stream->buffer, stream->capacity));
}

bool json_stream_read(struct json_stream *stream)
{
    make_room(stream);
    ssize_t got = read(stream->fd, stream->buffer + stream->end, READ_BYTES);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    stream->at_end = got == 0;
    stream->end += (size_t)got;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* True once the byte at `seen` is known to end the value, or to come after its end. */
static bool scan_string(struct json_stream *stream, char c)
{
    if (stream->escaped)
        stream->escaped = false;
    else if (c == '\\')
        stream->escaped = true;
    else if (c == '"')
        stream->in_string = false;
    stream->seen++;
    return !stream->in_string && stream->depth == 0;
}

static bool scan_byte(struct json_stream *stream, char c)
{
    bool began = stream->began;
    if (stream->in_string)
        return scan_string(stream, c);
    bool opens = c == '{' || c == '[' || c == '"';
    if (began && stream->depth == 0 && (opens || is_space(c)))
        return true; /* what began was a bare word or number */
    stream->began = true;
    stream->seen++;
    if (c == '"')
        stream->in_string = true;
    else if (opens)
        stream->depth++;
    else if (c == '}' || c == ']')
        return stream->depth == 0 || --stream->depth == 0;
    return false;
}

/* True: the value ends at `seen`. */
static bool find_end(struct json_stream *stream)
{
    while (stream->seen < stream->end) {
        char c = stream->buffer[stream->seen];
        if (!stream->began && is_space(c))
            stream->seen++;
        else if (scan_byte(stream, c))
            return true;
    }
    return stream->began && stream->at_end;
}

static void move_on(struct json_stream *stream)
{
    for (; stream->start < stream->seen; stream->start++) {
        char c = stream->buffer[stream->start];
        stream->line += c == '\n';
        stream->column = c == '\n' ? 0 : stream->column + ((c & 0xc0) != 0x80);
    }
    stream->began = stream->in_string = stream->escaped = false;
    stream->depth = 0;
}

/* Whether the value was cut out rightly all the same, so that the next one can be found. */
static enum json_stream_result judge(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    bool is_cut_rightly = code == json_error_duplicate_key || code == json_error_numeric_overflow ||
                          code == json_error_null_byte_in_key;
    return is_cut_rightly ? JSON_STREAM_WRONG : JSON_STREAM_BAD;
}

static enum json_stream_result parse(struct json_stream *stream, json_t **value)
{
    json_error_t error;
    size_t len = stream->seen - stream->start;
    *value = json_loadb(stream->buffer + stream->start, len, JSON_READ_FLAGS, &error);
    if (*value != NULL)
        return JSON_STREAM_VALUE;
    size_t line = (size_t)(error.line > 0 ? error.line : 1);
    size_t column = (size_t)(error.column > 0 ? error.column : 0);
    snprintf(stream->why, sizeof stream->why, "bad JSON at line %zu, column %zu: %s",
             stream->line + line - 1, column + (line == 1 ? stream->column : 0), error.text);
    return judge(&error);
}

enum json_stream_result json_stream_next(struct json_stream *stream, json_t **value,
                                         const char **why)
{
    *why = stream->why;
    if (find_end(stream)) {
        enum json_stream_result result = parse(stream, value);
        move_on(stream);
        return result;
    }
    if (!stream->began)
        move_on(stream); /* nothing but space */
    if (stream->at_end)
        return JSON_STREAM_END;
    if (stream->end - stream->start <= JSON_VALUE_MAX_BYTES)
        return JSON_STREAM_MORE;
    snprintf(stream->why, sizeof stream->why,
             "bad JSON: the value that begins near line %zu is over %zu bytes", stream->line,
             JSON_VALUE_MAX_BYTES);
    return JSON_STREAM_BAD;
}
