#include "node/front/zmtp.h"

#include <assert.h>

#define SIGNATURE_FIRST 0xffu
#define SIGNATURE_LAST 0x7fu
#define SIGNATURE_LAST_AT 9u /* an odd byte; ZMTP 1.0 has an even one there */
#define VERSION_AT 10u
#define VERSION_MAJOR 3u
#define VERSION_MINOR 1u
#define MECHANISM_AT 12u
#define MECHANISM_END 32u
#define SHORT_MAX 255u /* bytes of content whose length has one byte */
#define LONG_LENGTH_BYTES 8u
#define FLAGS_KNOWN ((unsigned)(ZMTP_MORE | ZMTP_LARGE | ZMTP_COMMAND))

static const char mechanism[MECHANISM_END - MECHANISM_AT] = "NULL";

/* ---- reading ---- */

static bool is_good_greeting(unsigned at, unsigned char byte)
{
    if (at == 0)
        return byte == SIGNATURE_FIRST;
    if (at == SIGNATURE_LAST_AT)
        return (byte & 1u) != 0;
    if (at == VERSION_AT)
        return byte >= VERSION_MAJOR;
    if (at >= MECHANISM_AT && at < MECHANISM_END)
        return byte == (unsigned char)mechanism[at - MECHANISM_AT];
    return true;
}

static enum zmtp_part read_greeting(struct zmtp_reader *reader, struct text *input)
{
    while (reader->greeting_len < ZMTP_GREETING_BYTES) {
        if (input->len == 0)
            return ZMTP_NEED_MORE;
        if (!is_good_greeting(reader->greeting_len, (unsigned char)*input->data))
            return ZMTP_BROKEN;
        reader->greeting_len++;
        input->data++;
        input->len--;
    }
    return ZMTP_GREETED;
}

/* How long the header is, as far as it is known. */
static size_t header_size(const struct zmtp_reader *reader)
{
    if (reader->header_len == 0)
        return 1;
    return (reader->header[0] & ZMTP_LARGE) != 0 ? 1 + LONG_LENGTH_BYTES : 2;
}

/* RFC 23: the other bits are reserved and zero, and a command is one frame. */
static bool are_good_flags(unsigned flags)
{
    return (flags & ~FLAGS_KNOWN) == 0 && ((flags & ZMTP_COMMAND) == 0 || (flags & ZMTP_MORE) == 0);
}

static enum zmtp_part read_header(struct zmtp_reader *reader, struct text *input,
                                  struct zmtp_piece *piece)
{
    while (reader->header_len < header_size(reader)) {
        if (input->len == 0)
            return ZMTP_NEED_MORE;
        reader->header[reader->header_len++] = (unsigned char)*input->data++;
        input->len--;
    }
    uint64_t size = 0;
    for (size_t i = 1; i < reader->header_len; i++)
        size = size << 8 | reader->header[i];
    if (!are_good_flags(reader->header[0]) || size > ZMTP_FRAME_MAX)
        return ZMTP_BROKEN;
    piece->flags = reader->header[0] & (unsigned)(ZMTP_MORE | ZMTP_COMMAND);
    piece->size = (size_t)size;
    reader->header_len = 0;
    reader->left = size;
    reader->is_in_frame = true;
    return ZMTP_FRAME;
}

static enum zmtp_part read_content(struct zmtp_reader *reader, struct text *input,
                                   struct zmtp_piece *piece)
{
    if (input->len == 0 && reader->left > 0)
        return ZMTP_NEED_MORE;
    size_t len = input->len < reader->left ? input->len : (size_t)reader->left;
    piece->content = (struct text){input->data, len};
    input->data += len;
    input->len -= len;
    reader->left -= len;
    piece->ends = reader->left == 0;
    reader->is_in_frame = !piece->ends;
    return ZMTP_CONTENT;
}

enum zmtp_part zmtp_read(struct zmtp_reader *reader, struct text *input, struct zmtp_piece *piece)
{
    if (reader->greeting_len < ZMTP_GREETING_BYTES)
        return read_greeting(reader, input);
    return reader->is_in_frame ? read_content(reader, input, piece)
                               : read_header(reader, input, piece);
}

bool zmtp_command_is(struct text command, const char *name, struct text *data)
{
    size_t len = strlen(name);
    if (command.len < 1 + len || (unsigned char)command.data[0] != len ||
        memcmp(command.data + 1, name, len) != 0)
        return false;
    *data = (struct text){command.data + 1 + len, command.len - 1 - len};
    return true;
}

