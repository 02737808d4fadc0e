#!/bin/bash
# A function that does not fit on a screen, and a file that nobody reads to its end.
source "$(dirname "$0")/lint.sh"

function_lines_max=70
file_lines_max=600

# A function's braces are the ones in the first column (.clang-format: Linux braces).
check() {
    files '*.[ch]' '*.def' '*.py' '*.sh' | xargs awk \
        -v function_max=$function_lines_max -v file_max=$file_lines_max '
        FNR == file_max + 1 { print FILENAME ":" FNR ": the file has more than " file_max " lines" }
        FILENAME !~ /\.[ch]$/ { next }
        /^\{/ { start = FNR }
        /^\}/ && start {
            if (FNR - start + 1 > function_max)
                print FILENAME ":" start ": a function of " FNR - start + 1 " lines"
            start = 0
        }'
}

lines() {
    for ((i = 0; i < $1; i++)); do
        echo "    f($i);"
    done
}

must_catch bus/planted.c 'void g(void)' '{' "$(lines 69)" '}'
must_pass bus/planted.c 'void g(void)' '{' "$(lines 68)" '}'
must_catch domain/planted.h "$(lines 601)"
must_pass domain/planted.h "$(lines 600)"
must_catch tests/e2e/planted.py "$(lines 601)"
tree_is_clean
