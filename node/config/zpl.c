#include "node/config/zpl.h"

#include "domain/base/text.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX ((size_t)64 * 1024)
#define INDENT 4
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$-_@.&+"

struct zpl {
    char *content;
    zconfig_t *root;
};

/* ---- lines ---------------------------------------------------------------------------- */

/* Takes the next line, without blanks at its end, off the rest of a file. */
static bool next_line(struct text *rest, struct text *line)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *line = (struct text){rest->data, len};
    rest->data += len + (end ? 1 : 0);
    rest->len -= len + (end ? 1 : 0);
    while (line->len > 0 && isspace((unsigned char)line->data[line->len - 1]))
        line->len--;
    return true;
}

static void skip(struct text *t, size_t count)
{
    t->data += count;
    t->len -= count;
}

/* How many of the first bytes are among `set`. */
static size_t span(struct text t, const char *set)
{
    size_t count = 0;
    while (count < t.len && t.data[count] != '\0' && strchr(set, t.data[count]))
        count++;
    return count;
}

/* True at the end of a line and at a comment. */
static bool is_over(struct text t)
{
    return t.len == 0 || t.data[0] == '#';
}

static bool is_blank(struct text line)
{
    skip(&line, span(line, " \t"));
    return is_over(line);
}

/* ---- what zconfig would refuse without a reason, or take in silence ------------------- */

static const char *value_fault(struct text value)
{
    if (is_over(value)) /* zconfig would take the comment for the value */
        return "there is no value after the =";
    if (value.data[0] == '"' || value.data[0] == '\'') {
        const char *close = memchr(value.data + 1, value.data[0], value.len - 1);
        if (!close)
            return "the closing quote is missing";
        skip(&value, (size_t)(close - value.data) + 1);
        skip(&value, span(value, " \t"));
        return is_over(value) ? NULL : "there is something after the closing quote";
    }
    const char *hash = memchr(value.data, '#', value.len);
    if (hash && hash[-1] != ' ' && hash[-1] != '\t')
        return "a value that holds a # must stand in quotes";
    return NULL;
}

/* `deepest`: how many levels the line may be indented; then, how many the next one may be. */
static const char *line_fault(struct text line, size_t *deepest)
{
    if (is_blank(line))
        return NULL;
    size_t indent = span(line, " ");
    skip(&line, indent);
    if (line.data[0] == '\t')
        return "indent with spaces, not with tabs";
    if (indent % INDENT != 0 || indent / INDENT > *deepest)
        return "indent by 4 spaces below a section";
    *deepest = indent / INDENT + 1;
    size_t name = span(line, NAME_CHARACTERS);
    if (name == 0)
        return "a line must start with a name";
    skip(&line, name);
    if (!is_over(line) && line.data[0] == '/')
        return "write the name of a section on a line of its own, not before a /";
    skip(&line, span(line, " \t"));
    if (is_over(line))
        return NULL;
    if (line.data[0] != '=')
        return "after a name there must be a = or nothing";
    skip(&line, 1);
    skip(&line, span(line, " \t"));
    return value_fault(line);
}

static bool check_lines(struct text rest, char *why, size_t size)
{
    struct text line;
    size_t deepest = 0;
    for (unsigned number = 1; next_line(&rest, &line); number++) {
        const char *fault = line_fault(line, &deepest);
        if (fault) {
            snprintf(why, size, "line %u: %s", number, fault);
            return false;
        }
    }
    return true;
}

/* ---- loading -------------------------------------------------------------------------- */

/* zconfig_load takes a directory, a pipe and a file that it may not read for an empty one. */
static char *read_file(const char *file, char *why, size_t size)
{
    FILE *stream = fopen(file, "re");
    if (!stream) {
        snprintf(why, size, "cannot open it: %s", strerror(errno));
        return NULL;
    }
    char *content = malloc(FILE_MAX + 1);
    size_t len = content ? fread(content, 1, FILE_MAX + 1, stream) : 0;
    const char *fault = NULL;
    if (!content || ferror(stream))
        fault = strerror(errno);
    else if (len > FILE_MAX)
        fault = "it has more than 64 KiB";
    else if (memchr(content, '\0', len))
        fault = "it holds a NUL byte";
    fclose(stream);
    if (content && !fault) {
        content[len] = '\0';
        return content;
    }
    snprintf(why, size, "cannot read it: %s", fault);
    free(content);
    return NULL;
}

struct zpl *zpl_load(const char *file, char *why, size_t size)
{
    struct zpl *zpl = calloc(1, sizeof(*zpl));
    if (!zpl) {
        snprintf(why, size, "no memory");
        return NULL;
    }
    zpl->content = read_file(file, why, size);
    if (zpl->content && check_lines(text_of(zpl->content), why, size)) {
        zpl->root = zconfig_str_load(zpl->content);
        if (zpl->root)
            return zpl;
        snprintf(why, size, "zconfig cannot parse it");
    }
    zpl_destroy(&zpl);
    return NULL;
}

void zpl_destroy(struct zpl **zpl)
{
    if (!*zpl)
        return;
    zconfig_destroy(&(*zpl)->root);
    free((*zpl)->content);
    free(*zpl);
    *zpl = NULL;
}

/* ---- walking -------------------------------------------------------------------------- */

/* zconfig keeps no line numbers. But its entries come in the order of the lines that are not
 * blank, so a walk can count along. */
struct walk {
    struct text rest;
    unsigned line;
    zpl_visit visit;
    void *context;
};

static bool visit_item(struct walk *walk, zconfig_t *section, zconfig_t *item)
{
    struct text line = text_of("");
    while (is_blank(line) && next_line(&walk->rest, &line))
        walk->line++;
    struct zpl_item seen = {
        .section = section ? zconfig_name(section) : NULL,
        .name = zconfig_name(item),
        .value = zconfig_value(item),
        .has_children = zconfig_child(item) != NULL,
        .line = walk->line,
    };
    return walk->visit(walk->context, &seen);
}

bool zpl_walk(const struct zpl *zpl, zpl_visit visit, void *context)
{
    struct walk walk = {text_of(zpl->content), 0, visit, context};
    for (zconfig_t *top = zconfig_child(zpl->root); top; top = zconfig_next(top)) {
        if (!visit_item(&walk, NULL, top))
            return false;
        for (zconfig_t *item = zconfig_child(top); item; item = zconfig_next(item))
            if (!visit_item(&walk, top, item))
                return false;
    }
    return true;
}
