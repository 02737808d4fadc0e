#include "domain/date.h"

#include <assert.h>
#include <stdio.h>

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* The number in `count` digits; -1 where one is no digit. */
static int digits(const char *s, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        number = number * 10 + (s[i] - '0');
    }
    return number;
}

bool date_parse(struct text t, struct date *out)
{
    if (t.len != DATE_TEXT_LEN || t.data[4] != '-' || t.data[7] != '-')
        return false;
    int year = digits(t.data, 4);
    int month = digits(t.data + 5, 2);
    int day = digits(t.data + 8, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
        return false;
    out->yyyymmdd = year * 10000 + month * 100 + day;
    return true;
}

void date_format(struct date d, char out[DATE_TEXT_LEN + 1])
{
    assert(!date_is_none(d));
    int year = d.yyyymmdd / 10000;
    int month = d.yyyymmdd / 100 % 100;
    int day = d.yyyymmdd % 100;
    assert(year >= 1 && year <= 9999);
    char text[40];
    snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day);
    memcpy(out, text, DATE_TEXT_LEN + 1);
}
