/* What a peer sends, byte by byte, held against what a message may have (RFC 23/ZMTP 3). Arithmetic
 * alone. */
#ifndef TOOLS_ZMQ_SEND_ZMTP_H
#define TOOLS_ZMQ_SEND_ZMTP_H

#include <stddef.h>
#include <stdint.h>

/* A page of a query has 256 KiB of rows and a little more, and a message three frames at most. */
#define ZMTP_FRAME_BYTES_MAX ((uint64_t)1 << 20)
#define ZMTP_FRAMES_MAX 4u /* of a message */

enum zmtp_fault {
    ZMTP_GOOD,
    ZMTP_NOT_SPOKEN, /* the greeting is none, or that of a version before 3.0 */
    ZMTP_TOO_LARGE,  /* a frame or a message is larger than it may be */
};

enum zmtp_part { ZMTP_GREETING, ZMTP_FLAGS, ZMTP_SIZE, ZMTP_BODY };

struct zmtp {
    enum zmtp_part part; /* what comes next */
    uint64_t left;       /* bytes of it still to come */
    uint64_t size;       /* of the frame, as far as it was read */
    uint8_t flags;       /* of the frame */
    uint32_t of_message; /* frames of the message that has begun */
    uint64_t frames;     /* that have begun, in all */
    uint64_t messages;   /* that came to their end, in all */
    enum zmtp_fault fault;
};

/* A connection on which nothing has come yet. */
struct zmtp zmtp_begin(void);

/* Takes what came next. Returns how many of the bytes are good: all, or those before a fault, after
 * which nothing is good any more. */
size_t zmtp_take(struct zmtp *zmtp, const unsigned char *bytes, size_t len);

#endif
