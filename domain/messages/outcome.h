/* What came of a request: done, or one of the refusals of the protocol. */
#ifndef DOMAIN_MESSAGES_OUTCOME_H
#define DOMAIN_MESSAGES_OUTCOME_H

#include <stdbool.h>

enum outcome {
#define OUTCOME(upper, wire, retryable, remembered, sentence, about, about_more) OUTCOME_##upper,
#include "domain/messages/outcomes.def"
    OUTCOMES
};

struct outcome_info {
    const char *code; /* on the wire */
    bool retryable;   /* the same request may succeed later */
    bool remembered;  /* kept for a repeated id */
    const char *sentence;
    const char *about;      /* the request's field that it names, or NULL */
    const char *about_more; /* and a second one, or NULL */
};

/* Requires: a valid outcome. Static data. */
const struct outcome_info *outcome_info(enum outcome outcome);

#endif
