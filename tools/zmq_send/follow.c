#include "tools/zmq_send/follow.h"

#include "tools/zmq_send/clock.h"
#include "tools/zmq_send/json_msgpack.h"
#include "tools/zmq_send/log_page.h"
#include "tools/zmq_send/report.h"
#include "tools/zmq_send/stop.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#define HEARTBEAT "Heartbeat/"
#define WELCOME "Welcome/"
#define PAGE_EVENTS 1000u
#define MESSAGES_A_ROUND 1000u /* of the feed, before it is time to look at the rest */
#define LOOK_MS 1000           /* messages that were not subscribed to wake nobody, and take room */

struct follow {
    const struct options *options;
    struct transport transport;
    struct filter filter;
    struct pipeline *log;
    int stop_fd;

    struct connection *feed; /* NULL between attempts */
    int64_t retry_at_ms;
    int64_t retry_ms;
    const char *trouble; /* why there is none; static text */
    bool is_subscribed;  /* on this connection */
    bool is_welcome;     /* Welcome has come on it: from then on the feed is whole */
    bool was_up;         /* on any connection */
    int64_t deadline_ms; /* for the first Welcome */

    bool from_oldest;   /* the log is to be read from the oldest event that it keeps */
    bool has_begun;     /* `complete` means something */
    bool has_caught_up; /* the log was read up to the first Welcome */
    uint64_t complete;  /* all that was asked for is printed up to this seq */
    uint64_t wanted;    /* the log is to be read up to this seq */
    uint64_t heard;     /* the highest seq that the node told of */
    uint64_t printed;   /* events */

    bool is_over;
    enum status status; /* once it is over */
};

static void end(struct follow *follow, enum status status)
{
    follow->is_over = true;
    follow->status = status;
}

/* An event, as far as it matters here. */
struct seen_event {
    uint64_t seq;
    uint64_t prev;
    struct text type;
    struct text sku;
};

static bool read_event(const msgpack_object *body, struct seen_event *out)
{
    out->type = body_text(body, "type");
    out->sku = body_text(body, "sku");
    return body_count(body, "seq", &out->seq) && body_count(body, "prev", &out->prev) &&
           !text_is_none(out->type) && !text_is_none(out->sku);
}

static void print_event(struct follow *follow, const msgpack_object *body)
{
    json_write(stdout, body);
    putchar('\n');
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        bool is_wish = errno == EPIPE || stop_requested(); /* the reader left, or a signal came */
        if (!is_wish)
            complain("cannot write to standard output: %s", strerror(errno));
        end(follow, is_wish ? STATUS_DONE : STATUS_BAD_INPUT);
        return;
    }
    follow->printed++;
    if (follow->printed == follow->options->count)
        end(follow, STATUS_DONE);
}

static void end_in_gap(struct follow *follow, uint64_t last, const char *why)
{
    complain("events after %" PRIu64 " up to %" PRIu64 " are missing: %s", follow->complete, last,
             why);
    end(follow, STATUS_GAP);
}

/* Prints those of a page that were asked for, up to the wanted seq. */
static void print_page(struct follow *follow, const struct log_page *page)
{
    for (uint32_t i = 0; i < page->events.size && !follow->is_over; i++) {
        const msgpack_object *body = &page->events.ptr[i];
        struct seen_event event;
        if (!read_event(body, &event) || event.seq <= follow->complete) {
            complain("the reply to GetEvents breaks the protocol: an event is out of order");
            end(follow, STATUS_BAD_REPLY);
            return;
        }
        if (event.seq > follow->wanted)
            return;
        if (follow->filter.is_everything && event.seq != follow->complete + 1) {
            end_in_gap(follow, event.seq - 1, "the log of the node has a hole");
            return;
        }
        follow->complete = event.seq;
        if (filter_matches(&follow->filter, event.type, event.sku))
            print_event(follow, body);
    }
}

static void use_page(struct follow *follow, const struct log_page *page)
{
    if (follow->from_oldest && page->first != 1)
        follow->complete = page->first > 0 ? page->first - 1 : page->head;
    follow->from_oldest = false;
    if (follow->complete >= follow->wanted)
        return;
    if (page->first == 0 || page->first > follow->complete + 1) {
        end_in_gap(follow, page->first == 0 ? follow->wanted : page->first - 1,
                   "the node does not keep them any more (--from 0 begins with the oldest kept)");
        return;
    }
    print_page(follow, page);
    if (follow->is_over)
        return;
    uint64_t reached = page->is_last ? page->head : page->next;
    if (reached > follow->wanted)
        reached = follow->wanted;
    if (page->is_last && reached < follow->wanted)
        end_in_gap(follow, follow->wanted, "the log at the command endpoint ends before");
    else if (follow->filter.is_everything && follow->complete < reached)
        end_in_gap(follow, reached, "the log of the node has a hole");
    else if (reached > follow->complete)
        follow->complete = reached;
}

