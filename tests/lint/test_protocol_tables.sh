#!/bin/bash
# The tables of docs/PROTOCOL.md are those of the rows: what stands between its markers is what the
# program in $PROTOCOL_TABLES prints. Where it is not, the difference is what to change.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/../.." && pwd)
document=$root/docs/PROTOCOL.md
begin='<!-- tables: begin -->'
end='<!-- tables: end -->'
copy=$(mktemp)
tables=$(mktemp)
trap 'rm -f "$copy" "$tables"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# The lines between the markers, the blank ones next to them left out.
shown_in() {
    sed -n "/^$begin\$/,/^$end\$/p" "$1" | sed '1,2d' | sed '$d' | sed '$d'
}

is_current() {
    diff -u <(shown_in "$1") "$tables"
}

# must_notice WHAT SED-SCRIPT: were the document changed in this way, the test would fail.
must_notice() {
    sed "$2" "$document" >"$copy"
    ! cmp -s "$copy" "$document" || fail "$1: the change itself does nothing"
    ! is_current "$copy" >/dev/null || fail "$1 is not noticed"
}

"$PROTOCOL_TABLES" >"$tables"
[[ -s $tables ]] || fail "the program prints nothing"
is_current "$document" || fail "the tables of docs/PROTOCOL.md are not those of the rows"
must_notice "a changed row" 's/^| `Allocate` | `qty` | `qty` | required |$/| `Allocate` | `qty` | `ref` | required |/'
must_notice "a missing row" '/^| `OutOfStock` | `waiting` /d'
must_notice "a row too many" 's/^| `Ping` | none .*/&\n&/'
must_notice "a changed sentence" 's/^| `storage_full` | yes /| `storage_full` | no /'
must_notice "a missing marker" "/^$end\$/d"
echo "the tables are current"
