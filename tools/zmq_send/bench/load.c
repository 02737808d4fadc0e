#include "tools/zmq_send/bench/load.h"

#include "tools/zmq_send/report.h"

#include <assert.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>

#define STOCK 1000000000 /* of each batch: the most that a batch can have */
#define TEMPLATE_MAX 192u

/* Texts with digits in them. */
#define SKU "bench-00000000"
#define REF "bench-batch-00000000"
#define ORDER "00000000-000000000000" /* run, number */
#define DIGITS_SKU 8u
#define DIGITS_RUN 8u
#define DIGITS_ORDER 12u

struct template
{
    char bytes[TEMPLATE_MAX];
    size_t len;
    size_t sku; /* where the digits of each text begin; 0: it has no such text */
    size_t order;
    size_t id;
    size_t qty; /* of a uint 32 */
};

struct load {
    struct bench_plan plan;
    uint64_t run;
    struct template batch;
    struct template templates[BENCH_KINDS];
    enum bench_kind kinds[1024]; /* by a hash, in the shares of the plan */
    double *below;               /* zipf: chance of a SKU up to this one; NULL: all alike */
};

/* splitmix64: what is done with request n is a hash of n. */
static uint64_t mix(uint64_t n)
{
    n += 0x9e3779b97f4a7c15u;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
    return n ^ (n >> 31);
}

/* ---- templates ---- */

static void put_text(msgpack_packer *packer, const char *text)
{
    msgpack_pack_str(packer, strlen(text));
    msgpack_pack_str_body(packer, text, strlen(text));
}

static void put_pair(msgpack_packer *packer, const char *key, const char *value)
{
    put_text(packer, key);
    put_text(packer, value);
}

/* Where the last `digits` bytes that were packed begin. */
static size_t digits_at(const msgpack_sbuffer *buffer, size_t digits)
{
    return buffer->size - digits;
}

enum { WITH_SKU = 1, WITH_ORDER = 2, WITH_REF = 4, WITH_QTY = 8, WITH_ID = 16 };

static struct template make_template(const char *type, unsigned with)
{
    struct template template = {.len = 0};
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1 + (size_t)__builtin_popcount(with));
    put_pair(&packer, "type", type);
    if (with & WITH_REF) {
        put_pair(&packer, "ref", REF);
        template.order = digits_at(&buffer, DIGITS_SKU); /* a batch is numbered as its SKU */
    }
    if (with & WITH_ORDER) {
        put_pair(&packer, "orderid", ORDER);
        template.order = digits_at(&buffer, strlen(ORDER));
    }
    if (with & WITH_SKU) {
        put_pair(&packer, "sku", SKU);
        template.sku = digits_at(&buffer, DIGITS_SKU);
    }
    if (with & WITH_QTY) {
        put_text(&packer, "qty");
        msgpack_pack_fix_uint32(&packer, 1);
        template.qty = digits_at(&buffer, sizeof(uint32_t));
    }
    if (with & WITH_ID) {
        put_pair(&packer, "id", ORDER);
        template.id = digits_at(&buffer, strlen(ORDER));
    }
    must_have(buffer.data);
    assert(buffer.size <= sizeof template.bytes);
    memcpy(template.bytes, buffer.data, buffer.size);
    template.len = buffer.size;
    msgpack_sbuffer_destroy(&buffer);
    return template;
}

static void write_digits(char *end, size_t digits, uint64_t number)
{
    for (size_t i = 1; i <= digits; i++, number /= 10)
        end[-(ptrdiff_t)i] = (char)('0' + number % 10);
}

static void write_sku(struct template *template, size_t at, uint64_t sku)
{
    write_digits(template->bytes + at + DIGITS_SKU, DIGITS_SKU, sku);
}

static void write_qty(struct template *template, uint32_t qty)
{
    for (unsigned i = 0; i < sizeof qty; i++)
        template->bytes[template->qty + i] = (char)(qty >> (24 - 8 * i));
}

/* Run and number, or 21 hexadecimal digits in no order. */
static void write_order(const struct load *load, char *at, uint64_t n)
{
    static const char hex[] = "0123456789abcdef";
    if (!load->plan.random_orders) {
        write_digits(at + DIGITS_RUN, DIGITS_RUN, load->run);
        write_digits(at + strlen(ORDER), DIGITS_ORDER, n);
        return;
    }
    uint64_t first = mix(n + mix(load->run));
    uint64_t second = mix(first);
    for (size_t i = 0; i < strlen(ORDER); i++)
        at[i] = hex[(i < 16 ? first >> (4 * i) : second >> (4 * (i - 16))) & 15];
}

