/* The contract of the reader: views, pages, and what an open unit has done. */
#include "tests/support/store_contract_inside.h"

#include <inttypes.h>
#include <stdlib.h>

void reads_see_what_an_open_unit_did(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "Allocate o1 RED 4");
    contract_begin(c, 1);
    contract_run(c, "Allocate o1 RED 4");
    contract_run(c, "Allocate o2 RED 6");
    EXPECT(c, "GetStock RED", "ok RED v3 available=0 exhausted=1");
    contract_run(c, "CreateBatch b2 BLUE 7 2030-01-01");
    EXPECT(c, "GetAllocations o2", "ok RED:6:b1");
    EXPECT(c, "GetBatch b2", "ok BLUE b2:7/7:2030-01-01");
    EXPECT(c, "ListBatches BLUE", "ok b2:7/7:2030-01-01");
    EXPECT(c, "ListProducts", "ok BLUE:v1:7:1 RED:v3:0:1");
    EXPECT(c, "GetEvents after=2 limit=1",
           "ok [3 prev=2 RED v3 Allocated o2 6 b1] next=3 head=4 first=1");
    contract_run(c, "ChangeBatchQuantity b1 4");
    EXPECT(c, "GetAllocations o2", "ok RED:6:-");
    EXPECT(c, "figures", "seq=7 products=2 waiting=1");
    contract_run(c, "Deallocate o1 RED");
    EXPECT(c, "GetAllocations o1", "not found");
    EXPECT(c, "GetStock RED", "ok RED v7 available=4 b1:4/4:- exhausted=0");
    unit_rollback(c->unit);
    EXPECT(c, "GetStock RED", "ok RED v2 available=6 b1:6/10:- exhausted=0");
    EXPECT(c, "GetAllocations o1", "ok RED:4:b1");
    EXPECT(c, "GetAllocations o2", "not found");
    EXPECT(c, "GetBatch b2", "not found");
    EXPECT(c, "ListBatches BLUE", "not found");
    EXPECT(c, "ListProducts", "ok RED:v2:6:1");
    EXPECT(c, "GetEvents after=2", "ok head=2 first=1");
    EXPECT(c, "figures", "seq=2 products=1 waiting=0");
}

/* ---- stock ---- */

void stock_is_told_in_its_order_of_use(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch late RED 5 2031-01-01", "CreateBatch early RED 5 2030-01-01",
          "CreateBatch house RED 5", "CreateBatch again RED 5 2030-01-01",
          "CreateBatch first RED 5 0001-01-01", "CreateBatch last RED 5 9999-12-31",
          "CreateBatch second RED 5");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "GetStock RED",
               "ok RED v7 available=35 house:5/5:- second:5/5:- first:5/5:0001-01-01"
               " early:5/5:2030-01-01 again:5/5:2030-01-01 late:5/5:2031-01-01"
               " last:5/5:9999-12-31 exhausted=0");
        contract_reopen(c);
    }
    GROUP(c, "ChangeBatchEta late -", "ChangeBatchEta house 2030-01-01", "Allocate o1 RED 5",
          "Allocate o2 RED 2");
    for (int round = 0; round < 2; round++) {
        EXPECT(c, "GetStock RED",
               "ok RED v11 available=28 second:3/5:- first:5/5:0001-01-01 early:5/5:2030-01-01"
               " house:5/5:2030-01-01 again:5/5:2030-01-01 last:5/5:9999-12-31 exhausted=1");
        EXPECT(c, "product RED",
               "RED v11 last=11 available=28 open=6/7 second:3/5:- age=7"
               " first:5/5:0001-01-01 age=5 early:5/5:2030-01-01 age=2"
               " house:5/5:2030-01-01 age=3 again:5/5:2030-01-01 age=4"
               " last:5/5:9999-12-31 age=6 waiting=0");
        contract_reopen(c);
    }
}

