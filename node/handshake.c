#include "node/handshake.h"

#define GREETING_BYTES 64u
#define SIGNATURE_FIRST 0xffu /* at 0 */
#define SIGNATURE_LAST_AT 9u  /* an odd byte; ZMTP 1.0 has an even one */
#define VERSION_AT 10u
#define VERSION_MIN 3u
#define LARGE 2u /* flag of a frame whose length has 8 bytes, not 1 */
#define LARGE_LENGTH_BYTES 8u

static const char name[] = "\x08Identity"; /* as it stands in a property, its length first */
#define NAME_BYTES (sizeof name - 1)

static bool is_good_greeting(unsigned at, unsigned char byte)
{
    if (at == 0)
        return byte == SIGNATURE_FIRST;
    if (at == SIGNATURE_LAST_AT)
        return (byte & 1u) != 0;
    return at != VERSION_AT || byte >= VERSION_MIN;
}

/* Flags and length of the frame that follows the greeting. */
static void pass_length(struct handshake *h, unsigned char byte)
{
    unsigned at = h->seen++ - GREETING_BYTES;
    if (at == 0) {
        if ((byte & LARGE) == 0)
            h->seen += LARGE_LENGTH_BYTES - 1; /* as if they had come: zeros */
        return;
    }
    h->left = h->left << 8 | byte;
    h->is_over = at == LARGE_LENGTH_BYTES && h->left == 0;
}

/* The first byte of the name is found nowhere else in it: so a search need not go back. */
static void pass_content(struct handshake *h, unsigned char *byte)
{
    if (*byte != (unsigned char)name[h->matched])
        h->matched = 0;
    if (*byte == (unsigned char)name[h->matched] && ++h->matched == NAME_BYTES) {
        *byte = '-';
        h->matched = 0;
    }
    h->is_over = --h->left == 0;
}

bool handshake_pass(struct handshake *h, unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len && !h->is_over; i++) {
        if (h->seen == GREETING_BYTES + 1 + LARGE_LENGTH_BYTES)
            pass_content(h, &bytes[i]);
        else if (h->seen >= GREETING_BYTES)
            pass_length(h, bytes[i]);
        else if (!is_good_greeting(h->seen++, bytes[i]))
            return false;
    }
    return true;
}
