/* Properties of the tables of messages and outcomes. What stands in their rows is tested where it
 * shows: on the wire. */
#include "domain/messages/message.h"
#include "domain/messages/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void the_protocol_has_these_messages(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum message_class class;
        const char *fields; /* with a space after each; ? optional, - may be nil */
    } messages[] = {
        {"CreateBatch", CLASS_COMMAND, "ref sku qty eta? "},
        {"Allocate", CLASS_COMMAND, "orderid sku qty "},
        {"ChangeBatchQuantity", CLASS_COMMAND, "ref qty "},
        {"ChangeBatchEta", CLASS_COMMAND, "ref eta- "},
        {"Deallocate", CLASS_COMMAND, "orderid sku "},
        {"GetAllocations", CLASS_QUERY, "orderid after? limit? "},
        {"GetStock", CLASS_QUERY, "sku "},
        {"ListBatches", CLASS_QUERY, "sku after? limit? "},
        {"GetBatch", CLASS_QUERY, "ref "},
        {"ListProducts", CLASS_QUERY, "after? limit? "},
        {"GetEvents", CLASS_QUERY, "after? limit? types? sku? "},
        {"GetStats", CLASS_QUERY, ""},
        {"Ping", CLASS_QUERY, ""},
        {"BatchCreated", CLASS_EVENT, "ref qty eta- "},
        {"BatchQuantityChanged", CLASS_EVENT, "ref qty "},
        {"BatchEtaChanged", CLASS_EVENT, "ref eta- "},
        {"Allocated", CLASS_EVENT, "orderid qty batchref "},
        {"Deallocated", CLASS_EVENT, "orderid qty batchref- "},
        {"OutOfStock", CLASS_EVENT, "orderid qty waiting "},
        {"AllocationRequired", CLASS_INTERNAL, "orderid qty "},
        {"StockGrew", CLASS_INTERNAL, ""},
    };
    static const char *const marks[] = {
        [PRESENCE_REQUIRED] = " ", [PRESENCE_OPTIONAL] = "? ", [PRESENCE_NULLABLE] = "- "};
    assert_int_equal(MESSAGE_TYPES - 1, COUNT(messages));
    for (size_t i = 0; i < COUNT(messages); i++) {
        enum message_type type = message_type_named(text_of(messages[i].name));
        assert_int_not_equal(type, MESSAGE_NONE);
        const struct message_info *info = message_info(type);
        char fields[200] = "";
        size_t len = 0;
        for (size_t k = 0; k < info->field_count; k++)
            len += (size_t)snprintf(fields + len, sizeof fields - len, "%s%s", info->fields[k].name,
                                    marks[info->fields[k].presence]);
        assert_string_equal(info->name, messages[i].name);
        assert_int_equal(info->class, messages[i].class);
        assert_string_equal(fields, messages[i].fields);
    }
}

static void every_type_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++) {
        const struct message_info *info = message_info(type);
        assert_int_equal(message_type_named(text_of(info->name)), type);
        assert_true(text_is_name(text_of(info->name), 20)); /* a topic has room for it */
        assert_int_equal(message_is_command(type), info->class == CLASS_COMMAND);
        assert_int_equal(message_is_event(type), info->class == CLASS_EVENT);
    }
    assert_false(message_is_command(MESSAGE_NONE));
    assert_false(message_is_event(MESSAGE_NONE));
}

static void other_names_are_of_no_type(void **state)
{
    (void)state;
    static const char *const names[] = {"",           "allocate",     "Allocate ", "Allocat",
                                        "Allocated ", "CREATE_BATCH", "Heartbeat", "Welcome"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(message_type_named(text_of(names[i])), MESSAGE_NONE);
    assert_int_equal(message_type_named(text_none()), MESSAGE_NONE);
    assert_int_equal(message_type_named((struct text){"Ping\0", 5}), MESSAGE_NONE);
}

static size_t size_of_kind(enum field_kind kind)
{
    static const size_t sizes[] = {
#define KIND(name, type, rule) sizeof(type),
#include "domain/messages/kinds.def"
    };
    return sizes[kind];
}

static void fields_have_names_of_their_own_and_do_not_overlap(void **state)
{
    (void)state;
    for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++) {
        const struct message_info *info = message_info(type);
        assert_true(info->field_count <= MESSAGE_FIELDS_MAX);
        for (size_t i = 0; i < info->field_count; i++) {
            const struct field *field = &info->fields[i];
            assert_true(field->kind < FIELD_KINDS);
            assert_string_not_equal(field->name, "type"); /* these belong to every request */
            assert_string_not_equal(field->name, "id");
            for (size_t k = 0; k < i; k++) {
                const struct field *other = &info->fields[k];
                assert_string_not_equal(field->name, other->name);
                assert_true(other->offset + size_of_kind(other->kind) <= field->offset);
            }
        }
    }
}

