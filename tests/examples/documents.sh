#!/bin/bash
# documents.sh ROOT - every example has its expected output and a place in docs/textbook.md, and what that
# page names is there: examples, tests, calls of tong.h.
set -u
export LC_ALL=C
cd "$1" || exit 1
page=docs/textbook.md
faults=0
fault() {
    echo "not ok - $1"
    faults=$((faults + 1))
}

for source in examples/*.c examples/*.sh; do
    grep -qE '^int main|^#!' "$source" || continue
    name=$(basename "${source%.*}")
    [ -s "tests/examples/$name.expected" ] || fault "tests/examples/$name.expected is missing"
    grep -q "\`$name\`" "$page" || fault "$page does not name the example $name"
done
# Named in the third and fourth cell of a table's row.
while IFS= read -r name; do
    [ -f "examples/$name.c" ] || [ -f "examples/$name.sh" ] || fault "$page names an example that is not there: $name"
done < <(awk -F'|' '/^\|/ && !/^\| (the text|what people)/ { print (NF > 4 ? $4 : $3) }' "$page" |
    grep -oE '`[a-z_]+`' | tr -d '`')
while IFS= read -r name; do
    [ -f "tests/${name/.//}_test.c" ] || fault "$page names a test that is not there: $name"
done < <(grep -oE '`(conformance|process)\.[a-z_]+`' "$page" | tr -d '`')
while IFS= read -r name; do
    grep -qw "$name" include/tong/tong.h || fault "$page names what tong.h does not: $name"
done < <(grep -oE '\b(tong_[a-z_]+|TONG_[A-Z_]+)\b' "$page")
[ "$faults" -eq 0 ] && echo "ok - the examples and docs/textbook.md agree"
[ "$faults" -eq 0 ]
