#include "tools/zmq_send/zmtp.h"

#include <stdbool.h>

#define GREETING_BYTES 64u
enum { FLAG_MORE = 1, FLAG_LARGE = 2, FLAG_COMMAND = 4 };

struct zmtp zmtp_begin(void)
{
    return (struct zmtp){.part = ZMTP_GREETING, .left = GREETING_BYTES};
}

static void go_on(struct zmtp *zmtp, enum zmtp_part part, uint64_t left)
{
    zmtp->part = part;
    zmtp->left = left;
}

/* The signature, by which libzmq knows a greeting, and the version. */
static bool is_greeting(uint64_t at, unsigned char byte)
{
    switch (at) {
    case 0:
        return byte == 0xff;
    case 9:
        return (byte & 1) != 0;
    case 10:
        return byte >= 3;
    default:
        return true;
    }
}

static void take_greeting(struct zmtp *zmtp, unsigned char byte)
{
    if (!is_greeting(GREETING_BYTES - zmtp->left, byte))
        zmtp->fault = ZMTP_NOT_SPOKEN;
    if (--zmtp->left == 0)
        go_on(zmtp, ZMTP_FLAGS, 1);
}

static void end_frame(struct zmtp *zmtp)
{
    go_on(zmtp, ZMTP_FLAGS, 1);
    if (zmtp->flags & (FLAG_MORE | FLAG_COMMAND))
        return;
    zmtp->of_message = 0;
    zmtp->messages++;
}

/* Commands stand between the frames of messages, and libzmq keeps none of them. */
static void begin_frame(struct zmtp *zmtp)
{
    zmtp->frames++;
    zmtp->of_message += !(zmtp->flags & FLAG_COMMAND);
    if (zmtp->size > ZMTP_FRAME_BYTES_MAX || zmtp->of_message > ZMTP_FRAMES_MAX)
        zmtp->fault = ZMTP_TOO_LARGE;
    go_on(zmtp, ZMTP_BODY, zmtp->size);
    if (zmtp->size == 0)
        end_frame(zmtp);
}

static void take_head(struct zmtp *zmtp, unsigned char byte)
{
    if (zmtp->part == ZMTP_GREETING) {
        take_greeting(zmtp, byte);
    } else if (zmtp->part == ZMTP_FLAGS) {
        zmtp->flags = byte;
        zmtp->size = 0;
        go_on(zmtp, ZMTP_SIZE, byte & FLAG_LARGE ? 8 : 1);
    } else {
        zmtp->size = zmtp->size << 8 | byte;
        if (--zmtp->left == 0)
            begin_frame(zmtp);
    }
}

size_t zmtp_take(struct zmtp *zmtp, const unsigned char *bytes, size_t len)
{
    size_t at = 0;
    while (at < len && zmtp->fault == ZMTP_GOOD) {
        if (zmtp->part != ZMTP_BODY) {
            take_head(zmtp, bytes[at]);
            at += zmtp->fault == ZMTP_GOOD;
            continue;
        }
        size_t step = zmtp->left < len - at ? (size_t)zmtp->left : len - at;
        at += step;
        zmtp->left -= step;
        if (zmtp->left == 0)
            end_frame(zmtp);
    }
    return at;
}