static void kinds_have_rules(void **state)
{
    (void)state;
    for (enum field_kind kind = 0; kind < FIELD_KINDS; kind++) {
        assert_true(strlen(field_kind_name(kind)) > 0);
        const char *rule = field_kind_rule(kind);
        assert_true(strlen(rule) > 0 && rule[strlen(rule) - 1] != '.');
    }
}

static void texts_of_a_request_by_the_names_of_its_fields(void **state)
{
    (void)state;
    struct request allocate = {.type = MESSAGE_ALLOCATE};
    allocate.as.allocate.orderid = text_of("o1");
    allocate.as.allocate.sku = text_of("RED");
    assert_true(text_equal(request_text(&allocate, "orderid"), text_of("o1")));
    assert_true(text_equal(request_text(&allocate, "sku"), text_of("RED")));
    assert_true(text_is_none(request_text(&allocate, "qty"))); /* is no text */
    assert_true(text_is_none(request_text(&allocate, "ref"))); /* is not there */
    struct request ping = {.type = MESSAGE_PING};
    assert_true(text_is_none(request_text(&ping, "sku")));
}

static void types_are_bits(void **state)
{
    (void)state;
    field_TYPES all = 0;
    for (enum message_type type = MESSAGE_NONE + 1; type < MESSAGE_TYPES; type++) {
        assert_int_not_equal(type_bit(type), 0);
        assert_int_equal(all & type_bit(type), 0);
        all |= type_bit(type);
    }
}

/* The table of errors of the protocol, in its order. */
static void the_protocol_has_these_outcomes(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        bool retryable;
        bool remembered;
    } outcomes[] = {
        {"ok", false, true},
        {"too_large", false, false},
        {"malformed", false, false},
        {"unknown_type", false, false},
        {"unknown_field", false, false},
        {"missing_field", false, false},
        {"invalid_field", false, false},
        {"invalid_sku", false, true},
        {"unknown_batch", false, true},
        {"unknown_line", false, true},
        {"unknown_order", false, false}, /* a query says it */
        {"batch_conflict", false, true},
        {"line_conflict", false, true},
        {"out_of_stock", true, true},
        {"id_reused", false, false},
        {"storage_full", true, false},
        {"storage_failed", true, false},
    };
    assert_int_equal(OUTCOMES, COUNT(outcomes));
    for (enum outcome outcome = 0; outcome < OUTCOMES; outcome++) {
        const struct outcome_info *info = outcome_info(outcome);
        assert_string_equal(info->code, outcomes[outcome].code);
        assert_int_equal(info->retryable, outcomes[outcome].retryable);
        assert_int_equal(info->remembered, outcomes[outcome].remembered);
        assert_true(strlen(info->sentence) > 0);
    }
    assert_string_equal(outcome_info(OUTCOME_INVALID_SKU)->sentence, "Invalid sku ");
    assert_string_equal(outcome_info(OUTCOME_OUT_OF_STOCK)->sentence, "Out of stock for sku ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_protocol_has_these_messages),
        cmocka_unit_test(every_type_has_a_name_of_its_own),
        cmocka_unit_test(other_names_are_of_no_type),
        cmocka_unit_test(fields_have_names_of_their_own_and_do_not_overlap),
        cmocka_unit_test(kinds_have_rules),
        cmocka_unit_test(texts_of_a_request_by_the_names_of_its_fields),
        cmocka_unit_test(types_are_bits),
        cmocka_unit_test(the_protocol_has_these_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
