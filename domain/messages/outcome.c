#include "domain/messages/outcome.h"

#include <assert.h>
#include <stddef.h>

const struct outcome_info *outcome_info(enum outcome outcome)
{
    static const struct outcome_info infos[] = {
#define OUTCOME(upper, wire, retryable, remembered, sentence, about, about_more)                   \
    {#wire, retryable, remembered, sentence, about, about_more},
#include "domain/messages/outcomes.def"
    };
    assert(outcome < OUTCOMES);
    return &infos[outcome];
}