void stock_is_told_up_to_a_limit(void **state)
{
    struct contract *c = *state;
    contract_begin(c, 1);
    for (unsigned i = 0; i < STOCK_BATCHES_MAX + 3; i++)
        contract_run(c, contract_text(c, "CreateBatch b%u RED 1", i));
    contract_run(c, "Allocate o1 RED 1");
    contract_run(c, "Allocate o2 RED 1");
    contract_commit(c);
    struct reply reply = contract_read(c, "GetStock RED");
    const struct stock_view *stock = &reply.as.stock;
    assert_int_equal(stock->batch_count, STOCK_BATCHES_MAX);
    assert_int_equal(stock->available, STOCK_BATCHES_MAX + 1);
    assert_int_equal(stock->exhausted, 2);
    assert_true(text_equal(stock->batches[0].ref, text_of("b2")));
    assert_true(text_equal(stock->batches[STOCK_BATCHES_MAX - 1].ref, text_of("b1001")));
}

/* ---- pages ---- */

/* Appends the names of a page's rows. Returns its `next`. */
static struct text add_rows(const struct reply *reply, struct notation *out)
{
    const struct line_page *lines = &reply->as.lines;
    const struct batch_page *batches = &reply->as.batches;
    const struct product_page *products = &reply->as.products;
    switch (reply->type) {
    case MESSAGE_GET_ALLOCATIONS:
        for (size_t i = 0; i < lines->count; i++)
            notation_add(out, "%.*s ", TEXT_ARG(lines->rows[i].sku));
        return lines->next;
    case MESSAGE_LIST_BATCHES:
        for (size_t i = 0; i < batches->count; i++)
            notation_add(out, "%.*s ", TEXT_ARG(batches->rows[i].ref));
        return batches->next;
    default:
        assert_int_equal(reply->type, MESSAGE_LIST_PRODUCTS);
        for (size_t i = 0; i < products->count; i++)
            notation_add(out, "%.*s ", TEXT_ARG(products->rows[i].sku));
        return products->next;
    }
}

/* The part of a query that goes on behind a page. Each one gets further than the last. */
static const char *go_on(struct contract *c, struct text next, struct text *last)
{
    assert_true(text_compare(next, *last) > 0);
    *last = next;
    return contract_text(c, " after=%.*s", TEXT_ARG(next));
}

/* All names of a list, read page by page. */
static const char *read_all(struct contract *c, const char *query, unsigned limit,
                            struct notation *out)
{
    notation_clear(out);
    const char *after = "";
    struct text last = text_of("");
    for (;;) {
        struct reply page =
            contract_read(c, contract_text(c, "%s limit=%u%s", query, limit, after));
        assert_true(page.as.lines.count <= limit); /* the count stands in the same place in all */
        struct text next = add_rows(&page, out);
        if (text_is_none(next))
            return notation_text(out);
        after = go_on(c, next, &last);
    }
}

_Static_assert(offsetof(struct line_page, count) == offsetof(struct batch_page, count) &&
                   offsetof(struct line_page, count) == offsetof(struct product_page, count),
               "read_all looks at the count of any page");

static void expect_all(struct contract *c, const char *query, unsigned rows, const char *expected)
{
    struct notation names = {0};
    for (unsigned limit = 1; limit <= rows + 1; limit++)
        assert_string_equal(read_all(c, query, limit, &names), expected);
    assert_string_equal(read_all(c, query, LIMIT_MAX, &names), expected);
    notation_release(&names);
}

/* Names in byte order: not that of any language. */
#define NAMES "A A! A.B AB B a ab z \xc3\x84 \xe2\x82\xac \xf0\x9f\x98\x80 "
static const char *const shuffled[] = {
    "B", "\xf0\x9f\x98\x80", "A.B", "z", "A", "\xc3\x84", "a", "AB", "ab", "A!", "\xe2\x82\xac"};

void lines_of_an_order_are_paged(void **state)
{
    struct contract *c = *state;
    contract_begin(c, 1);
    for (size_t i = 0; i < COUNT_OF(shuffled); i++) {
        contract_run(c, contract_text(c, "CreateBatch b%zu %s 9", i, shuffled[i]));
        contract_run(c, contract_text(c, "Allocate o1 %s 1", shuffled[i]));
        contract_run(c, contract_text(c, "Allocate o2 %s 2", shuffled[i]));
        contract_run(c, contract_text(c, "Allocate o %s 3", shuffled[i]));
    }
    contract_commit(c);
    contract_reopen(c);
    expect_all(c, "GetAllocations o1", COUNT_OF(shuffled), NAMES);
    EXPECT(c, "GetAllocations o1 limit=2", "ok A:1:b4 A!:1:b9 next=A!");
    EXPECT(c, "GetAllocations o1 after=A limit=1", "ok A!:1:b9 next=A!");
    EXPECT(c, "GetAllocations o1 after=A# limit=1", "ok A.B:1:b2 next=A.B"); /* there is no A# */
    EXPECT(c, "GetAllocations o1 after=\xf0\x9f\x98\x80", "ok"); /* an order with lines before */
    EXPECT(c, "GetAllocations o3 after=A", "not found");
}

