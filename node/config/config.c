#include "node/config/config.h"

#include "node/config/setting.h"
#include "node/config/zpl.h"
#include "node/log.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>

#define LINE_SIZE 2048 /* of a message; a longer one is cut */
#define PATH_SIZE 256  /* of section/key in a message */

/* Options are known by a setting's index, or one of these. */
enum option_id {
    OPTION_CONFIG = SETTING_COUNT,
    OPTION_CHECK,
    OPTION_PRINT,
    OPTION_VERIFY,
    OPTION_VERSION,
    OPTION_HELP,
    OPTION_COUNT
};

/* The options beside those of the settings. */
static const struct {
    enum option_id id;
    const char *name;
    const char *argument;
    const char *sentence;
} extras[] = {
    {OPTION_CONFIG, "config", "FILE", "ZPL file to read; flags win over it"},
    {OPTION_CHECK, "check-config", NULL, "Checks the configuration and exits"},
    {OPTION_PRINT, "print-config", NULL, "Prints the configuration in effect as ZPL and exits"},
    {OPTION_VERIFY, "verify", NULL, "Looks whether the store is whole, changes nothing, and exits"},
    {OPTION_VERSION, "version", NULL, "Prints the version and exits"},
    {OPTION_HELP, "help", NULL, "Prints this and exits"},
};

#define EXTRA_COUNT (sizeof(extras) / sizeof(extras[0]))

/* getopt_long returns an id with this added, so that it differs from any character. */
#define GETOPT_BASE 256

/* A command line whose words make sense; its values are not looked at yet. */
struct command_line {
    int argc;
    char **argv;
    struct option options[SETTING_COUNT + EXTRA_COUNT + 1];
    const char *file; /* NULL: none */
    bool is_asked_for[OPTION_COUNT];
};

/* A configuration in the making, and where its values come from, for messages. */
struct draft {
    struct config config;
    FILE *err;
    const char *file;
    unsigned lines[SETTING_COUNT];   /* of the file where it was set last; 0: not there */
    bool has_flag[SETTING_COUNT];    /* set by a flag */
    bool has_section[SETTING_COUNT]; /* by the index of its first setting */
};

static bool fail(FILE *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Always false, for a caller to return. */
static bool fail(FILE *err, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    log_clean(line);
    fprintf(err, "allocd: %s\n", line);
    return false;
}

/* ---- the file ------------------------------------------------------------------------- */

static bool fail_at(const struct draft *draft, const struct zpl_item *item, const char *why)
{
    return fail(draft->err, "%s:%u: %s%s%.200s: %s", draft->file, item->line,
                item->section ? item->section : "", item->section ? "/" : "", item->name, why);
}

static bool fail_unknown(const struct draft *draft, const struct zpl_item *item)
{
    char path[PATH_SIZE];
    char why[PATH_SIZE];
    snprintf(path, sizeof(path), "%s%s%s", item->section ? item->section : "",
             item->section ? "/" : "", item->name);
    snprintf(why, sizeof(why), "unknown key; the nearest known one is %s",
             setting_nearest(path, item->name));
    return fail_at(draft, item, why);
}

static size_t first_of_section(const char *section)
{
    size_t i = 0;
    while (strcmp(settings[i].section, section) != 0)
        i++;
    return i;
}

static bool take_section(struct draft *draft, const struct zpl_item *item)
{
    if (!setting_has_section(item->name))
        return fail_unknown(draft, item);
    if (item->value[0] != '\0')
        return fail_at(draft, item, "this is a section and has no value");
    bool *is_there = &draft->has_section[first_of_section(item->name)];
    if (*is_there)
        return fail_at(draft, item, "this section stands twice");
    *is_there = true;
    return true;
}

static bool take_setting(struct draft *draft, const struct zpl_item *item)
{
    const struct setting *setting = setting_find(item->section, item->name);
    if (!setting)
        return fail_unknown(draft, item);
    if (item->has_children || item->value[0] == '\0')
        return fail_at(draft, item, "this needs a value");
    size_t index = (size_t)(setting - settings);
    if (draft->lines[index] != 0 && setting->kind != SETTING_UPSTREAM)
        return fail_at(draft, item, "this key stands twice");
    draft->lines[index] = item->line;
    char rule[SETTING_RULE_SIZE];
    char why[512];
    if (setting_set(setting, &draft->config, item->value, rule))
        return true;
    snprintf(why, sizeof(why), "\"%.200s\": %s", item->value, rule);
    return fail_at(draft, item, why);
}

static bool take_item(void *context, const struct zpl_item *item)
{
    return item->section ? take_setting(context, item) : take_section(context, item);
}

static bool apply_file(struct draft *draft)
{
    char why[256];
    if (!draft->file)
        return true;
    struct zpl *zpl = zpl_load(draft->file, why, sizeof(why));
    if (!zpl)
        return fail(draft->err, "%s: %s", draft->file, why);
    bool is_fine = zpl_walk(zpl, take_item, draft);
    zpl_destroy(&zpl);
    return is_fine;
}

/* ---- the command line ----------------------------------------------------------------- */

static void command_line_init(struct command_line *line, int argc, char **argv)
{
    *line = (struct command_line){.argc = argc, .argv = argv};
    struct option *next = line->options;
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (!settings[i].flag)
            continue;
        bool has_value = setting_argument(&settings[i]) != NULL;
        *next++ = (struct option){settings[i].flag, has_value, NULL, GETOPT_BASE + i};
    }
    for (size_t i = 0; i < EXTRA_COUNT; i++) {
        bool has_value = extras[i].argument != NULL;
        *next++ = (struct option){extras[i].name, has_value, NULL, GETOPT_BASE + (int)extras[i].id};
    }
}

