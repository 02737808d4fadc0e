/* An ETA: a calendar date, or none, which means that the batch is in the warehouse. */
#ifndef DOMAIN_BASE_DATE_H
#define DOMAIN_BASE_DATE_H

#include "domain/base/text.h"

#include <stdint.h>

/* Year * 10000 + month * 100 + day, so that dates compare as integers. 0 is "none": warehouse
 * stock has no ETA and sorts before every shipment. */
struct date {
    int32_t yyyymmdd;
};

#define DATE_TEXT_LEN 10 /* "YYYY-MM-DD" */

static inline struct date date_none(void)
{
    return (struct date){0};
}

static inline bool date_is_none(struct date d)
{
    return d.yyyymmdd == 0;
}

/* Reads "YYYY-MM-DD". False, with *out untouched, unless it is a real date of the years 0001 to
 * 9999 (proleptic Gregorian calendar, as in ISO 8601). */
bool date_parse(struct text t, struct date *out);

/* Writes DATE_TEXT_LEN characters and a NUL. Requires: the date is not none. */
void date_format(struct date d, char out[DATE_TEXT_LEN + 1]);

#endif
