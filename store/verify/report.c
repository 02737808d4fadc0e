#include "store/verify/inside.h"

#include <stdarg.h>

#define FINDINGS_PRINTED 20u /* of each check */

struct verify_check *verify_turn_to(struct verify *v, struct verify_check *check)
{
    struct verify_check *before = v->check;
    v->check = check;
    return before;
}

void verify_end(struct verify *v, const char *format, ...)
{
    if (v->check->findings > FINDINGS_PRINTED)
        fprintf(v->out, "%s: and %" PRIu64 " more\n", v->check->name,
                v->check->findings - FINDINGS_PRINTED);
    fprintf(v->out, "%s: ", v->check->name);
    va_list args;
    va_start(args, format);
    vfprintf(v->out, format, args);
    va_end(args);
    if (v->check->findings == 0)
        fprintf(v->out, ": ok\n");
    else
        fprintf(v->out, ": %" PRIu64 " finding%s\n", v->check->findings,
                v->check->findings == 1 ? "" : "s");
}

void verify_finding(struct verify *v, const char *format, ...)
{
    v->findings++;
    if (v->check->findings++ >= FINDINGS_PRINTED)
        return;
    fprintf(v->out, "%s: ", v->check->name);
    va_list args;
    va_start(args, format);
    vfprintf(v->out, format, args);
    va_end(args);
    fputc('\n', v->out);
}

/* The pieces of a key are joined by a NUL, which becomes a slash. Bytes of a number in one, and
 * those that a terminal would obey or cannot show, become hex. */
struct verify_name verify_name(struct text text)
{
    static const char digits[] = "0123456789abcdef";
    struct verify_name name;
    size_t len = 0;
    for (size_t i = 0; i < text.len && len + 4 < sizeof name.text;) {
        unsigned char c = (unsigned char)text.data[i];
        size_t bytes = text_printable(text.data + i, text.len - i);
        if (bytes > 0) {
            memcpy(name.text + len, text.data + i, bytes);
            len += bytes;
        } else if (c == 0) {
            name.text[len++] = '/';
        } else {
            name.text[len++] = '%';
            name.text[len++] = digits[c >> 4];
            name.text[len++] = digits[c & 15];
        }
        i += bytes > 0 ? bytes : 1;
    }
    name.text[len] = '\0';
    return name;
}