/* The next option, its value in optarg; -1 at the end. optind = 0 starts anew. */
static int next_option(const struct command_line *line)
{
    opterr = 0;
    return getopt_long(line->argc, line->argv, ":", line->options, NULL);
}

/* getopt_long leaves in optopt a short option, or what a long one returns that was given a value
 * in vain, or 0 for a long one that it does not know. */
static bool fail_option(const struct command_line *line, int result, FILE *err)
{
    const char *word = line->argv[optind - 1];
    if (result == ':')
        return fail(err, "%s needs a value; see --help", word);
    if (optopt >= GETOPT_BASE)
        return fail(err, "%s: this option takes no value; see --help", word);
    if (optopt != 0)
        return fail(err, "unknown option -%c; see --help", optopt);
    return fail(err, "unknown or ambiguous option %s; see --help", word);
}

static bool read_options(struct command_line *line, FILE *err)
{
    int result;
    optind = 0;
    while ((result = next_option(line)) >= GETOPT_BASE) {
        line->is_asked_for[result - GETOPT_BASE] = true;
        if (result == GETOPT_BASE + OPTION_CONFIG)
            line->file = optarg;
    }
    if (result != -1)
        return fail_option(line, result, err);
    if (optind < line->argc)
        return fail(err, "unexpected argument %s; see --help", line->argv[optind]);
    return true;
}

/* Requires: read_options was content. */
static bool apply_flags(const struct command_line *line, struct draft *draft)
{
    int result;
    char rule[SETTING_RULE_SIZE];
    optind = 0;
    while ((result = next_option(line)) != -1) {
        int option = result - GETOPT_BASE;
        if (option >= SETTING_COUNT)
            continue;
        const struct setting *setting = &settings[option];
        if (setting->kind == SETTING_UPSTREAM && !draft->has_flag[option])
            draft->config.upstream.count = 0;
        draft->has_flag[option] = true;
        const char *value = optarg ? optarg : "true";
        if (!setting_set(setting, &draft->config, value, rule))
            return fail(draft->err, "--%s \"%s\": %s", setting->flag, value, rule);
    }
    return true;
}

/* ---- what settings ask of each other -------------------------------------------------- */

static bool fail_setting(const struct draft *draft, enum setting_id id, const char *value,
                         const char *why)
{
    const struct setting *setting = &settings[id];
    if (draft->has_flag[id])
        return fail(draft->err, "--%s \"%s\": %s", setting->flag, value, why);
    return fail(draft->err, "%s:%u: %s: \"%s\": %s", draft->file, draft->lines[id], setting->path,
                value, why);
}

