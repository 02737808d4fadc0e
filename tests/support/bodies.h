/* Bodies of messages for the tests, written in a small notation that is like JSON with single
 * quotes: {'k':1,'l':[nil,true,1.5]}. Beyond JSON, 'ab'*3 is 'ababab', and <c0ff> stands for raw
 * bytes in the place of a key or value. Several values one after the other are allowed. */
#ifndef TESTS_SUPPORT_BODIES_H
#define TESTS_SUPPORT_BODIES_H

#include "store/wire/codec.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* For tables: a struct text with a literal in it. */
#define T(string)                                                                                  \
    {                                                                                              \
        string, sizeof string - 1                                                                  \
    }

/* The codec under test, from bodies_set_up to bodies_tear_down. */
extern struct codec *codec;

/* Set-up and tear-down of a cmocka case. */
int bodies_set_up(void **state);
int bodies_tear_down(void **state);

/* The bytes for a notation. They live until three more bodies are made or copied, and end where
 * their memory ends, so that a sanitizer sees who reads too far. */
struct text body_of(const char *notation);
struct text body_copy(const char *data, size_t len);

/* Builds a body by hand: a first byte, then a number in so many bytes, big-endian. */
void body_begin(void);
void body_put(unsigned byte, uint64_t number, unsigned width);
struct text body_end(void);

/* A body in the notation, integers as what they are in any width. Static memory, until the next
 * call. Fails the test unless it is exactly one msgpack value. */
const char *body_shown(struct text body);

#define assert_shows(body, notation) assert_string_equal(body_shown(body), notation)

/* Fails unless `t` is `expected`; NULL stands for an absent text. */
void assert_text(struct text t, const char *expected);

#endif
