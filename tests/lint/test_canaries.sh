#!/bin/bash
# A canary that no longer applies, or whose test is gone, guards nothing.
source "$(dirname "$0")/lint.sh"

cp -r --parents tests/canaries "$copy"

# The case that a patch names, in the source of the test that it names.
names_a_case() {
    local test=$1 case=$2 sources
    if [[ -e tests/$test.py ]]; then
        grep -q "^class ${case%.*}[(:]" "tests/$test.py" &&
            grep -q "^    def ${case#*.}(" tests/support/*.py "tests/$test.py"
    else
        sources=("tests/$test.c" tests/support/*.c)
        [[ -e tests/$test.c ]] && grep -q "void $case(void" "${sources[@]}"
    fi
}

check() {
    local patch test case listed
    for patch in tests/canaries/*.patch; do
        patch --dry-run --strip=1 --fuzz=0 --forward --batch --silent <"$patch" >/dev/null 2>&1 ||
            echo "$patch: it does not apply"
        read -r test case < <(sed -n 's/^Caught-by: //p' "$patch") || true
        names_a_case "${test:-none}" "${case:-none}" || echo "$patch: there is no ${test:-} ${case:-}"
    done
    listed=$(/usr/bin/python3 tests/canaries/run.py --list 2>&1) || true
    { diff <(grep '^| `' tests/canaries/README.md) <(echo "$listed") || true; } |
        sed -n 's,^> | `\([^`]*\)`.*,tests/canaries/\1.patch: not so in README.md,p
                s,^< | `\([^`]*\)`.*,tests/canaries/README.md: \1 is not what it says,p'
}

# must_say COMPLAINT LINE...: about a canary with these lines.
must_say() {
    local said
    said=$(findings_with tests/canaries/planted.patch "${@:2}")
    [[ $said == *"planted.patch: $1"* ]] || fail "not \"$1\" but: $said"
}

caught='Caught-by: bus/test_queue an_empty_queue_has_nothing'
place=('--- a/store/hash.c' '+++ b/store/hash.c' '@@ -1,1 +1,1 @@')
first=$(head -1 store/hash.c)
must_say 'it does not apply' 'A defect.' '' "$caught" '' "${place[@]}" '-no such line' '+x'
must_say 'there is no bus/test_queue no_such_case' 'A defect.' '' \
    'Caught-by: bus/test_queue no_such_case' '' "${place[@]}" "-$first" '+x'
must_say 'not so in README.md' 'A defect.' '' "$caught" '' "${place[@]}" "-$first" '+x'
tree_is_clean
