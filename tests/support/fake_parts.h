/* Fakes for the smaller ports, and a bus that is wired with all of them over a given store. */
#ifndef TESTS_SUPPORT_FAKE_PARTS_H
#define TESTS_SUPPORT_FAKE_PARTS_H

#include "bus/bus.h"
#include "store/wire/codec.h"

/* An event as it was published. Everything in it belongs to the fake. */
struct published_event {
    enum message_type type; /* of the topic */
    struct text sku;        /* of the topic */
    struct text body;
    struct event event; /* decoded from the body; the fields that are not published are 0 */
};

struct fake_publisher {
    struct publisher publisher;
    struct codec *codec;
    struct arena *arena;
    struct published_event *events; /* in the order in which they were published */
    size_t count;
    size_t capacity;
};

struct fake_notifier {
    struct notifier notifier;
    bool fails;        /* set by the test */
    size_t count;      /* how often it was told, failures counted */
    uint64_t last_seq; /* of the event that it was told of last, 0 if none */
};

struct fake_clock {
    struct clock clock;
    uint64_t now_ms; /* set by the test, as the next two */
    uint64_t monotonic_us;
    uint64_t us_per_look; /* that pass whenever it is asked for them */
};

struct fake_logger {
    struct logger logger;
    size_t count[LOG_DEBUG + 1]; /* lines of a level */
    enum log_level last_level;
    char last[256]; /* the last line, cut where it is longer; "" if there is none */
};

#define FAKE_CLOCK_START_MS UINT64_C(1700000000000)

void fake_publisher_init(struct fake_publisher *publisher);
void fake_publisher_release(struct fake_publisher *publisher);

/* Forgets what was published so far. */
void fake_publisher_clear(struct fake_publisher *publisher);

void fake_notifier_init(struct fake_notifier *notifier);
void fake_clock_init(struct fake_clock *clock); /* at FAKE_CLOCK_START_MS */
void fake_logger_init(struct fake_logger *logger);

/* A bus with a fake for each of its smaller parts. All of it is for the test to look at. */
struct fake_parts {
    struct fake_publisher publisher;
    struct fake_notifier notifier;
    struct fake_clock clock;
    struct fake_logger logger;
    struct stats stats;
    struct bus_parts parts; /* points to the above */
    struct bus *bus;
};

/* Makes the bus; the test ends where there is no memory. The store is the caller's and outlives
 * it. */
struct fake_parts *fake_parts_new(struct unit_of_work *unit, struct reader *reader);
void fake_parts_destroy(struct fake_parts **fakes);

#endif
