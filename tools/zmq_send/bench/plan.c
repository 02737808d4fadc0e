#include "tools/zmq_send/bench/plan.h"

#include "tools/zmq_send/report.h"

#include <stdlib.h>
#include <string.h>

#define SHARE_MAX 1000000u

static const char *const kind_names[BENCH_KINDS] = {
#define MIX(name, share, what) #name,
    BENCH_MIX(MIX)
#undef MIX
};

struct bench_plan bench_plan_default(void)
{
    return (struct bench_plan){
        .clients = 1,
        .inflight = 4096,
        .seconds = 10,
        .skus = 10000,
        .shares =
            {
#define MIX(name, share, what) share,
                BENCH_MIX(MIX)
#undef MIX
            },
        .ceiling_directory = ".",
    };
}

/* The kind whose name stands before a '=' at `text`; BENCH_KINDS: there is none. */
static size_t kind_at(const char *text)
{
    size_t kind = 0;
    while (kind < BENCH_KINDS && !(strncmp(text, kind_names[kind], strlen(kind_names[kind])) == 0 &&
                                   text[strlen(kind_names[kind])] == '='))
        kind++;
    return kind;
}

/* Takes KIND=SHARE at *text and moves *text behind it. */
static bool take_share(uint64_t shares[BENCH_KINDS], const char **text)
{
    size_t kind = kind_at(*text);
    if (kind == BENCH_KINDS)
        return false;
    const char *number = *text + strlen(kind_names[kind]) + 1;
    char *end = NULL;
    unsigned long share = strtoul(number, &end, 10);
    if (number[0] < '0' || number[0] > '9' || share > SHARE_MAX)
        return false;
    shares[kind] = share;
    *text = end;
    return true;
}

bool bench_plan_mix(struct bench_plan *plan, const char *text)
{
    uint64_t shares[BENCH_KINDS] = {0};
    uint64_t sum = 0;
    const char *rest = text;
    bool is_good = take_share(shares, &rest);
    while (is_good && *rest == ',') {
        rest++;
        is_good = take_share(shares, &rest);
    }
    for (size_t i = 0; i < BENCH_KINDS; i++)
        sum += shares[i];
    if (!is_good || *rest != '\0' || sum == 0) {
        complain("--mix takes shares such as allocate=90,get=8,change=2, not '%s'", text);
        return false;
    }
    memcpy(plan->shares, shares, sizeof shares);
    return true;
}