/* Reads the log up to the wanted seq. */
static void catch_up(struct follow *follow)
{
    while (!follow->is_over && follow->complete < follow->wanted) {
        uint64_t behind = follow->wanted - follow->complete;
        struct log_page page;
        bool stopped;
        enum status status = log_page_get(follow->log, &follow->filter, follow->complete,
                                          behind < PAGE_EVENTS ? behind : PAGE_EVENTS,
                                          follow->stop_fd, &stopped, &page);
        if (status == STATUS_DONE && !stopped) {
            use_page(follow, &page);
            log_page_close(&page);
        } else if (status == STATUS_DONE) {
            end(follow, STATUS_DONE);
        } else if (status == STATUS_BAD_REPLY || !follow->has_caught_up) {
            end(follow, status);
        } else {
            end_in_gap(follow, follow->wanted, "they could not be fetched");
        }
    }
    follow->has_caught_up = true;
}

static void end_in_broken_feed(struct follow *follow, const char *why)
{
    complain("what came from %s breaks the protocol: %s", follow->options->events, why);
    end(follow, STATUS_BAD_REPLY);
}

/* Heartbeat or Welcome: the seq of the newest event. */
static void take_pulse(struct follow *follow, const msgpack_object *body)
{
    uint64_t seq;
    if (!body_count(body, "seq", &seq)) {
        end_in_broken_feed(follow, "a Heartbeat or Welcome has no seq");
        return;
    }
    if (seq < follow->heard) {
        complain("the node is at seq %" PRIu64 " now and was at %" PRIu64
                 " before: its data is not the same any more",
                 seq, follow->heard);
        end(follow, STATUS_GAP);
        return;
    }
    follow->heard = seq;
    if (seq > follow->wanted)
        follow->wanted = seq;
}

/* Where to begin, from the first Welcome. */
static void begin(struct follow *follow)
{
    follow->has_begun = true;
    follow->complete = follow->heard;
    follow->has_caught_up = !follow->options->replay;
    if (!follow->options->replay)
        return;
    follow->from_oldest = follow->options->from == 0;
    follow->complete = follow->from_oldest ? 0 : follow->options->from - 1;
}

static void take_event(struct follow *follow, const msgpack_object *body)
{
    struct seen_event event;
    if (!read_event(body, &event)) {
        end_in_broken_feed(follow, "an event lacks a key that all events have");
        return;
    }
    if (event.seq > follow->heard)
        follow->heard = event.seq;
    if (event.seq <= follow->complete || event.seq <= follow->wanted)
        return; /* printed, or about to be read from the log */
    bool is_next = event.seq == follow->complete + 1 ||
                   (follow->filter.type_count == 1 && event.prev <= follow->complete);
    if (follow->wanted > follow->complete || !is_next) {
        follow->wanted = event.seq;
        return;
    }
    follow->complete = event.seq;
    print_event(follow, body);
}

static void take_message(struct follow *follow, struct frames *message)
{
    msgpack_unpacked body;
    const char *why;
    if (message->count != 2) {
        end_in_broken_feed(follow, "a message is not a topic and a body");
        return;
    }
    if (!body_unpack(&body, zmq_msg_data(&message->frames[1]), zmq_msg_size(&message->frames[1]),
                     &why)) {
        end_in_broken_feed(follow, why);
        return;
    }
    struct text topic = frame_text(&message->frames[0]);
    bool is_welcome = text_equal(topic, text_of(WELCOME));
    follow->is_welcome = follow->is_welcome || is_welcome;
    if (is_welcome || (follow->is_welcome && text_equal(topic, text_of(HEARTBEAT))))
        take_pulse(follow, &body.data);
    else if (follow->is_welcome)
        take_event(follow, &body.data);
    if (is_welcome && !follow->has_begun && !follow->is_over)
        begin(follow);
    msgpack_unpacked_destroy(&body);
}

/* Welcome last: when it answers, all the other subscriptions are at work. */
static void subscribe(struct follow *follow)
{
    for (size_t i = 0; i < follow->filter.count; i++)
        connection_subscribe(follow->feed, follow->filter.prefixes[i]);
    if (follow->filter.count == 0)
        connection_subscribe(follow->feed, "");
    connection_subscribe(follow->feed, HEARTBEAT);
    connection_subscribe(follow->feed, WELCOME);
    follow->is_subscribed = true;
    follow->was_up = true;
}

static void end_without_connection(struct follow *follow)
{
    complain("no connection to %s: %s", follow->options->events, follow->trouble);
    end(follow, STATUS_NO_CONNECTION);
}

