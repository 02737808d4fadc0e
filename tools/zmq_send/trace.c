#include "tools/zmq_send/trace.h"

#include "tools/zmq_send/body.h"
#include "tools/zmq_send/json_msgpack.h"

#include <ctype.h>
#include <stdio.h>

#define BYTES_A_LINE 16u

static void trace_body(struct text body)
{
    msgpack_unpacked unpacked;
    const char *why;
    if (!body_unpack(&unpacked, body.data, body.len, &why)) {
        fprintf(stderr, " (not decoded: %s)", why);
        return;
    }
    putc(' ', stderr);
    json_write(stderr, &unpacked.data);
    msgpack_unpacked_destroy(&unpacked);
}

static void trace_line(struct text frame, size_t at, size_t end)
{
    fprintf(stderr, "   %04zx ", at);
    for (size_t i = at; i < at + BYTES_A_LINE; i++) {
        if (i < end)
            fprintf(stderr, " %02x", (unsigned char)frame.data[i]);
        else
            fputs("   ", stderr);
    }
    fputs("  |", stderr);
    for (size_t i = at; i < at + BYTES_A_LINE && i < end; i++)
        putc(isprint((unsigned char)frame.data[i]) ? frame.data[i] : '.', stderr);
    fputs("|\n", stderr);
}

void trace_frame(const char *direction, size_t index, struct text frame, bool is_body)
{
    fprintf(stderr, "%s frame %zu, %zu bytes", direction, index, frame.len);
    if (is_body)
        trace_body(frame);
    putc('\n', stderr);
    size_t end = frame.len < TRACE_MAX_BYTES ? frame.len : TRACE_MAX_BYTES;
    for (size_t at = 0; at < end; at += BYTES_A_LINE)
        trace_line(frame, at, end);
    if (end < frame.len)
        fprintf(stderr, "   ... %zu more bytes\n", frame.len - end);
}

void trace_event(const char *endpoint, const char *what)
{
    fprintf(stderr, "-- %s: %s\n", endpoint, what);
}
