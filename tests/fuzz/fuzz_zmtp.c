/* What a stranger sends to the front, cut into reads in three ways: all at once, byte by byte, and
 * at places that the input chooses. Each gives the same parts; sizes stay within their limits; and
 * what is a READY or a PING is looked at as the front does. */
#include "node/front/zmtp.h"

#include <assert.h>
#include <stdlib.h>

/* The parts that were read: their kinds and sizes, and all content behind each other. */
struct trace {
    unsigned char *bytes;
    size_t len;
    size_t capacity;
    bool is_broken;
};

static void note(struct trace *trace, const void *data, size_t len)
{
    while (trace->len + len > trace->capacity) {
        trace->capacity = 2 * trace->capacity + 4096;
        trace->bytes = realloc(trace->bytes, trace->capacity);
        assert(trace->bytes != NULL);
    }
    if (len > 0)
        memcpy(trace->bytes + trace->len, data, len);
    trace->len += len;
}

static void look_at_command(struct text content)
{
    struct text data;
    unsigned char pong[ZMTP_PING_MAX];
    if (zmtp_command_is(content, "READY", &data)) {
        assert(data.len + 6 == content.len);
        struct text type = zmtp_socket_type(data);
        assert(text_is_none(type) ||
               (type.data >= data.data && type.data + type.len <= data.data + data.len));
    }
    if (zmtp_command_is(content, "PING", &data) && data.len >= 2)
        assert(zmtp_put_pong(pong, (struct text){data.data + 2, data.len - 2}) <= sizeof pong);
}

/* Reads what has come, and notes it. `cut_by`: seed of where reads end; 0: nowhere, 1: everywhere.
 */
static void read_all(struct trace *trace, const char *data, size_t size, unsigned cut_by)
{
    struct zmtp_reader reader = {.left = 0};
    struct zmtp_piece piece;
    size_t at = 0;
    uint64_t frame_left = 0;
    while (at < size && !trace->is_broken) {
        size_t len = cut_by == 0 ? size - at : cut_by == 1 ? 1 : 1 + (at * cut_by >> 3) % 97;
        len = len < size - at ? len : size - at;
        struct text input = {data + at, len};
        for (;;) {
            enum zmtp_part part = zmtp_read(&reader, &input, &piece);
            if (part == ZMTP_NEED_MORE) {
                assert(input.len == 0);
                break;
            }
            if (part == ZMTP_CONTENT) {
                assert(piece.content.len <= frame_left);
                frame_left -= piece.content.len;
                assert(piece.ends == (frame_left == 0));
                note(trace, piece.content.data, piece.content.len);
                continue;
            }
            note(trace, &part, sizeof part);
            if (part == ZMTP_FRAME) {
                assert(piece.size <= ZMTP_FRAME_MAX && frame_left == 0);
                frame_left = piece.size;
                note(trace, &piece.flags, sizeof piece.flags);
                note(trace, &piece.size, sizeof piece.size);
            }
            trace->is_broken = part == ZMTP_BROKEN;
            if (trace->is_broken)
                break;
        }
        at += len;
    }
}

static void expect_same(const struct trace *a, const struct trace *b)
{
    assert(a->is_broken == b->is_broken);
    assert(a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace traces[3] = {{.len = 0}, {.len = 0}, {.len = 0}};
    unsigned seed = size > 0 ? 2u + data[size - 1] : 2u;
    /* Without a greeting of its own it gets one, or few inputs would come beyond it. */
    unsigned char *bytes = malloc(ZMTP_GREETING_BYTES + size + 1);
    assert(bytes != NULL);
    size_t len = size > 0 && data[0] == 0xff ? 0 : zmtp_put_greeting(bytes);
    if (size > 0)
        memcpy(bytes + len, data, size);
    len += size;
    read_all(&traces[0], (const char *)bytes, len, 0);
    read_all(&traces[1], (const char *)bytes, len, 1);
    read_all(&traces[2], (const char *)bytes, len, seed);
    expect_same(&traces[0], &traces[1]);
    expect_same(&traces[0], &traces[2]);
    if (size > 0)
        look_at_command((struct text){(const char *)data, size});
    for (size_t i = 0; i < 3; i++)
        free(traces[i].bytes);
    free(bytes);
    return 0;
}
