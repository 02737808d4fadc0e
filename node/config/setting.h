/* The settings of node/config/settings.def: their text form, both ways. */
#ifndef NODE_CONFIG_SETTING_H
#define NODE_CONFIG_SETTING_H

#include "node/config/config.h"

enum setting_kind {
    SETTING_BIND,
    SETTING_UPSTREAM, /* repeatable: every value is added to the list */
    SETTING_FLAG,
    SETTING_DIRECTORY,
    SETTING_NUMBER,
    SETTING_LEVEL
};

struct setting {
    const char *section;
    const char *key;
    const char *path; /* section/key */
    const char *flag; /* without the dashes; NULL: it has none */
    enum setting_kind kind;
    size_t offset; /* in struct config */
    const char *initial;
    int min; /* of a NUMBER */
    int max;
    const char *sentence;
};

enum setting_id {
#define SETTING(section, key, flag, kind, member, initial, min, max, sentence)                     \
    SETTING_ID_##section##_##key,
#include "node/config/settings.def"
    SETTING_COUNT
};

#define SETTING_RULE_SIZE 128

extern const struct setting settings[SETTING_COUNT];

/* NULL: there is none. */
const struct setting *setting_find(const char *section, const char *key);

/* Whether some setting stands in it. */
bool setting_has_section(const char *section);

/* The path of the setting, or the section, that looks most like what somebody wrote. */
const char *setting_nearest(const char *path, const char *name);

/* Sets it from text. False: *config is as it was, and `rule` (of SETTING_RULE_SIZE) says what the
 * value must be. */
bool setting_set(const struct setting *setting, struct config *config, const char *value,
                 char *rule);

/* All of them, as ZPL that can be loaded again. */
void settings_print(const struct config *config, FILE *out);

/* What --help calls its value; NULL: it takes none. */
const char *setting_argument(const struct setting *setting);

#endif
