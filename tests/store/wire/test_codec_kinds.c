/* The values that a field of each kind takes, and those that it refuses. */
#include "tests/support/bodies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define FOUR "'Allocated','Allocated','Allocated','Allocated'"

static const struct {
    const char *body; /* with %s where the value goes */
    const char *field;
    const char *good[12];
    const char *bad[24];
} kinds[] = {
    {"{'type':'GetStock','sku':%s}",
     "sku",
     {"'s'", "'s'*64", "'\xc3\xa9'*32", "'\xf4\x8f\xbf\xbf'", "'\xed\x9f\xbf'", "' / %'",
      "'\xc2\xa0'", "<d90173>", "<db0000000173>"},
     {"''",
      "'s'*65",
      "'\xc3\xa9'*33",
      "1",
      "nil",
      "true",
      "1.5",
      "['s']",
      "[]",
      "{}",
      "{'a':1}",
      "<c40173>",
      "<d40173>",
      "<a100>",
      "'a\x1f'",
      "'\x7f'",
      "'\xc2\x80'",
      "'\xc2\x9f'",
      "'\xed\xa0\x80'",
      "'\xc0\xaf'",
      "'\xff'",
      "'\xf4\x90\x80\x80'",
      "'a\xc3'"}},
    {"{'type':'GetBatch','ref':%s}",
     "ref",
     {"'r'", "'r'*255", "'\xe2\x82\xac'*85"},
     {"''", "'r'*256", "'\xe2\x82\xac'*86", "1", "nil", "['r']", "<c40172>", "'a\tb'", "'\xc2\x85'",
      "'\xe2\x82'", "'\x80'"}},
    {"{'type':'Ping','id':%s}",
     "id",
     {"'i'*320", "'\xf0\x9f\x98\x80'*80", "nil"},
     {"'\xf0\x9f\x98\x80'*81", "{'i':1}", "false", "<c70001>", "'\x7f'", "'\xc2\x9f'",
      "'\xe0\x80\x80'"}},
    {"{'type':'Allocate','orderid':'o','sku':'s','qty':%s}",
     "qty",
     {"1", "127", "<cc80>", "<cd0001>", "<ce3b9aca00>", "<cf000000003b9aca00>", "<d001>",
      "<d10001>", "<d23b9aca00>", "<d3000000003b9aca00>"},
     {"0",
      "<ce3b9aca01>",
      "<cf0000000100000001>",
      "<cfffffffffffffffff>",
      "<ff>",
      "<d0ff>",
      "<d1ffff>",
      "<d2ffffffff>",
      "<d3ffffffffffffffff>",
      "<d38000000000000000>",
      "<d30000000100000001>",
      "1.0",
      "<ca3f800000>",
      "true",
      "false",
      "'1'",
      "nil",
      "[1]",
      "{'a':1}",
      "<c40101>",
      "<d40101>"}},
    {"{'type':'ChangeBatchQuantity','ref':'b','qty':%s}",
     "qty",
     {"0", "<cc00>", "<d30000000000000000>", "1000000000"},
     {"1000000001", "<e0>", "<d0ff>", "0.0", "false", "nil", "''", "[]"}},
    {"{'type':'ChangeBatchEta','ref':'b','eta':%s}",
     "eta",
     {"nil", "'0001-01-01'", "'9999-12-31'", "'2000-02-29'", "'2024-02-29'", "'1970-01-31'"},
     {"'0000-01-01'",
      "'1900-02-29'",
      "'2023-02-29'",
      "'2024-13-01'",
      "'2024-00-01'",
      "'2024-01-00'",
      "'2024-04-31'",
      "'2024-1-1'",
      "'2024-01-01 '",
      "' 024-01-01'",
      "''",
      "'20240101'",
      "'2024/01/01'",
      "'2024-01-01T00'",
      "20240101",
      "false",
      "['2024-01-01']",
      "<c40a323032342d30312d3031>",
      "<d6ff65920080>",
      "'10000-01-1'",
      "'+024-01-01'"}},
    {"{'type':'CreateBatch','ref':'b','sku':'s','qty':1,'eta':%s}",
     "eta",
     {"nil", "'2011-01-31'"},
     {"'2011-01-32'", "0", "''", "{}"}},
    {"{'type':'GetEvents','after':%s}",
     "after",
     {"0", "<cfffffffffffffffff>", "<d37fffffffffffffff>", "nil"},
     {"<ff>", "<d38000000000000000>", "1.0", "'1'", "true", "[1]"}},
    {"{'type':'GetEvents','limit':%s}",
     "limit",
     {"1", "10000", "nil"},
     {"0", "10001", "<cf0000000100000001>", "<ff>", "1.5", "true", "'1'", "[1]"}},
    {"{'type':'ListBatches','sku':'s','after':%s}",
     "after",
     {"'r'*255", "nil"},
     {"'r'*256", "''", "0", "['r']"}},
    {"{'type':'GetEvents','types':%s}",
     "types",
     {"['Allocated']",
      "['BatchCreated','BatchQuantityChanged','BatchEtaChanged','Allocated',"
      "'Deallocated','OutOfStock']",
      "nil", "<dc0001a9416c6c6f6361746564>", "<dd00000001a9416c6c6f6361746564>"},
     {"[]", "[" FOUR "," FOUR "," FOUR "," FOUR ",'Allocated']", "'Allocated'", "['Allocate']",
      "['Heartbeat']", "['Allocated',nil]", "['Allocated','']", "[1]", "['']", "{'Allocated':true}",
      "{}", "1", "true", "<c409416c6c6f6361746564>", "[<c409416c6c6f6361746564>]"}},
};

static void decode_kind(const char *pattern, const char *value, const char *faulty_field)
{
    char notation[2048];
    struct request request;
    struct reply refusal;
    const char *place = strstr(pattern, "%s");
    snprintf(notation, sizeof notation, "%.*s%s%s", (int)(place - pattern), pattern, value,
             place + 2);
    print_message("  %s\n", notation);
    enum outcome outcome = codec_decode_request(codec, body_of(notation), &request, &refusal);
    assert_int_equal(outcome, faulty_field == NULL ? OUTCOME_DONE : OUTCOME_INVALID_FIELD);
    if (faulty_field != NULL)
        assert_text(refusal.about, faulty_field);
}

static void values_have_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        for (size_t j = 0; j < COUNT(kinds[i].good) && kinds[i].good[j] != NULL; j++)
            decode_kind(kinds[i].body, kinds[i].good[j], NULL);
        for (size_t j = 0; j < COUNT(kinds[i].bad) && kinds[i].bad[j] != NULL; j++)
            decode_kind(kinds[i].body, kinds[i].bad[j], kinds[i].field);
    }
}

static void widths_of_an_integer_are_one_value(void **state)
{
    (void)state;
    static const char *const fives[] = {
        "5",      "<cc05>",   "<cd0005>",     "<ce00000005>",        "<cf0000000000000005>",
        "<d005>", "<d10005>", "<d200000005>", "<d30000000000000005>"};
    for (size_t i = 0; i < COUNT(fives); i++) {
        char notation[128];
        struct request request;
        struct reply refusal;
        snprintf(notation, sizeof notation, "{'qty':%s,'type':'ChangeBatchQuantity','ref':'b'}",
                 fives[i]);
        assert_int_equal(codec_decode_request(codec, body_of(notation), &request, &refusal),
                         OUTCOME_DONE);
        assert_int_equal(request.as.change_batch_quantity.qty, 5);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, bodies_set_up, bodies_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(values_have_kinds),
        CASE(widths_of_an_integer_are_one_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