static void lose_feed(struct follow *follow)
{
    follow->trouble = follow->feed->why;
    if (follow->feed->is_broken)
        end_in_broken_feed(follow, follow->trouble);
    else if (follow->feed->refused)
        end_without_connection(follow);
    connection_close(&follow->feed);
    follow->retry_at_ms = clock_now_ms() + follow->retry_ms;
    follow->retry_ms = follow->retry_ms * 2 < RETRY_MAX_MS ? follow->retry_ms * 2 : RETRY_MAX_MS;
}

static void open_feed(struct follow *follow)
{
    const char *why;
    follow->is_subscribed = false;
    follow->is_welcome = false;
    follow->feed = connection_open(follow->transport, ZMQ_SUB, follow->options->events, &why);
    if (follow->feed == NULL) {
        follow->trouble = why;
        follow->retry_at_ms = clock_now_ms() + RETRY_MAX_MS;
    }
}

/* Whether this attempt has lasted long enough: a Welcome can be lost, too. */
static bool is_overdue(const struct follow *follow)
{
    return !follow->is_welcome && clock_now_ms() >= follow->feed->opened_ms + CONNECTION_ATTEMPT_MS;
}

/* Reads what the feed has. */
static void use_feed(struct follow *follow)
{
    connection_update(follow->feed);
    if (follow->feed->state == CONNECTION_UP && !follow->is_subscribed)
        subscribe(follow);
    struct frames message;
    for (unsigned i = 0; i < MESSAGES_A_ROUND && !follow->is_over; i++) {
        if (!connection_receive(follow->feed, &message)) {
            if (follow->feed->state == CONNECTION_DOWN || is_overdue(follow))
                lose_feed(follow);
            break;
        }
        follow->retry_ms = RETRY_FIRST_MS;
        take_message(follow, &message);
        frames_close(&message);
    }
    if (follow->has_begun)
        catch_up(follow);
}

/* No Welcome for the whole of the timeout. Afterwards there is none. */
static void give_up(struct follow *follow)
{
    if (!follow->was_up) {
        end_without_connection(follow);
        return;
    }
    complain("timed out waiting for a Welcome from %s", follow->options->events);
    end(follow, STATUS_UNKNOWN);
}

/* When to look again, even if nothing happens. */
static int64_t next_look_ms(const struct follow *follow)
{
    int64_t next_ms = follow->feed == NULL ? follow->retry_at_ms
                      : follow->is_welcome ? clock_now_ms() + LOOK_MS
                                           : follow->feed->opened_ms + CONNECTION_ATTEMPT_MS;
    bool is_due_before = !follow->has_begun && follow->deadline_ms < next_ms;
    return is_due_before ? follow->deadline_ms : next_ms;
}

/* Until something happens: in the feed, a signal, or the end of the one who reads the output. */
static void wait_for_feed(struct follow *follow)
{
    zmq_pollitem_t items[2 + CONNECTION_POLL_ITEMS] = {
        {NULL, follow->stop_fd, ZMQ_POLLIN, 0},
        {NULL, STDOUT_FILENO, ZMQ_POLLERR, 0},
    };
    int count = 2;
    if (follow->feed != NULL) {
        connection_poll_items(follow->feed, false, items + 2);
        count += CONNECTION_POLL_ITEMS;
    }
    zmq_poll(items, count, clock_wait_ms(next_look_ms(follow)));
    if (stop_requested() || items[1].revents != 0)
        end(follow, STATUS_DONE);
}

enum status follow_run(struct transport transport, const struct options *options)
{
    struct follow follow = {
        .options = options,
        .transport = transport,
        .stop_fd = stop_install(),
        .retry_ms = RETRY_FIRST_MS,
        .trouble = "nobody answers there",
        .deadline_ms = clock_now_ms() + options->timeout_ms,
    };
    if (follow.stop_fd < 0) {
        complain("cannot wait for signals: %s", strerror(errno));
        return STATUS_BAD_INPUT;
    }
    filter_init(&follow.filter, options->rest, (size_t)options->rest_count);
    follow.log = pipeline_new(transport, options->commands, options->timeout_ms);
    while (!follow.is_over) {
        if (follow.feed == NULL && clock_now_ms() >= follow.retry_at_ms)
            open_feed(&follow);
        wait_for_feed(&follow);
        if (follow.feed != NULL && !follow.is_over)
            use_feed(&follow);
        if (!follow.has_begun && !follow.is_over && clock_now_ms() >= follow.deadline_ms)
            give_up(&follow);
    }
    connection_close(&follow.feed);
    pipeline_destroy(&follow.log);
    return follow.status;
}
