# What the lint tests share. A test defines `check`, which runs in a source tree and prints a line
# for each violation, beginning with the file's path. Then it says, one call each:
#   must_catch PATH CONTENT...   check complains about PATH, were it added with these lines
#   must_pass PATH CONTENT...    check has nothing to say about it
#   tree_is_clean                the tree itself has no violation
# So a test that has gone blind fails.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C

folders=(domain bus store node tools tests)
root=$(cd "$(dirname "$0")/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# The tree's files by name patterns, one a line: files '*.c' '*.h'.
files() {
    local names=()
    for pattern in "$@"; do
        names+=(-o -name "$pattern")
    done
    find "${folders[@]}" -type f \( "${names[@]:1}" \) | sort
}

# The C files' code, comments and texts blanked: `path:number: line`.
code() {
    files '*.[ch]' '*.def' | xargs perl -0777 -ne '
        s{/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27}
         {my $text = $&; $text =~ s/[^\n]//g; $text eq "" ? "_" : $text}gsex;
        my $number = 0;
        print "$ARGV:", ++$number, ": $_\n" for split /\n/;'
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

copy_tree() {
    (
        cd "$root"
        mkdir -p "${folders[@]/#/$copy/}"
        cp -r .clang-format "$copy"
        files '*.[ch]' '*.def' '*.py' '*.sh' | xargs cp --parents --target-directory="$copy"
    )
}

findings_with() {
    local path=$1
    shift
    mkdir -p "$copy/$(dirname "$path")"
    printf '%s\n' "$@" >"$copy/$path"
    (cd "$copy" && check)
    rm "$copy/$path"
}

must_catch() {
    findings_with "$@" | grep "^$1:" >/dev/null || fail "no complaint about $1 with: ${*:2}"
}

must_pass() {
    if findings_with "$@" | grep "^$1:" >&2; then
        fail "a complaint about $1 with: ${*:2}"
    fi
}

tree_is_clean() {
    local findings
    findings=$(cd "$root" && check)
    [[ -z $findings ]] || fail "$findings"
    echo "the tree is clean"
}

copy_tree