void batches_are_paged(void **state)
{
    struct contract *c = *state;
    contract_begin(c, 1);
    contract_run(c, "CreateBatch 0 RE 5");
    for (size_t i = 0; i < COUNT_OF(shuffled); i++)
        contract_run(c, contract_text(c, "CreateBatch %s RED %zu", shuffled[i], i + 1));
    contract_run(c, "CreateBatch 1 REDD 5");
    contract_run(c, "Allocate o1 RED 11"); /* exhausted ones are listed too */
    contract_commit(c);
    contract_reopen(c);
    expect_all(c, "ListBatches RED", COUNT_OF(shuffled), NAMES);
    EXPECT(c, "ListBatches RED after=ab limit=2", "ok z:4/4:- \xc3\x84:6/6:- next=\xc3\x84");
    EXPECT(c, "ListBatches RED after=aa limit=1", "ok ab:9/9:- next=ab");
    EXPECT(c, "ListBatches RED after=\xe2\x82\xac", "ok \xf0\x9f\x98\x80:2/2:-");
    EXPECT(c, "GetBatch \xe2\x82\xac", "ok RED \xe2\x82\xac:0/11:-");
    EXPECT(c, "ListBatches RED after=\xf0\x9f\x98\x80", "ok");
    EXPECT(c, "ListBatches REDDD after=A", "not found");
}

void products_are_paged(void **state)
{
    struct contract *c = *state;
    contract_begin(c, 1);
    for (size_t i = 0; i < COUNT_OF(shuffled); i++)
        contract_run(c, contract_text(c, "CreateBatch b%zu %s %zu", i, shuffled[i], i + 1));
    contract_run(c, "CreateBatch b99 B 100");
    contract_run(c, "Allocate o1 B 10");
    contract_commit(c);
    contract_reopen(c);
    expect_all(c, "ListProducts", COUNT_OF(shuffled), NAMES);
    EXPECT(c, "ListProducts after=AB limit=2", "ok B:v3:91:2 a:v1:7:1 next=a");
    EXPECT(c, "ListProducts after=AC limit=1", "ok B:v3:91:2 next=B");
    EXPECT(c, "ListProducts after=\xf0\x9f\x98\x80", "ok");
}

/* Seqs of the events that a query gives, read page by page. */
static const char *read_seqs(struct contract *c, const char *query, unsigned limit,
                             struct notation *out)
{
    notation_clear(out);
    uint64_t after = 0;
    for (;;) {
        struct reply reply =
            contract_read(c, contract_text(c, "%s limit=%u after=%" PRIu64, query, limit, after));
        const struct event_page *page = &reply.as.events;
        assert_true(page->count <= limit);
        for (size_t i = 0; i < page->count; i++)
            notation_add(out, "%" PRIu64 " ", page->rows[i].seq);
        if (page->next == 0)
            return notation_text(out);
        assert_true(page->next > after && page->next < page->head);
        assert_true(page->count == 0 || page->next >= page->rows[page->count - 1].seq);
        after = page->next;
    }
}

static void expect_seqs(struct contract *c, const char *query, const char *expected)
{
    struct notation seqs = {0};
    for (unsigned limit = 1; limit <= 12; limit++)
        assert_string_equal(read_seqs(c, query, limit, &seqs), expected);
    notation_release(&seqs);
}

