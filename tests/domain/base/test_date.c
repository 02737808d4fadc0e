#include "domain/base/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *text;
    int32_t expected; /* 0: no date */
} cases[] = {
    {"2030-01-31", 20300131},
    {"0001-01-01", 10101},
    {"9999-12-31", 99991231},
    {"2024-02-29", 20240229}, /* leap years: by 4, not by 100, but by 400 */
    {"2023-02-29", 0},
    {"1900-02-29", 0},
    {"2100-02-29", 0},
    {"2000-02-29", 20000229},
    {"2024-02-30", 0},
    {"0000-01-01", 0},
    {"2030-00-01", 0},
    {"2030-13-01", 0},
    {"2030-01-00", 0},
    {"2030-01-32", 0},
    {"2030-04-31", 0},
    {"2030-06-31", 0},
    {"2030-09-31", 0},
    {"2030-11-31", 0},
    {"2030-12-31", 20301231},
    {"", 0},
    {"2030-01-1", 0},
    {"2030-1-01", 0},
    {"2030-01-011", 0},
    {"12030-01-01", 0},
    {"2030/01/01", 0},
    {"20300101", 0},
    {"2030-01-0a", 0},
    {"a030-01-01", 0},
    {"2030-0 -01", 0},
    {" 030-01-01", 0},
    {"-030-01-01", 0},
    {"+203-01-01", 0},
    {"2030-01--1", 0},
    {"2030-01-01T", 0},
    {"2030-01:01", 0},
};

static void texts_that_are_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const int32_t untouched = 12345678;
        struct date date = {untouched};
        bool is_date = date_parse(text_of(cases[i].text), &date);
        if (is_date != (cases[i].expected != 0) ||
            date.yyyymmdd != (is_date ? cases[i].expected : untouched))
            fail_msg("%s: %d", cases[i].text, (int)date.yyyymmdd);
    }
    struct date date;
    assert_false(date_parse(text_none(), &date));
    assert_false(date_parse((struct text){"2030-01\0-1", DATE_TEXT_LEN}, &date));
}

/* All days of every seventh year, so of all years in the cycle of 400, against libc's calendar. */
static void every_day_comes_back_as_it_was_written(void **state)
{
    (void)state;
    int days = 0;
    for (int year = 1; year <= 9999; year += 7)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= 31; day++) {
                char text[40];
                snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day);
                struct tm noon = {
                    .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = 12};
                timegm(&noon);
                bool is_real = noon.tm_mday == day;
                struct date date;
                assert_int_equal(date_parse(text_of(text), &date), is_real);
                if (!is_real)
                    continue;
                days++;
                char written[DATE_TEXT_LEN + 1];
                date_format(date, written);
                assert_string_equal(written, text);
            }
    assert_in_range(days, 365 * 1429, 366 * 1429);
}

static void dates_are_ordered_and_none_comes_first(void **state)
{
    (void)state;
    struct date first;
    struct date later;
    assert_true(date_parse(text_of("0001-01-01"), &first));
    assert_true(date_parse(text_of("2030-02-01"), &later));
    assert_true(date_is_none(date_none()));
    assert_false(date_is_none(first));
    assert_true(date_none().yyyymmdd < first.yyyymmdd);
    assert_true(first.yyyymmdd < later.yyyymmdd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_are_dates),
        cmocka_unit_test(every_day_comes_back_as_it_was_written),
        cmocka_unit_test(dates_are_ordered_and_none_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
