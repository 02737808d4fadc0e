#include "tests/support/fake_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* A test without memory has nothing to say. */
static void need(bool has_memory)
{
    if (!has_memory)
        abort();
}

/* ---- publisher ---- */

static void publish(struct publisher *port, enum message_type type, struct text sku,
                    struct text body)
{
    struct fake_publisher *fake = (struct fake_publisher *)port;
    if (fake->count == fake->capacity) {
        fake->capacity = fake->capacity > 0 ? 2 * fake->capacity : 64;
        fake->events = realloc(fake->events, fake->capacity * sizeof *fake->events);
        need(fake->events != NULL);
    }
    struct published_event *published = &fake->events[fake->count++];
    memset(published, 0, sizeof *published);
    published->type = type;
    need(arena_text(fake->arena, sku, &published->sku));
    need(arena_text(fake->arena, body, &published->body));
    /* What cannot be decoded stays a MESSAGE_NONE, which no test expects. */
    codec_decode_event(fake->codec, published->body, &published->event);
}

void fake_publisher_init(struct fake_publisher *publisher)
{
    *publisher = (struct fake_publisher){.publisher = {publish}};
    publisher->codec = codec_new();
    publisher->arena = arena_new();
    need(publisher->codec != NULL && publisher->arena != NULL);
}

void fake_publisher_release(struct fake_publisher *publisher)
{
    codec_destroy(&publisher->codec);
    arena_destroy(&publisher->arena);
    free(publisher->events);
    publisher->events = NULL;
}

void fake_publisher_clear(struct fake_publisher *publisher)
{
    publisher->count = 0;
    arena_reset(publisher->arena);
}

/* ---- notifier, clock, logger ---- */

static bool note_out_of_stock(struct notifier *port, const struct event *event)
{
    struct fake_notifier *fake = (struct fake_notifier *)port;
    fake->count++;
    fake->last_seq = event->seq;
    return !fake->fails;
}

void fake_notifier_init(struct fake_notifier *notifier)
{
    *notifier = (struct fake_notifier){.notifier = {note_out_of_stock}};
}

static uint64_t now_ms(struct clock *port)
{
    return ((struct fake_clock *)port)->now_ms;
}

static uint64_t monotonic_us(struct clock *port)
{
    struct fake_clock *fake = (struct fake_clock *)port;
    return fake->monotonic_us += fake->us_per_look;
}

void fake_clock_init(struct fake_clock *clock)
{
    *clock = (struct fake_clock){.clock = {now_ms, monotonic_us}, .now_ms = FAKE_CLOCK_START_MS};
}

static void keep_line(struct logger *port, enum log_level level, const char *message)
{
    struct fake_logger *fake = (struct fake_logger *)port;
    fake->count[level]++;
    fake->last_level = level;
    snprintf(fake->last, sizeof fake->last, "%s", message);
}

void fake_logger_init(struct fake_logger *logger)
{
    *logger = (struct fake_logger){.logger = {keep_line}};
}

/* ---- the bus with all of them ---- */

struct fake_parts *fake_parts_new(struct unit_of_work *unit, struct reader *reader)
{
    struct fake_parts *fakes = calloc(1, sizeof *fakes);
    need(fakes != NULL);
    fake_publisher_init(&fakes->publisher);
    fake_notifier_init(&fakes->notifier);
    fake_clock_init(&fakes->clock);
    fake_logger_init(&fakes->logger);
    fakes->parts = (struct bus_parts){.unit = unit,
                                      .reader = reader,
                                      .publisher = &fakes->publisher.publisher,
                                      .notifier = &fakes->notifier.notifier,
                                      .clock = &fakes->clock.clock,
                                      .logger = &fakes->logger.logger,
                                      .stats = &fakes->stats};
    fakes->bus = bus_new(&fakes->parts);
    need(fakes->bus != NULL);
    return fakes;
}

void fake_parts_destroy(struct fake_parts **fakes)
{
    if (*fakes == NULL)
        return;
    bus_destroy(&(*fakes)->bus);
    fake_publisher_release(&(*fakes)->publisher);
    free(*fakes);
    *fakes = NULL;
}
