#!/bin/bash
# The probes for tracing: the notes in the library are those that the manual tells of, each is a nop, and a
# debugger that stops at them reads what the manual says.
. "$(dirname "$0")/lib.sh"

shared=$ABI_BUILD/lib/libtong.so
page=$ABI_SOURCE/man/tong_probes.7

# Of a file: name, address and arguments of each probe.
notes() {
    readelf --notes "$1" 2>/dev/null | awk '
        $1 == "Provider:" { tong = $2 == "tong" }
        $1 == "Name:" { name = $2 }
        $1 == "Location:" { at = $2; sub(/,$/, "", at) }
        $1 == "Arguments:" && tong { sub(/^ *Arguments: /, ""); print name, at, $0 }'
}

the_manual_names_all_and_no_other() {
    diff <(sed -n 's/^\.It Cm \([a-z]*\) Ta .*/\1/p' "$page" | sort) <(notes "$shared" | cut -d ' ' -f 1 | sort -u)
}

the_command_has_them_too() {
    diff <(notes "$shared" | cut -d ' ' -f 1 | sort -u) <(notes "$TONG" | cut -d ' ' -f 1 | sort -u)
}

# A name, and a number of 4 or 8 bytes: "8@%rax -4@$1".
each_has_two_arguments() {
    notes "$shared" | awk 'NF != 4 || $3 !~ /^-?8@/ || $4 !~ /^-?[48]@/ { print; bad = 1 } END { exit bad }'
}

# The instructions at their addresses.
each_is_a_nop() {
    objdump -d --no-show-raw-insn "$shared" | sed -n 's/^ *\([0-9a-f]*\):\t*\([a-z]*\).*/\1 \2/p' >"$scratch/code"
    notes "$shared" | while read -r name at _; do
        grep -qx "$(printf '%x' "$at") nop" "$scratch/code" || echo "$name at $at is none"
    done >"$scratch/others"
    cat "$scratch/others"
    [ ! -s "$scratch/others" ] && [ "$(notes "$shared" | wc -l)" -ge 6 ]
}

# Stops at each probe of that name: what it tells, as "NAME NUMBER" lines.
told() { # PROBE COMMAND...
    local probe=$1
    shift
    cat >"$scratch/gdb" <<END
set debuginfod enabled off
set breakpoint pending off
break -probe-stap tong:$probe
commands
silent
printf "told %s %d\\n", (char *)\$_probe_arg0, \$_probe_arg1
continue
end
run
END
    timeout 60 gdb -nx -batch -x "$scratch/gdb" --args "$@" 2>"$scratch/gdb.err" </dev/null | sed -n 's/^told //p'
}

# tells WANTED PROBE COMMAND...
tells() {
    local wanted=$1 heard
    shift
    heard=$(told "$@")
    [ "$heard" = "$wanted" ] || { echo "$1: $heard; not $wanted"; return 1; }
}

what_they_tell_is_so() {
    tells 'jobs 5' send "$TONG" send jobs hello &&
        tells 'jobs 5' receive "$TONG" receive jobs &&
        tells 'jobs 2' wait "$TONG" receive jobs --timeout 0.1 &&
        "$TONG" create one --capacity 1 && "$TONG" send one x &&
        tells 'one 1' wait "$TONG" send one y --timeout 0.1 &&
        head -c 100000 /dev/zero >"$scratch/long" &&
        told grow "$TONG" send jobs --file "$scratch/long" | grep -q '^jobs [0-9]*$' &&
        "$TONG" rm jobs one
}

# asleep NAME: its receiver is.
asleep() {
    local i
    for ((i = 0; i < 500; i++)); do
        "$TONG" stat "$1" 2>/dev/null | grep -q 'receivers-asleep *1' && return
        sleep 0.02
    done
    return 1
}

who_sleeps_is_woken() {
    local r
    "$TONG" create quiet && "$TONG" receive quiet >/dev/null &
    asleep quiet && tells 'quiet 2' wake "$TONG" send quiet x
    r=$?
    wait
    "$TONG" rm quiet
    return $r
}

what_the_dead_left_is_told() {
    "$TONG" create jobs && "$TONG" receive jobs --ack --exec 'kill -9 $PPID' 2>/dev/null &
    asleep jobs && "$TONG" send jobs x
    wait $!
    tells 'jobs 2' recover "$TONG" receive jobs --timeout 10
}

if ! command -v readelf >/dev/null || ! command -v objdump >/dev/null; then
    skip probes 'binutils are not installed'
elif ! grep -q '^TONG_HAVE_SDT:INTERNAL=1' "$ABI_BUILD/CMakeCache.txt" || grep -q '^TONG_PROBES:BOOL=OFF' "$ABI_BUILD/CMakeCache.txt"; then
    check without_the_header_there_are_none test -z "$(notes "$shared")"
    skip probes 'the library was built without them: systemtap-sdt-dev is not installed'
else
    for name in the_manual_names_all_and_no_other the_command_has_them_too each_has_two_arguments; do
        check $name $name
    done
    case $(uname -m) in
    x86_64) check each_is_a_nop each_is_a_nop ;;
    *) skip each_is_a_nop 'it reads the code of x86-64' ;;
    esac
    if ! command -v gdb >/dev/null; then
        skip what_they_tell_is_so 'gdb is not installed'
    elif [ "$(told send "$TONG" send jobs hello)" = '' ] && ! gdb -nx -batch -ex run --args true 2>&1 | grep -q 'exited normally'; then
        skip what_they_tell_is_so 'gdb may not trace here'
    else
        "$TONG" rm jobs >/dev/null 2>&1
        for name in what_they_tell_is_so who_sleeps_is_woken what_the_dead_left_is_told; do
            check $name $name
        done
    fi
fi
"$TONG" doctor --repair >/dev/null 2>&1
exit $failed
