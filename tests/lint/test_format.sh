#!/bin/bash
# Layout is decided once, in .clang-format.
source "$(dirname "$0")/lint.sh"

check() {
    { files '*.[ch]' | xargs clang-format --dry-run -Werror; } 2>&1 | grep ' error: ' || true
}

must_catch bus/planted.c 'int f(void) { return  1; }'
must_pass bus/planted.c 'int f(void)' '{' '    return 1;' '}'
tree_is_clean
