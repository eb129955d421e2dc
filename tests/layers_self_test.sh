#!/bin/bash
# Does layers.sh refuse? A small good tree is accepted; each fault put into it is found and named.
set -u

here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d "${TMPDIR:-/tmp}/tong-layers.XXXXXX") || exit 1
trap 'rm -rf "$tree"' EXIT
failed=0

# file PATH: made of stdin.
file() {
    mkdir -p "$tree/$(dirname "$1")"
    cat >"$tree/$1"
}

good_tree() {
    rm -rf "${tree:?}"/*
    file include/tong/tong.h <<<'#include <stddef.h>'
    file src/base/err.h <<<'#include <errno.h>'
    printf '%s\n' '#include "base/err.h"' '' '#include <stdio.h>' | file src/base/err.c
    file src/link/link.h <<<'#include "base/err.h"'
    printf '%s\n' '#include "link/link.h"' '' '#include <string.h>' '' '#include <tong/tong.h>' \
        '#include "base/err.h"' | file src/link/link.c
    file src/mailbox/box.h <<<'#include "link/link.h"'
    printf '%s\n' '#include "mailbox/box.h"' '#include "base/err.h"' | file src/mailbox/policy/any.c
    printf '%s\n' '#include <stdarg.h>' '#include <cmocka.h>' '#include "kit.h"' \
        '#include "link/link.h"' | file src/link/link_test.c
    printf '%s\n' '#include <tong/tong.h>' | file tests/kit/kit.h
    printf '%s\n' '#include <stdio.h>' '#include "kit.h"' | file tests/conformance/order_test.c
    printf '%s\n' '#include "tool.h"' '' '#include <stdio.h>' | file tools/tong/main.c
    file tools/tong/tool.h <<<'#include <tong/tong.h>'
}

# accepted NAME
accepted() {
    if output=$("$here/layers.sh" "$tree"); then
        echo "ok - $1"
    else
        printf 'not ok - %s\n%s\n' "$1" "$output"
        failed=1
    fi
}

# refused NAME PLACE WORDS: exactly one fault, at PLACE, with these words; then the tree is mended.
refused() {
    output=$("$here/layers.sh" "$tree")
    code=$?
    if [ $code -eq 1 ] && [ "$(wc -l <<<"$output")" -eq 1 ] &&
        grep -qF -- "$2: " <<<"$output" && grep -qF -- "$3" <<<"$output"; then
        echo "ok - $1"
    else
        printf 'not ok - %s: exit %d\n%s\n' "$1" "$code" "$output"
        failed=1
    fi
    good_tree
}

# function_of LINES: a function whose body has that many, braces counted.
function_of() {
    printf 'static int long_one(int x)\n{\n'
    for ((i = 2; i < $1; i++)); do
        echo '    x++;'
    done
    printf '}\n'
}

good_tree
accepted 'a_good_tree_is_accepted'

{ function_of 60; function_of 60; } | file src/base/err.c
accepted 'functions_of_60_lines_are_accepted'
good_tree

yes '/* */' | head -800 | file src/base/clock.h
accepted 'a_file_of_800_lines_is_accepted'
good_tree

echo '#include "link/link.h"' | file src/base/clock.h
refused 'base_may_not_reach_up_to_link' src/base/clock.h:1 'floor 2, from floor 0'

echo '#  include "mailbox/box.h"' | file src/link/grow.c
refused 'link_may_not_reach_up_to_mailbox' src/link/grow.c:1 'floor 3, from floor 2'

echo '#include "mailbox/box.h"' | file src/link/take_test.c
refused 'a_test_stays_on_its_floor' src/link/take_test.c:1 'floor 3, from floor 2'

echo '#include "link.h"' | file src/link/grow.c
refused 'a_header_is_named_with_its_folder' src/link/grow.c:1 'no header of src/'

echo '#include <link/link.h>' | file src/mailbox/owner.c
refused 'angle_brackets_do_not_hide_an_internal_header' src/mailbox/owner.c:1 'angle brackets'

echo '#include "base/err.h"' | file src/extra/extra.c
refused 'a_folder_that_is_no_floor_is_refused' src/extra/extra.c:1 'on no floor'

echo '#include "base/err.h"' | file tools/tong/cmd_send.c
refused 'the_command_sees_no_internal_header' tools/tong/cmd_send.c:1 'internal header'

echo '#include "../src/base/err.h"' | file bench/rtt.c
refused 'a_path_upwards_is_no_way_round' bench/rtt.c:1 'not in its own folder'

echo '#include "link/link.h"' | file tests/process/kill_test.c
refused 'process_tests_see_no_internal_header' tests/process/kill_test.c:1 'internal header'

echo '#include <tong/secret.h>' | file examples/hello.c
refused 'there_is_one_public_header' examples/hello.c:1 'only public header'

echo '#include "base/err.h"' | file include/tong/tong.h
refused 'the_public_header_stands_alone' include/tong/tong.h:1 'stands alone'

printf '%s\n' '#include <string.h>' '#include "link/link.h"' | file src/link/link.c
refused 'the_own_header_comes_first' src/link/link.c:1 'comes first'

printf '%s\n' '#include "link/link.h"' '#include "base/err.h"' '#include <string.h>' |
    file src/link/link.c
refused 'system_headers_come_before_tongs' src/link/link.c:3 'come before'

function_of 61 | file src/base/err.c
refused 'a_function_of_61_lines_is_refused' src/base/err.c:62 'function long_one has 61 lines'

yes '/* */' | head -801 | file src/base/clock.h
refused 'a_file_of_801_lines_is_refused' src/base/clock.h:801 'more than 800'

yes '# ' | head -801 | file scripts/check
refused 'a_script_of_801_lines_is_refused' scripts/check:801 'more than 800'

exit $failed
