#include "node/config/setting.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

const struct setting settings[SETTING_COUNT] = {
#define SETTING(section, key, flag, kind, member, initial, min, max, sentence)                     \
    {#section,                                                                                     \
     #key,                                                                                         \
     #section "/" #key,                                                                            \
     flag,                                                                                         \
     SETTING_##kind,                                                                               \
     offsetof(struct config, member),                                                              \
     initial,                                                                                      \
     min,                                                                                          \
     max,                                                                                          \
     sentence},
#include "node/config/settings.def"
};

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

#define LEVEL_COUNT (sizeof(level_names) / sizeof(level_names[0]))

/* ---- finding -------------------------------------------------------------------------- */

const struct setting *setting_find(const char *section, const char *key)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strcmp(settings[i].section, section) == 0 && strcmp(settings[i].key, key) == 0)
            return &settings[i];
    return NULL;
}

bool setting_has_section(const char *section)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strcmp(settings[i].section, section) == 0)
            return true;
    return false;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's, by one row. Requires: `known` is shorter than 64 bytes. */
static size_t edit_distance(const char *written, const char *known)
{
    size_t row[64];
    size_t len = strlen(known);
    assert(len < 64);
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; written[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t changed = diagonal + (written[i] != known[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(changed, least(diagonal, row[j]) + 1);
        }
    }
    return row[len];
}

const char *setting_nearest(const char *path, const char *name)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        /* The right key in the wrong section is one step away. */
        size_t as_key =
            least(edit_distance(path, setting->path), edit_distance(name, setting->key) + 1);
        size_t as_section = edit_distance(path, setting->section);
        if (least(as_key, as_section) < best) {
            best = least(as_key, as_section);
            nearest = as_section < as_key ? setting->section : setting->path;
        }
    }
    return nearest;
}

/* ---- from text ------------------------------------------------------------------------ */

static bool set_endpoint(char *out, const char *value, enum endpoint_use use, char *rule)
{
    const char *fault = endpoint_fault(value, use);
    if (fault)
        snprintf(rule, SETTING_RULE_SIZE, "%s", fault);
    else
        endpoint_copy(out, value, use);
    return !fault;
}

static bool add_upstream(struct config *config, const char *value, char *rule)
{
    for (size_t i = 0; i < config->upstream.count; i++) {
        if (strcmp(config->upstream.items[i], value) == 0) {
            snprintf(rule, SETTING_RULE_SIZE, "it was named before");
            return false;
        }
    }
    if (config->upstream.count == CONFIG_UPSTREAM_MAX) {
        snprintf(rule, SETTING_RULE_SIZE, "there can be %d of them at most", CONFIG_UPSTREAM_MAX);
        return false;
    }
    char *out = config->upstream.items[config->upstream.count];
    if (!set_endpoint(out, value, ENDPOINT_CONNECT, rule))
        return false;
    config->upstream.count++;
    return true;
}

static bool set_flag(bool *out, const char *value, char *rule)
{
    bool is_true = strcmp(value, "true") == 0;
    if (!is_true && strcmp(value, "false") != 0) {
        snprintf(rule, SETTING_RULE_SIZE, "must be true or false");
        return false;
    }
    *out = is_true;
    return true;
}

static bool set_directory(char *out, const char *value, char *rule)
{
    size_t len = strlen(value);
    bool is_fine = len > 0 && len < CONFIG_DIRECTORY_SIZE;
    /* A double quote could not be written back as ZPL. */
    for (const char *c = value; *c; c++)
        is_fine = is_fine && (unsigned char)*c >= 0x20 && *c != 0x7f && *c != '"';
    if (is_fine)
        memcpy(out, value, len + 1);
    else
        snprintf(rule, SETTING_RULE_SIZE,
                 "must be 1 to %d bytes without control characters and double quotes",
                 CONFIG_DIRECTORY_SIZE - 1);
    return is_fine;
}

static bool set_number(int *out, const struct setting *setting, const char *value, char *rule)
{
    size_t len = strlen(value);
    bool is_number = len > 0 && len <= 10 && strspn(value, "0123456789") == len;
    long long number = is_number ? strtoll(value, NULL, 10) : -1;
    if (number < setting->min || number > setting->max) {
        snprintf(rule, SETTING_RULE_SIZE, "must be a whole number from %d to %d", setting->min,
                 setting->max);
        return false;
    }
    *out = (int)number;
    return true;
}

static bool set_level(enum log_level *out, const char *value, char *rule)
{
    for (size_t i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(level_names[i], value) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    snprintf(rule, SETTING_RULE_SIZE, "must be error, warn, info or debug");
    return false;
}

bool setting_set(const struct setting *setting, struct config *config, const char *value,
                 char *rule)
{
    void *member = (char *)config + setting->offset;
    switch (setting->kind) {
    case SETTING_BIND:
        return set_endpoint(member, value, ENDPOINT_BIND, rule);
    case SETTING_UPSTREAM:
        return add_upstream(config, value, rule);
    case SETTING_FLAG:
        return set_flag(member, value, rule);
    case SETTING_DIRECTORY:
        return set_directory(member, value, rule);
    case SETTING_NUMBER:
        return set_number(member, setting, value, rule);
    case SETTING_LEVEL:
        return set_level(member, value, rule);
    }
    abort();
}

/* ---- to text -------------------------------------------------------------------------- */

static void print_comment(const struct setting *setting, FILE *out)
{
    fprintf(out, "    # %s", setting->sentence);
    if (setting->kind == SETTING_NUMBER)
        fprintf(out, " (%d to %d)", setting->min, setting->max);
    fprintf(out, "\n");
}

static void print_values(const struct setting *setting, const struct config *config, FILE *out)
{
    const void *member = (const char *)config + setting->offset;
    switch (setting->kind) {
    case SETTING_BIND:
    case SETTING_DIRECTORY:
        fprintf(out, "    %s = \"%s\"\n", setting->key, (const char *)member);
        break;
    case SETTING_UPSTREAM:
        for (size_t i = 0; i < config->upstream.count; i++)
            fprintf(out, "    %s = \"%s\"\n", setting->key, config->upstream.items[i]);
        break;
    case SETTING_FLAG:
        fprintf(out, "    %s = %s\n", setting->key, *(const bool *)member ? "true" : "false");
        break;
    case SETTING_NUMBER:
        fprintf(out, "    %s = %d\n", setting->key, *(const int *)member);
        break;
    case SETTING_LEVEL:
        fprintf(out, "    %s = %s\n", setting->key, level_names[*(const enum log_level *)member]);
        break;
    }
}

void settings_print(const struct config *config, FILE *out)
{
    const char *section = "";
    fprintf(out, "# Configuration of allocd. Flags win over this file, the file over defaults.\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(settings[i].section, section) != 0)
            fprintf(out, "\n%s\n", settings[i].section);
        section = settings[i].section;
        print_comment(&settings[i], out);
        print_values(&settings[i], config, out);
    }
}

const char *setting_argument(const struct setting *setting)
{
    switch (setting->kind) {
    case SETTING_BIND:
    case SETTING_UPSTREAM:
        return "ENDPOINT";
    case SETTING_FLAG:
        return NULL;
    case SETTING_DIRECTORY:
        return "DIR";
    case SETTING_NUMBER:
        return "NUMBER";
    case SETTING_LEVEL:
        return "error|warn|info|debug";
    }
    abort();
}