static bool check_exposure(const struct draft *draft, enum setting_id id, const char *endpoint,
                           enum endpoint_use use)
{
    if (draft->config.insecure_bind || endpoint_is_local(endpoint, use))
        return true;
    return fail_setting(draft, id, endpoint,
                        "neither loopback nor ipc, which only --insecure-bind allows");
}

static bool check_draft(const struct draft *draft)
{
    const struct config *config = &draft->config;
    if (!check_exposure(draft, SETTING_ID_server_commands, config->commands, ENDPOINT_BIND) ||
        !check_exposure(draft, SETTING_ID_server_events, config->events, ENDPOINT_BIND))
        return false;
    for (size_t i = 0; i < config->upstream.count; i++)
        if (!check_exposure(draft, SETTING_ID_server_upstream, config->upstream.items[i],
                            ENDPOINT_CONNECT))
            return false;
    if (endpoint_collides(config->commands, config->events))
        return fail(draft->err, "commands and events have the same endpoint %s", config->events);
    return true;
}

/* ---- all of it ------------------------------------------------------------------------ */

static void print_help_line(FILE *out, const char *name, const char *argument, const char *sentence)
{
    char option[64];
    snprintf(option, sizeof(option), "--%s%s%s", name, argument ? " " : "",
             argument ? argument : "");
    fprintf(out, "  %-34s %s", option, sentence);
}

static void print_help(FILE *out)
{
    fprintf(out, "Usage: allocd [OPTION]...\n"
                 "Allocates order lines to batches of stock, for clients that speak ZeroMQ.\n\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        const char *argument = setting_argument(setting);
        if (!setting->flag)
            continue;
        print_help_line(out, setting->flag, argument, setting->sentence);
        if (argument && setting->initial[0] != '\0')
            fprintf(out, " (default %s)", setting->initial);
        fprintf(out, "\n");
    }
    for (size_t i = 0; i < EXTRA_COUNT; i++) {
        print_help_line(out, extras[i].name, extras[i].argument, extras[i].sentence);
        fprintf(out, "\n");
    }
    fprintf(out, "\nMore settings can stand in a file: see --print-config.\n"
                 "Exit status: 0 done or stopped, 1 it cannot start or the store is not whole, "
                 "2 bad\narguments or configuration.\n");
}

static void draft_init(struct draft *draft, const char *file, FILE *err)
{
    char rule[SETTING_RULE_SIZE];
    *draft = (struct draft){.file = file, .err = err};
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        bool is_set = settings[i].kind == SETTING_UPSTREAM ||
                      setting_set(&settings[i], &draft->config, settings[i].initial, rule);
        assert(is_set);
    }
}

/* The answer that was asked for in place of a run; false: none. */
static bool answer(const struct command_line *line, const struct config *config, FILE *out)
{
    if (line->is_asked_for[OPTION_HELP])
        print_help(out);
    else if (line->is_asked_for[OPTION_VERSION])
        fprintf(out, "allocd " ALLOCD_VERSION "\n");
    else if (line->is_asked_for[OPTION_PRINT])
        settings_print(config, out);
    else if (line->is_asked_for[OPTION_CHECK])
        fprintf(out, "configuration is valid\n");
    else
        return false;
    return true;
}

enum config_verdict config_from_arguments(int argc, char **argv, struct config *config, FILE *out,
                                          FILE *err)
{
    struct command_line line;
    struct draft draft;
    command_line_init(&line, argc, argv);
    if (!read_options(&line, err))
        return CONFIG_WRONG;
    draft_init(&draft, line.file, err);
    bool needs_check = !line.is_asked_for[OPTION_HELP] && !line.is_asked_for[OPTION_VERSION];
    if (needs_check && !(apply_file(&draft) && apply_flags(&line, &draft) && check_draft(&draft)))
        return CONFIG_WRONG;
    if (!answer(&line, &draft.config, out)) {
        *config = draft.config;
        return line.is_asked_for[OPTION_VERIFY] ? CONFIG_VERIFY : CONFIG_RUN;
    }
    if (fflush(out) != 0) {
        fail(err, "cannot write to the standard output");
        return CONFIG_WRONG;
    }
    return CONFIG_DONE;
}