static size_t take_length(struct text *from, size_t bytes)
{
    size_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | (unsigned char)from->data[i];
    from->data += bytes;
    from->len -= bytes;
    return value;
}

/* A length of so many bytes and as much text. False: it is cut short. */
static bool take_text(struct text *from, size_t length_bytes, struct text *out)
{
    if (from->len < length_bytes)
        return false;
    size_t len = take_length(from, length_bytes);
    if (from->len < len)
        return false;
    *out = (struct text){from->data, len};
    from->data += len;
    from->len -= len;
    return true;
}

/* RFC 23: names of properties are not case-sensitive. */
static bool is_named(struct text name, const char *wanted)
{
    if (name.len != strlen(wanted))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        char w = wanted[i];
        bool is_same = c == w || (c >= 'A' && c <= 'Z' && c - 'A' + 'a' == w) ||
                       (w >= 'A' && w <= 'Z' && w - 'A' + 'a' == c);
        if (!is_same)
            return false;
    }
    return true;
}

struct text zmtp_socket_type(struct text properties)
{
    struct text found = text_none();
    while (properties.len > 0) {
        struct text name;
        struct text value;
        if (!take_text(&properties, 1, &name) || name.len == 0 ||
            !take_text(&properties, 4, &value))
            return text_none();
        if (is_named(name, "Socket-Type"))
            found = value;
    }
    return found;
}

/* ---- writing ---- */

size_t zmtp_put_greeting(unsigned char out[ZMTP_GREETING_BYTES])
{
    memset(out, 0, ZMTP_GREETING_BYTES);
    out[0] = SIGNATURE_FIRST;
    out[SIGNATURE_LAST_AT] = SIGNATURE_LAST;
    out[VERSION_AT] = VERSION_MAJOR;
    out[VERSION_AT + 1] = VERSION_MINOR;
    memcpy(out + MECHANISM_AT, mechanism, sizeof mechanism);
    return ZMTP_GREETING_BYTES;
}

size_t zmtp_put_header(unsigned char out[ZMTP_HEADER_MAX], unsigned flags, size_t size)
{
    if (size <= SHORT_MAX) {
        out[0] = (unsigned char)flags;
        out[1] = (unsigned char)size;
        return 2;
    }
    out[0] = (unsigned char)(flags | ZMTP_LARGE);
    for (size_t i = 0; i < LONG_LENGTH_BYTES; i++)
        out[1 + i] = (unsigned char)((uint64_t)size >> (8 * (LONG_LENGTH_BYTES - 1 - i)));
    return 1 + LONG_LENGTH_BYTES;
}

/* A command of a name and data that are short together. */
static size_t put_command(unsigned char *out, const char *name, struct text data)
{
    size_t name_len = strlen(name);
    size_t len = zmtp_put_header(out, ZMTP_COMMAND, 1 + name_len + data.len);
    out[len++] = (unsigned char)name_len;
    memcpy(out + len, name, name_len);
    memcpy(out + len + name_len, data.data, data.len);
    return len + name_len + data.len;
}

size_t zmtp_put_ready(unsigned char out[ZMTP_READY_MAX], const char *socket_type)
{
    static const char name[] = "\x0bSocket-Type\0\0\0";
    size_t type_len = strlen(socket_type);
    char data[ZMTP_READY_MAX];
    assert(sizeof name + type_len + 8 <= ZMTP_READY_MAX);
    memcpy(data, name, sizeof name - 1);
    data[sizeof name - 1] = (char)type_len;
    memcpy(data + sizeof name, socket_type, type_len);
    return put_command(out, "READY", (struct text){data, sizeof name + type_len});
}

size_t zmtp_put_ping(unsigned char out[ZMTP_PING_MAX], uint16_t ttl)
{
    const char data[2] = {(char)(ttl >> 8), (char)(ttl & 0xff)};
    return put_command(out, "PING", (struct text){data, sizeof data});
}

size_t zmtp_put_pong(unsigned char out[ZMTP_PING_MAX], struct text context)
{
    size_t len = context.len < ZMTP_CONTEXT_MAX ? context.len : ZMTP_CONTEXT_MAX;
    return put_command(out, "PONG", (struct text){context.len > 0 ? context.data : "", len});
}
