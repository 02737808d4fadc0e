/* A list that is put in order only as far as it is taken from, so that no step takes long: the
 * incremental quicksort of Paredes and Navarro ("Optimal Incremental Sorting", 2006). Writing
 * records in the order of their keys keeps what is written together on few pages. */
#ifndef STORE_AHEAD_LAZY_ORDER_H
#define STORE_AHEAD_LAZY_ORDER_H

#include "domain/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lazy_item {
    uint64_t rank;
    void *what;
};

#define LAZY_PIVOTS_MAX 64u

struct lazy_order {
    struct lazy_item *items;
    size_t count;
    size_t capacity;
    size_t taken;
    size_t pivots[LAZY_PIVOTS_MAX]; /* a stack: items before each are no larger than it */
    size_t pivot_count;
};

/* Adds an item. False: no memory. Requires: none was taken yet. */
bool lazy_order_add(struct lazy_order *order, uint64_t rank, void *what);

/* Takes the item of the smallest rank; NULL: none is left. */
void *lazy_order_take(struct lazy_order *order);

/* Empty, as a new one; its memory stays for the next items. */
void lazy_order_clear(struct lazy_order *order);

void lazy_order_release(struct lazy_order *order);

/* The rank of a text among others that have their first `common` bytes in common: by its next 8
 * bytes. Texts that differ only behind those have the same rank. */
uint64_t lazy_rank(struct text text, size_t common);

#endif