/* ---- which request ---- */

static void spread_kinds(struct load *load)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < BENCH_KINDS; i++)
        sum += load->plan.shares[i];
    size_t kind = 0;
    uint64_t up_to = load->plan.shares[0];
    size_t count = sizeof load->kinds / sizeof *load->kinds;
    for (size_t i = 0; i < count; i++) {
        while (kind + 1 < BENCH_KINDS && up_to * count <= i * sum)
            up_to += load->plan.shares[++kind];
        load->kinds[i] = (enum bench_kind)kind;
    }
}

static void spread_skus(struct load *load)
{
    if (!(load->plan.zipf > 0))
        return;
    double sum = 0;
    load->below = must_have(calloc(load->plan.skus, sizeof *load->below));
    for (uint64_t i = 0; i < load->plan.skus; i++)
        load->below[i] = sum += pow((double)(i + 1), -load->plan.zipf);
    for (uint64_t i = 0; i < load->plan.skus; i++)
        load->below[i] /= sum;
}

static uint64_t sku_of(const struct load *load, uint64_t n)
{
    uint64_t hash = mix(n ^ 0x5ca1ab1eu);
    if (load->below == NULL)
        return hash % load->plan.skus;
    double chance = (double)(hash >> 11) * 0x1p-53;
    uint64_t from = 0;
    uint64_t to = load->plan.skus - 1;
    while (from < to) {
        uint64_t middle = from + (to - from) / 2;
        if (load->below[middle] < chance)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

struct load *load_new(const struct bench_plan *plan, uint64_t run)
{
    unsigned id = plan->ids ? WITH_ID : 0;
    struct load *load = must_have(calloc(1, sizeof *load));
    load->plan = *plan;
    load->run = run;
    load->batch = make_template("CreateBatch", WITH_REF | WITH_SKU | WITH_QTY);
    load->templates[BENCH_allocate] =
        make_template("Allocate", WITH_ORDER | WITH_SKU | WITH_QTY | id);
    load->templates[BENCH_deallocate] = make_template("Deallocate", WITH_ORDER | WITH_SKU | id);
    load->templates[BENCH_change] = make_template("ChangeBatchQuantity", WITH_REF | WITH_QTY | id);
    load->templates[BENCH_get] = make_template("GetStock", WITH_SKU);
    load->templates[BENCH_lines] = make_template("GetAllocations", WITH_ORDER);
    spread_kinds(load);
    spread_skus(load);
    return load;
}

void load_destroy(struct load **load)
{
    free((*load)->below);
    free(*load);
    *load = NULL;
}

struct text load_batch(struct load *load, uint64_t n)
{
    struct template *template = &load->batch;
    write_sku(template, template->order, n);
    write_sku(template, template->sku, n);
    write_qty(template, STOCK);
    return (struct text){template->bytes, template->len};
}

/* A request of that kind, about that order where it is about one. */
static struct text fill_in(struct load *load, enum bench_kind kind, uint64_t n, uint64_t order)
{
    struct template *template = &load->templates[kind];
    if (kind == BENCH_change) {
        write_sku(template, template->order, sku_of(load, n));
        write_qty(template, STOCK - (uint32_t)(n & 1));
    } else if (template->order != 0) {
        write_order(load, template->bytes + template->order, order);
    }
    if (template->sku != 0)
        write_sku(template, template->sku, sku_of(load, order));
    if (template->id != 0)
        write_order(load, template->bytes + template->id, n);
    return (struct text){template->bytes, template->len};
}

struct text load_line(struct load *load, uint64_t n)
{
    return fill_in(load, BENCH_allocate, n, n);
}

struct text load_request(struct load *load, uint64_t n)
{
    enum bench_kind kind = load->kinds[mix(n) % (sizeof load->kinds / sizeof *load->kinds)];
    uint64_t earlier = load->plan.lines > 0 ? load->plan.lines : n;
    if (kind == BENCH_swap)
        return fill_in(load, n % 2 == 0 ? BENCH_allocate : BENCH_deallocate, n, n - n % 2);
    if ((kind == BENCH_deallocate || kind == BENCH_lines) && earlier > 0)
        return fill_in(load, kind, n, mix(n ^ load->run) % earlier);
    return fill_in(load, kind, n, n);
}
