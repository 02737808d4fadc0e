/* A reference model of the node: rules 1 to 10, small and obvious rather than fast. Everything is
 * found by looking through an array; what can be counted is counted anew each time. */
#ifndef TESTS_SUPPORT_MODEL_H
#define TESTS_SUPPORT_MODEL_H

#include "domain/messages/reply.h"
#include "domain/base/arena.h"
#include "store/wire/codec.h"

struct model_product {
    struct text sku;
    uint64_t version;
};

struct model_batch {
    struct text ref;
    struct text sku;
    uint32_t qty;
    struct date eta;
    uint64_t created; /* seq of its BatchCreated */
};

struct model_line {
    struct text orderid;
    struct text sku;
    uint32_t qty;
    struct text batchref; /* absent: it waits */
    uint64_t since;       /* seq of its Allocated or, where it waits, of its OutOfStock */
};

struct model_answer {
    struct request request;
    struct reply reply;
};

/* Arrays in the order in which their rows came to be. */
struct model {
    struct model_product *products;
    size_t product_count;
    struct model_batch *batches;
    size_t batch_count;
    struct model_line *lines;
    size_t line_count;
    struct event *events;
    size_t event_count;
    struct model_answer *answers; /* remembered by their ids */
    size_t answer_count;
    struct text cause;   /* id of the command under way */
    uint64_t now_ms;     /* time of events; set by whoever drives the model */
    struct arena *arena; /* rows of the newest reply */
    struct codec *codec;
};

struct model *model_new(void);
void model_destroy(struct model **model);

/* The reply that the node must give. Its rows live until the next call; the texts of requests must
 * outlive the model. Events are appended to model->events. */
struct reply model_handle(struct model *model, const struct request *request);

uint64_t model_allocated(const struct model *model, const struct model_batch *batch);
uint64_t model_available(const struct model *model, const struct model_batch *batch);

/* Batches in their order of use (rule 2): less than 0 where `a` is used first. */
int model_order_of_use(const struct model_batch *a, const struct model_batch *b);

const struct model_product *model_product(const struct model *model, struct text sku);
const struct model_batch *model_batch(const struct model *model, struct text ref);

/* Queries, for model_handle. */
void model_answer_query(struct model *model, const struct request *request, struct reply *reply);

#endif
