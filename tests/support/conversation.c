#include "tests/support/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

int conversation_set_up(void **state)
{
    struct conversation *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->store = memory_store_new();
    c->codec = codec_new();
    assert_true(c->store != NULL && c->codec != NULL);
    faulty_store_init(&c->faulty, memory_store_unit(c->store), memory_store_reader(c->store));
    c->fakes = fake_parts_new(&c->faulty.unit, &c->faulty.reader);
    *state = c;
    return 0;
}

int conversation_tear_down(void **state)
{
    struct conversation *c = *state;
    fake_parts_destroy(&c->fakes);
    memory_store_destroy(&c->store);
    codec_destroy(&c->codec);
    notation_release(&c->reply);
    notation_release(&c->events);
    free(c);
    return 0;
}

void conversation_send(struct conversation *c, const char *line)
{
    struct request request = build_request(line);
    bus_handle(c->fakes->bus, &request, NULL);
}

enum store_result conversation_commit(struct conversation *c)
{
    return bus_commit(c->fakes->bus);
}

const char *conversation_reply(struct conversation *c, size_t index)
{
    notation_clear(&c->reply);
    notation_add_reply(&c->reply, bus_reply(c->fakes->bus, index), c->codec);
    return notation_text(&c->reply);
}

void conversation_end_group(struct conversation *c)
{
    bus_end_group(c->fakes->bus);
}

const char *conversation_events(struct conversation *c)
{
    struct fake_publisher *publisher = &c->fakes->publisher;
    notation_clear(&c->events);
    for (size_t i = 0; i < publisher->count; i++) {
        const struct published_event *published = &publisher->events[i];
        assert_int_equal(published->type, published->event.type);
        assert_true(text_equal(published->sku, published->event.sku));
        notation_add(&c->events, i > 0 ? "; " : "");
        notation_add_stored_event(&c->events, &published->event);
    }
    fake_publisher_clear(publisher);
    return notation_text(&c->events);
}

const char *conversation_ask(struct conversation *c, const char *line)
{
    conversation_send(c, line);
    assert_int_equal(conversation_commit(c), STORE_OK);
    bus_publish(c->fakes->bus);
    const char *reply = conversation_reply(c, 0);
    conversation_end_group(c);
    return reply;
}

void converse(struct conversation *c, const struct exchange *exchanges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct exchange *exchange = &exchanges[i];
        const char *reply = conversation_ask(c, exchange->request);
        const char *events = conversation_events(c);
        if (strcmp(reply, exchange->reply) != 0)
            fail_msg("%zu: %s\n  expected: %s\n  actual:   %s", i, exchange->request,
                     exchange->reply, reply);
        if (exchange->events != NULL && strcmp(events, exchange->events) != 0)
            fail_msg("%zu: %s\n  expected: %s\n  actual:   %s", i, exchange->request,
                     exchange->events, events);
    }
}