void events_are_paged(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "Allocate o1 RED 1", "Allocate o2 RED 1");
    GROUP(c, "Allocate o3 RED 1", "Deallocate o1 RED");
    contract_reopen(c);
    expect_seqs(c, "GetEvents", "1 2 3 4 5 ");
    EXPECT(c, "GetEvents after=3",
           "ok [4 prev=3 RED v4 Allocated o3 1 b1] [5 prev=0 RED v5 Deallocated o1 1 b1]"
           " head=5 first=1");
    EXPECT(c, "GetEvents after=3 limit=1",
           "ok [4 prev=3 RED v4 Allocated o3 1 b1] next=4 head=5 first=1");
    EXPECT(c, "GetEvents after=4 limit=1",
           "ok [5 prev=0 RED v5 Deallocated o1 1 b1] head=5 first=1");
    EXPECT(c, "GetEvents after=5", "ok head=5 first=1");
    EXPECT(c, "GetEvents after=99", "ok head=5 first=1");
    EXPECT(c, "GetEvents after=18446744073709551615", "ok head=5 first=1");
}

void events_are_filtered(void **state)
{
    struct contract *c = *state;
    GROUP(c, "CreateBatch b1 RED 10", "CreateBatch b2 RE 10", "Allocate o1 RED 1",
          "Allocate o1 RE 1", "Allocate o2 RED 50", "ChangeBatchQuantity b1 5",
          "ChangeBatchEta b2 2030-01-01", "Deallocate o1 RE", "Allocate o3 RED 1");
    contract_reopen(c);
    expect_seqs(c, "GetEvents types=Allocated", "3 4 9 ");
    expect_seqs(c, "GetEvents types=Allocated,Deallocated,BatchCreated", "1 2 3 4 8 9 ");
    expect_seqs(c, "GetEvents types=BatchEtaChanged", "7 ");
    expect_seqs(c, "GetEvents sku=RED", "1 3 5 6 9 ");
    expect_seqs(c, "GetEvents sku=RE", "2 4 7 8 ");
    expect_seqs(c, "GetEvents sku=RED types=Allocated,OutOfStock", "3 5 9 ");
    expect_seqs(c, "GetEvents sku=R", "");
    EXPECT(c, "GetEvents sku=R", "ok head=9 first=1");
    EXPECT(c, "GetEvents sku=RE types=OutOfStock", "ok head=9 first=1");
}

void a_scan_of_events_is_bounded(void **state)
{
    struct contract *c = *state;
    contract_begin(c, 1);
    contract_run(c, "CreateBatch b1 RED 1000000");
    for (unsigned i = 0; i < PAGE_SCAN_MAX; i++)
        contract_run(c, contract_text(c, "Allocate o%u RED 1", i));
    contract_run(c, "CreateBatch b2 BLUE 5 2030-01-01");
    contract_run(c, "ChangeBatchEta b2 -");
    contract_commit(c);
    struct reply reply = contract_read(c, "GetEvents types=BatchEtaChanged limit=10");
    assert_int_equal(reply.as.events.count, 0);
    assert_int_equal(reply.as.events.next, PAGE_SCAN_MAX);
    struct notation seqs = {0};
    assert_string_equal(read_seqs(c, "GetEvents types=BatchEtaChanged", 10, &seqs), "10003 ");
    assert_string_equal(read_seqs(c, "GetEvents sku=BLUE", 1, &seqs), "10002 10003 ");
    notation_release(&seqs);
}

/* How many pages it takes to read a list, none of which may hold many more bytes than it should. */
static unsigned count_pages(struct contract *c, const char *query, size_t *rows)
{
    struct notation names = {0};
    unsigned pages = 0;
    const char *after = "";
    struct text last = text_of("");
    for (*rows = 0;; pages++) {
        size_t used = arena_used(c->arena);
        struct reply page = contract_read(c, contract_text(c, "%s limit=10000%s", query, after));
        assert_true(arena_used(c->arena) - used < 6 * PAGE_BYTES_MAX);
        *rows += page.as.lines.count;
        notation_clear(&names);
        struct text next = add_rows(&page, &names);
        assert_true(names.len < PAGE_BYTES_MAX + 1024);
        if (text_is_none(next))
            break;
        after = go_on(c, next, &last);
    }
    notation_release(&names);
    return pages + 1;
}

