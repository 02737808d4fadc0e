/* Prints the tables of docs/PROTOCOL.md from the rows that the node is grown from. */
#include "domain/messages/message.h"
#include "domain/messages/outcome.h"

#include <ctype.h>
#include <stdio.h>

static void print_lower(const char *name)
{
    for (; *name != '\0'; name++)
        putchar(tolower((unsigned char)*name));
}

static void print_kinds(void)
{
    printf("### Kinds of fields\n\n| kind | rule |\n|---|---|\n");
    for (enum field_kind kind = 0; kind < FIELD_KINDS; kind++) {
        printf("| `");
        print_lower(field_kind_name(kind));
        printf("` | %s |\n", field_kind_rule(kind));
    }
}

static const char *presence_text(enum message_class class, enum field_presence presence)
{
    switch (presence) {
    case PRESENCE_REQUIRED:
        return class == CLASS_EVENT ? "always" : "required";
    case PRESENCE_NULLABLE:
        return class == CLASS_EVENT ? "always, may be nil" : "required, may be nil";
    case PRESENCE_OPTIONAL:
        break;
    }
    return "optional";
}

static void print_message(const struct message_info *info)
{
    if (info->field_count == 0)
        printf("| `%s` | none | | |\n", info->name);
    for (size_t i = 0; i < info->field_count; i++) {
        const struct field *field = &info->fields[i];
        printf("| `%s` | `%s` | `", info->name, field->name);
        print_lower(field_kind_name(field->kind));
        printf("` | %s |\n", presence_text(info->class, field->presence));
    }
}

/* Internal events never leave the bus, so that no class asks for them. */
static void print_messages(const char *title, enum message_class class)
{
    printf("\n### %s\n\n| type | field | kind | presence |\n|---|---|---|---|\n", title);
    for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++)
        if (message_info(type)->class == class)
            print_message(message_info(type));
}

/* A sentence that ends in a space goes on with what the refusal is about. */
static void print_errors(void)
{
    printf("\n### Errors\n\n| code | retryable | remembered | message |\n|---|---|---|---|\n");
    for (enum outcome outcome = OUTCOME_DONE + 1; outcome < OUTCOMES; outcome++) {
        const struct outcome_info *info = outcome_info(outcome);
        size_t len = strlen(info->sentence);
        const char *more = len > 0 && info->sentence[len - 1] == ' ' ? "..." : "";
        printf("| `%s` | %s | %s | %s%s |\n", info->code, info->retryable ? "yes" : "no",
               info->remembered ? "yes" : "no", info->sentence, more);
    }
}

static void print_stats(void)
{
    printf("\n### Keys of GetStats\n\n| key | what it tells |\n|---|---|\n");
#define STAT(name, what) printf("| `%s` | %s |\n", #name, what);
#include "domain/messages/stats.def"
}

int main(void)
{
    print_kinds();
    print_messages("Commands", CLASS_COMMAND);
    print_messages("Queries", CLASS_QUERY);
    print_messages("Events", CLASS_EVENT);
    print_errors();
    print_stats();
    return ferror(stdout) != 0 || fflush(stdout) != 0;
}
