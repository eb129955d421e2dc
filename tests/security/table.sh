#!/bin/bash
# Every line of the list of attacks in docs/security.md names tests that exist, or says why it does not
# apply.
#
#   table.sh SOURCE
#
# A test is named `folder.file: name`: a case of src/folder/file_test.c, tests/folder/file_test.c or
# tests/folder/file.sh; or `fuzz: target`, `models: name`.
set -u
export LC_ALL=C
cd "${1:?the source tree}" || exit 1
document=docs/security.md
failed=0

complain() {
    echo "$document: $*"
    failed=1
}

# test_exists PROGRAM NAME
test_exists() {
    local program=$1 name=$2 file
    case $program in
    fuzz) [ -f "tests/fuzz/$name.c" ] && return ;;
    models) [ -f "models/$name.pml" ] && return ;;
    esac
    for file in "src/${program/.//}_test.c" "tests/${program/.//}_test.c"; do
        if [ -f "$file" ] && grep -qE "KIT_TEST(_LONG)?\($name\b" "$file"; then
            return
        fi
    done
    file=tests/${program/.//}.sh
    [ -f "$file" ] && grep -qE "^(check )?$name\b|[ ]$name( |;|\$)" "$file"
}

rows=$(grep -E '^\| [0-9]+ \|' "$document")
for number in $(seq 1 37); do
    row=$(grep -E "^\\| $number \\|" <<<"$rows")
    if [ "$(grep -c . <<<"$row")" -ne 1 ]; then
        complain "attack $number has $(grep -c . <<<"$row") lines"
        continue
    fi
    names=$(grep -oE '`[a-z_]+(\.[a-z_]+)?: [a-z_0-9]+`' <<<"$row" | tr -d '\140')
    if [ -z "$names" ] && ! grep -q 'does not apply: [a-z]' <<<"$row"; then
        complain "attack $number names no test and no reason"
    fi
    while IFS=': ' read -r program name; do
        [ -z "$program" ] || test_exists "$program" "$name" ||
            complain "attack $number names $program: $name, which does not exist"
    done <<<"$names"
done
if [ $failed = 0 ]; then
    echo "ok - every_attack_has_a_test_or_a_reason"
    echo "ok - $(grep -oE '`[a-z_]+(\.[a-z_]+)?: [a-z_0-9]+`' <<<"$rows" | sort -u | grep -c .)_tests_are_named"
else
    echo "not ok - every_attack_has_a_test_or_a_reason"
fi
exit $failed
