#!/bin/bash
# The examples of the manual work as they stand: those of section 3 are whole programs, those of sections 1 and 7
# are commands; those of section 1 have each verb of the command in them.
. "$(dirname "$0")/lib.sh"

program_works() { # PAGE
    local example n=0
    for example in $(examples "$1"); do
        n=$((n + 1))
        mv "$example" "$scratch/program.c"
        "${CC:-cc}" -Wall -Wextra -Werror -I"$MAN_SOURCE/include" -o "$scratch/program" "$scratch/program.c" \
            -L"$MAN_BUILD/lib" -Wl,-rpath,"$MAN_BUILD/lib" -ltong || return 1
        timeout 60 "$scratch/program" >"$scratch/said" || { echo "exit $?"; cat "$scratch/said"; return 1; }
        [ -s "$scratch/said" ] || { echo "it says nothing"; return 1; }
    done
    [ $n -ge 1 ] || { echo 'it has no example'; return 1; }
}

# What an example leaves in the background is ended behind it: each has a group of its own.
run_example() { # EXAMPLE
    local r
    set -m
    (cd "$scratch/here" && PATH=$scratch/bin:$PATH exec timeout --foreground 60 bash -e "$1") </dev/null &
    wait $!
    r=$?
    kill -TERM -- -$! 2>/dev/null && while kill -0 -- -$! 2>/dev/null; do sleep 0.02; done
    set +m
    return $r
}

commands_work() { # PAGE
    local example n=0 r
    rm -rf "$scratch/here"
    mkdir -p "$scratch/bin" "$scratch/here" && ln -sf "$(realpath "$TONG")" "$scratch/bin/tong"
    for example in $(examples "$1"); do
        n=$((n + 1))
        run_example "$example"
        r=$?
        echo
        [ $r -eq 0 ] || { cat "$example"; echo "exit $r"; return 1; }
    done
    [ $n -ge 1 ] || { echo 'it has no example'; return 1; }
}

# What the examples of section 1 print is what they say.
they_do_what_they_say() {
    local wanted
    commands_work "$MAN_SOURCE/man/tong.1" >"$scratch/printed" 2>&1 || { cat "$scratch/printed"; return 1; }
    for wanted in '^Hi there$' '^7$' '^\./work$' '^GOOD MORNING$' '^three apples$' '^owner  *process' '^kilroy was here$' \
        '^0$' 'what waits'; do
        grep -q "$wanted" "$scratch/printed" || { echo "not printed: $wanted"; cat "$scratch/printed"; return 1; }
    done
}

every_verb_has_an_example() {
    local verb example
    for verb in $("$TONG" complete '' | cut -f 1); do
        for example in $(examples "$MAN_SOURCE/man/tong.1"); do
            cat "$example"
        done | grep -qw "tong $verb" || echo "no example of tong $verb"
    done >"$scratch/missing"
    cat "$scratch/missing"
    [ ! -s "$scratch/missing" ]
}

for page in "$MAN_SOURCE"/man/*.3; do
    check "program_of_$(basename "$page")_works" program_works "$page"
done
check every_verb_has_an_example every_verb_has_an_example
check commands_of_tong.1_do_what_they_say they_do_what_they_say
for page in "$MAN_SOURCE"/man/*.[24-7]; do
    check "commands_of_$(basename "$page")_work" commands_work "$page"
done
"$TONG" doctor --repair >/dev/null 2>&1 # after those that end without closing
exit $failed
