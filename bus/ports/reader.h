/* Queries (CQRS, chapter 12): views and tables, never the model. It sees what a unit that is open
 * has done so far, so that a client reads its own writes. Rows and texts are taken from `arena`,
 * or are the query's own.
 * A page holds at most `limit` rows and is cut by bytes, by records looked at and by time as well.
 * It looks at one record at least, so that whoever goes on from `next` comes to the end.
 * STORE_NOT_FOUND leaves *out untouched. */
#ifndef BUS_PORTS_READER_H
#define BUS_PORTS_READER_H

#include "bus/ports/result.h"
#include "bus/ports/world.h"
#include "domain/base/arena.h"
#include "domain/messages/reply.h"

struct reader;

struct store_figures {
    uint64_t seq; /* of the newest event */
    uint64_t products;
    uint64_t waiting_lines;
    uint64_t bytes;
    uint64_t
        events_behind; /* newest events that some tables lack: a start goes through them again */
};

struct reader_ops {
    enum store_result (*lines)(struct reader *reader, const struct get_allocations *query,
                               struct arena *arena, struct line_page *out);
    enum store_result (*stock)(struct reader *reader, const struct get_stock *query,
                               struct arena *arena, struct stock_view *out);
    enum store_result (*batches)(struct reader *reader, const struct list_batches *query,
                                 struct arena *arena, struct batch_page *out);
    enum store_result (*batch)(struct reader *reader, const struct get_batch *query,
                               struct arena *arena, struct batch_view *out);
    enum store_result (*products)(struct reader *reader, const struct list_products *query,
                                  struct arena *arena, struct product_page *out);
    enum store_result (*events)(struct reader *reader, const struct get_events *query,
                                struct arena *arena, struct event_page *out);
    enum store_result (*figures)(struct reader *reader, struct store_figures *out);
};

struct reader {
    const struct reader_ops *ops;
    struct clock *clock;   /* NULL: pages are not cut by time; set while a page is asked for */
    uint64_t page_ends_us; /* when a page has to be enough, by the monotonic clock */
};

#define PAGE_BYTES_MAX ((size_t)256 * 1024) /* of rows in a page, roughly */
#define PAGE_SCAN_MAX 10000u                /* records looked at for a page */
#define PAGE_CLOCK_EVERY ((size_t)16)       /* records between two looks at the clock */
#define STOCK_BATCHES_MAX 1000u             /* batches that GetStock tells */

/* Whether a page that has looked at so many records has to be enough. For adapters. */
static inline bool reader_is_late(const struct reader *reader, size_t looked_at)
{
    return reader->clock != NULL && looked_at > 0 && looked_at % PAGE_CLOCK_EVERY == 0 &&
           reader->clock->monotonic_us(reader->clock) >= reader->page_ends_us;
}

#endif
