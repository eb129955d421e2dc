#!/bin/bash
# The examples of the manual work as they stand: those of section 3 are whole programs, those of section 7
# are commands.
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

commands_work() { # PAGE
    local example n=0
    mkdir -p "$scratch/bin" && ln -sf "$(realpath "$TONG")" "$scratch/bin/tong"
    for example in $(examples "$1"); do
        n=$((n + 1))
        PATH=$scratch/bin:$PATH timeout 60 bash -e "$example" || { echo "exit $?"; return 1; }
    done
    [ $n -ge 1 ] || { echo 'it has no example'; return 1; }
}

for page in "$MAN_SOURCE"/man/*.3; do
    check "program_of_$(basename "$page")_works" program_works "$page"
done
for page in "$MAN_SOURCE"/man/*.7; do
    check "commands_of_$(basename "$page")_work" commands_work "$page"
done
"$TONG" doctor --repair >/dev/null 2>&1 # after those that end without closing
exit $failed
