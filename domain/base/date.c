#include "domain/base/date.h"

#include <assert.h>

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

/* Writes a number in exactly `count` digits. */
static void put_digits(char *out, int number, int count)
{
    for (int i = count - 1; i >= 0; i--, number /= 10)
        out[i] = (char)('0' + number % 10);
}

void date_format(struct date d, char out[DATE_TEXT_LEN + 1])
{
    assert(!date_is_none(d) && d.yyyymmdd <= 99991231);
    memcpy(out, "0000-00-00", DATE_TEXT_LEN + 1);
    put_digits(out, d.yyyymmdd / 10000, 4);
    put_digits(out + 5, d.yyyymmdd / 100 % 100, 2);
    put_digits(out + 8, d.yyyymmdd % 100, 2);
}
