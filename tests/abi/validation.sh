#!/bin/bash
# What it costs to believe nobody: instructions a message of 64 bytes, sent and received, with all checks
# of what another process wrote (and of whose file it is), and without them (TONG_UNCHECKED, which is for
# this count alone). At most 6. That the mapping is read-only costs none.
set -u
export LC_ALL=C
most=6

source=${ABI_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
cc=${CC:-cc}
if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed"
    exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/validation.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

build() { # OUT DEFINITIONS...
    local out=$1
    shift
    mapfile -t sources < <(find "$source/src" -name '*.c' ! -name '*_test.c' | sort)
    "$cc" -std=c11 -O2 -DNDEBUG -D_GNU_SOURCE= -DTONG_POINTS=0 "$@" -I "$source/include" \
        -I "$source/src" -o "$out" "${sources[@]}" "$source/bench/loop.c" -pthread -ldl
}

instructions() { # PROGRAM COUNT
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" copying "$2" 64 2>&1 |
        awk '/Collected/ { print $NF }'
}

each() { # PROGRAM: instructions of 100 messages
    local few=2000 more=12000 a b
    a=$(instructions "$1" $few)
    b=$(instructions "$1" $more)
    [ -n "$a" ] && [ -n "$b" ] || return 1
    echo $(((b - a) * 100 / (more - few)))
}

build "$work/checked" && build "$work/unchecked" -DTONG_UNCHECKED=1 || exit 1
checked=$(each "$work/checked") && unchecked=$(each "$work/unchecked") || {
    echo "callgrind counted nothing"
    exit 1
}
difference=$((checked - unchecked))
awk "BEGIN { printf \"64 B, sent and received: %.2f instructions, without checks %.2f: %.2f more\n\",
    $checked / 100, $unchecked / 100, $difference / 100 }"
if [ "$difference" -gt $((most * 100)) ]; then
    echo "more than $most"
    exit 1
fi
if cmp -s "$work/checked" "$work/unchecked"; then
    echo "no check was left out: the count is worth nothing"
    exit 1
fi
