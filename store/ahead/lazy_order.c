#include "store/ahead/lazy_order.h"

#include <assert.h>
#include <stdlib.h>

bool lazy_order_add(struct lazy_order *order, uint64_t rank, void *what)
{
    assert(order->taken == 0);
    if (order->count == order->capacity) {
        size_t capacity = order->capacity > 0 ? 2 * order->capacity : 1024;
        struct lazy_item *items = realloc(order->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        order->items = items;
        order->capacity = capacity;
    }
    order->items[order->count++] = (struct lazy_item){rank, what};
    return true;
}

static void swap(struct lazy_item *a, struct lazy_item *b)
{
    struct lazy_item held = *a;
    *a = *b;
    *b = held;
}

/* Parts items[from, to) around the one in the middle and returns where that stands then. Ranks
 * equal to it go to both sides, so that many equal ones are parted evenly. */
static size_t part(struct lazy_item *items, size_t from, size_t to)
{
    swap(&items[from], &items[from + (to - from) / 2]);
    uint64_t pivot = items[from].rank;
    size_t left = from + 1;
    size_t right = to - 1;
    for (;;) {
        while (left <= right && items[left].rank < pivot)
            left++;
        while (left <= right && items[right].rank > pivot)
            right--;
        if (left >= right)
            break;
        swap(&items[left++], &items[right--]);
    }
    swap(&items[from], &items[right]);
    return right;
}

void *lazy_order_take(struct lazy_order *order)
{
    if (order->taken == order->count)
        return NULL;
    for (;;) {
        size_t to = order->pivot_count > 0 ? order->pivots[order->pivot_count - 1] : order->count;
        if (order->pivot_count > 0 && to == order->taken) {
            order->pivot_count--;
            break;
        }
        /* Order is worth having, and never needed: a stack that is full ends the sorting here. */
        if (to - order->taken == 1 || order->pivot_count == LAZY_PIVOTS_MAX)
            break;
        order->pivots[order->pivot_count++] = part(order->items, order->taken, to);
    }
    return order->items[order->taken++].what;
}

void lazy_order_clear(struct lazy_order *order)
{
    order->count = order->taken = order->pivot_count = 0;
}

void lazy_order_release(struct lazy_order *order)
{
    free(order->items);
    *order = (struct lazy_order){.items = NULL};
}

uint64_t lazy_rank(struct text text, size_t common)
{
    uint64_t rank = 0;
    for (size_t i = common; i < common + 8; i++)
        rank = rank << 8 | (i < text.len ? (unsigned char)text.data[i] : 0);
    return rank;
}
