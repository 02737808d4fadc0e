#!/bin/bash
# Calls that have a better one, and words that must not stay.
source "$(dirname "$0")/lint.sh"

# Without a bound, or with one that lies.
unbounded='strcpy|stpcpy|strcat|strncpy|strncat|sprintf|vsprintf|gets|alloca|v?f?scanf|v?sscanf'
# Cannot tell an error from a number.
blind='atoi|atol|atoll|atof|strtok'
# A test that sleeps is slow or flaky; code that sleeps is late. Wait for a state instead, with the
# one helper of tests/support that asks for it again and again.
late='sleep|usleep|nanosleep|clock_nanosleep'
shells='system|popen'
# Time, chance and I/O come to domain and bus from outside, through the ports.
impure='time|clock_gettime|gettimeofday|rand|random|getenv|fopen|open|printf|fprintf|puts|fputs'

check() {
    code >"$copy/.code"
    grep -E "[^A-Za-z0-9_.>]($unbounded|$blind|$late|$shells)[[:space:]]*\(" "$copy/.code" || true
    grep -E '[^A-Za-z0-9_]NDEBUG([^A-Za-z0-9_]|$)' "$copy/.code" || true
    grep -E "^(domain|bus)/.*[^A-Za-z0-9_.>]($impure)[[:space:]]*\(" "$copy/.code" || true
    files '*.py' | grep -v '^tests/support/' | xargs --no-run-if-empty grep -HnE '[^A-Za-z0-9_]sleep[[:space:]]*\(|shell=True' || true
    files '*.sh' | grep -v '^tests/lint/' |
        xargs --no-run-if-empty grep -HnE '(^|[;&|({])[[:space:]]*(u?sleep|eval)([[:space:]]|$)' || true
    files '*.[ch]' '*.def' '*.py' | xargs grep -HnE '(^|[^A-Za-z0-9_])(TODO|FIXME|XXX)([^A-Za-z0-9_]|$)' || true
}

must_catch node/planted.c '    strcpy(to, from);'
must_catch node/planted.c '    n = atoi (text);'
must_catch node/planted.c '    if (sscanf(text, "%d", &n) == 1)'
must_catch tests/node/planted.c '    sleep(1);'
must_catch store/planted.h '#ifndef NDEBUG'
must_catch bus/planted.c '    now = time(NULL);'
must_catch domain/planted.c '    FILE *file = fopen(name, "r");'
must_catch tests/e2e/planted.py '    time.sleep(0.1)'
must_catch tests/e2e/planted.sh 'start & sleep 1'
must_catch bus/planted.c '/* TODO: think */'
must_pass tests/planted.c 'static char name[] = "/tmp/x.XXXXXX";'
must_pass node/planted.c '/* not strcpy(a, b) */' '    log("never atoi(x)");' '    node->time(node);'
must_pass bus/planted.c '    now = clock->now_ms(clock);' '    x = my_time(1) + publish_open(2);'
tree_is_clean