void pages_are_cut_by_bytes(void **state)
{
    struct contract *c = *state;
    const size_t all = 4000;
    contract_begin(c, 1);
    for (unsigned i = 0; i < all; i++) { /* each row of some hundred bytes */
        contract_run(c, contract_text(c, "CreateBatch %0255u %064u 9", i, i));
        contract_run(c, contract_text(c, "CreateBatch x%0254u RED 9", i));
        contract_run(c, contract_text(c, "Allocate o1 %064u 1", i));
    }
    contract_commit(c);
    size_t rows;
    assert_true(count_pages(c, "GetAllocations o1", &rows) >= all * 319 / PAGE_BYTES_MAX);
    assert_int_equal(rows, all);
    assert_true(count_pages(c, "ListBatches RED", &rows) >= all * 255 / PAGE_BYTES_MAX);
    assert_int_equal(rows, all);
    count_pages(c, "ListProducts", &rows);
    assert_int_equal(rows, all + 1);

    size_t events = 0;
    struct get_events query = {.limit = LIMIT_MAX};
    do {
        struct event_page page;
        assert_int_equal(c->reader->ops->events(c->reader, &query, c->arena, &page), STORE_OK);
        size_t bytes = 0;
        for (size_t i = 0; i < page.count; i++)
            bytes += page.rows[i].body.len;
        assert_true(bytes < PAGE_BYTES_MAX + 1024);
        events += page.count;
        query.after = page.next;
    } while (query.after != 0);
    assert_int_equal(events, 3 * all);
}

static uint64_t always_late(struct clock *clock)
{
    (void)clock;
    return UINT64_MAX;
}

void pages_are_cut_by_time(void **state)
{
    struct contract *c = *state;
    const size_t all = 2 * PAGE_CLOCK_EVERY + 2;
    contract_begin(c, 1);
    contract_run(c, "CreateBatch b RED 9");
    for (unsigned i = 1; i < all; i++) {
        contract_run(c, contract_text(c, "CreateBatch x%u RED 9", i));
        contract_run(c, contract_text(c, "CreateBatch y%u s%u 9", i, i));
        contract_run(c, contract_text(c, "Allocate o1 s%u 1", i));
    }
    contract_run(c, "Allocate o1 RED 1");
    contract_commit(c);
    struct clock clock = {NULL, always_late};
    c->reader->clock = &clock;
    static const char *const lists[] = {"GetAllocations o1", "ListBatches RED", "ListProducts"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        size_t rows;
        assert_int_equal(count_pages(c, lists[i], &rows), 3);
        assert_int_equal(rows, all);
    }
    struct get_events query = {.types = type_bit(MESSAGE_BATCH_ETA_CHANGED), .limit = LIMIT_MAX};
    unsigned pages = 0;
    do { /* none is wanted, and each page gets on all the same */
        struct event_page page;
        assert_int_equal(c->reader->ops->events(c->reader, &query, c->arena, &page), STORE_OK);
        assert_int_equal(page.count, 0);
        pages++;
        assert_int_equal(page.next,
                         pages * PAGE_CLOCK_EVERY < page.head ? pages * PAGE_CLOCK_EVERY : 0);
        query.after = page.next;
    } while (query.after != 0);
    assert_true(pages > 3);
    c->reader->clock = NULL;
}

void not_found_leaves_the_answer_untouched(void **state)
{
    struct contract *c = *state;
    const struct reader_ops *ops = c->reader->ops;
    struct text name = text_of("none");
    struct reply reply;
    memset(&reply, 0x5a, sizeof reply);
    struct reply before = reply;
    struct get_allocations lines = {.orderid = name, .limit = 1};
    struct get_stock stock = {.sku = name};
    struct list_batches batches = {.sku = name, .limit = 1};
    struct get_batch batch = {.ref = name};
    GROUP(c, "CreateBatch b1 RED 10", "Allocate o1 RED 10");
    assert_int_equal(ops->lines(c->reader, &lines, c->arena, &reply.as.lines), STORE_NOT_FOUND);
    assert_int_equal(ops->stock(c->reader, &stock, c->arena, &reply.as.stock), STORE_NOT_FOUND);
    assert_int_equal(ops->batches(c->reader, &batches, c->arena, &reply.as.batches),
                     STORE_NOT_FOUND);
    assert_int_equal(ops->batch(c->reader, &batch, c->arena, &reply.as.batch), STORE_NOT_FOUND);
    assert_memory_equal(&reply, &before, sizeof reply);
}
