#!/bin/bash
# The table of README.md that stands tong beside others: what it says of tong has a test, which is there; and each
# row has a cell for each system.
. "$(dirname "$0")/lib.sh"

rows() {
    awk '/^## / { inside = /^## tong and others/ } inside && /^\| / && !/^\| \| tong/ && !/^\|---/' "$ABI_SOURCE/README.md"
}

every_row_is_whole() {
    [ "$(rows | wc -l)" -ge 30 ] && rows | awk -F'|' '
        NF != 15 { print NF - 2 " cells: " $0; bad = 1 }
        { for (i = 3; i < NF; i++) if (i != 4 && $i !~ /^ (yes|part|no|\?)(°)? $/) { print "cell " i ": " $0; bad = 1 } }
        $3 !~ /no/ && $4 !~ /`/ { print "no test: " $0; bad = 1 }
        END { exit bad }'
}

every_test_is_there() {
    local test
    ctest --test-dir "$ABI_BUILD" -N | sed -n 's/.*Test *#[0-9]*: //p' >"$scratch/tests"
    [ "$(wc -l <"$scratch/tests")" -gt 20 ] || { echo 'ctest lists none'; return 1; }
    for test in $(rows | cut -d '|' -f 4 | tr -d '`' | tr ' ' '\n' | sort -u); do
        grep -qxF "$test" "$scratch/tests" || echo "no such test: $test"
    done >"$scratch/missing"
    cat "$scratch/missing"
    [ ! -s "$scratch/missing" ]
}

check every_row_is_whole every_row_is_whole
if command -v ctest >/dev/null; then
    check every_test_is_there every_test_is_there
else
    skip every_test_is_there 'ctest is not there'
fi
exit $failed
