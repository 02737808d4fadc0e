/* The wire protocol ZMTP 3.0 and 3.1 (RFC 23 and 37), mechanism NULL, as bytes come and go. Pure:
 * it knows no sockets, allocates nothing, and whatever the bytes are, it ends with a verdict.
 *
 * A connection sends a greeting of 64 bytes, then one READY command, then messages and commands:
 *
 *     greeting   signature (ff .. 7f) | version | mechanism | as-server | filler
 *     frame      flags | length (1 or 8 bytes) | content
 *     message    frames, all but the last with the flag MORE
 *     command    one frame with the flag COMMAND: name length | name | data */
#ifndef NODE_FRONT_ZMTP_H
#define NODE_FRONT_ZMTP_H

#include "domain/base/text.h"

#include <stdint.h>

#define ZMTP_GREETING_BYTES 64u
#define ZMTP_HEADER_MAX 9u                   /* flags and the longest length */
#define ZMTP_FRAME_MAX ((size_t)1024 * 1024) /* bytes of content; more ends a connection */
#define ZMTP_READY_MAX 64u                   /* of a READY that zmtp_put_ready writes */
#define ZMTP_PING_MAX 32u                    /* of a PING or PONG that is written here */

enum zmtp_flag { ZMTP_MORE = 1, ZMTP_LARGE = 2, ZMTP_COMMAND = 4 };

/* ---- reading ---- */

/* All zeros: nothing has come. */
struct zmtp_reader {
    unsigned char header[ZMTP_HEADER_MAX];
    uint8_t header_len;   /* bytes of it that have come */
    uint8_t greeting_len; /* bytes of the greeting that have come */
    bool is_in_frame;
    uint64_t left; /* bytes of the frame that are still to come */
};

enum zmtp_part {
    ZMTP_NEED_MORE, /* all bytes are used up */
    ZMTP_GREETED,   /* the greeting is over, and is one that can be answered */
    ZMTP_FRAME,     /* a frame begins: flags and size; at least one content follows */
    ZMTP_CONTENT,   /* the next bytes of its content; the last ones where `ends` */
    ZMTP_BROKEN     /* no ZMTP 3 with mechanism NULL, or a frame over ZMTP_FRAME_MAX */
};

struct zmtp_piece {
    unsigned flags;      /* of a FRAME */
    size_t size;         /* of a FRAME: bytes of its content */
    struct text content; /* of a CONTENT: a part of the input; may be empty */
    bool ends;           /* of a CONTENT */
};

/* Takes the next part off the front of *input, however the bytes were cut. Fills *piece for FRAME
 * and CONTENT. After BROKEN nothing more may be read. */
enum zmtp_part zmtp_read(struct zmtp_reader *reader, struct text *input, struct zmtp_piece *piece);

/* Whether the name of a command is `name`; then *data is what follows it. `command` is the whole
 * content of its frame. */
bool zmtp_command_is(struct text command, const char *name, struct text *data);

/* The value of Socket-Type in the data of a READY. Absent where it has none, or where its
 * properties are not well-formed: name length | name | value length (4 bytes) | value. */
struct text zmtp_socket_type(struct text properties);

/* ---- writing: each returns how many bytes it wrote ---- */

size_t zmtp_put_greeting(unsigned char out[ZMTP_GREETING_BYTES]);
size_t zmtp_put_header(unsigned char out[ZMTP_HEADER_MAX], unsigned flags, size_t size);
size_t zmtp_put_ready(unsigned char out[ZMTP_READY_MAX], const char *socket_type);

/* A PING that asks for no context and gives `ttl` in tenths of a second (RFC 37). */
size_t zmtp_put_ping(unsigned char out[ZMTP_PING_MAX], uint16_t ttl);

/* A PONG with the context of a PING, of which 16 bytes count (RFC 37). */
size_t zmtp_put_pong(unsigned char out[ZMTP_PING_MAX], struct text context);

#define ZMTP_CONTEXT_MAX 16u

#endif
