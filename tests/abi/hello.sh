#!/bin/bash
# The shortest programs of README.md: as many lines as it says, no warning, and they do what they are for.
. "$(dirname "$0")/lib.sh"

# block N LANGUAGE: the N-th block of that language.
block() {
    awk -v fence="\`\`\`$2" -v n="$1" \
        '$0 == fence { seen++; inside = seen == n; next } /^```/ { inside = 0 } inside' "$ABI_SOURCE/README.md"
}

# lines: those of standard input that are not empty.
lines() {
    grep -c '[^[:space:]]'
}

says_so() {
    local words="with every error looked at, $(block 2 c | lines) without, $(block 1 python | lines) lines of Python, and 2 of"
    tr '\n' ' ' <"$ABI_SOURCE/README.md" |
        grep -q "are these $(block 1 c | lines) lines $words shell" || { echo "not: $words"; return 1; }
}

few_enough() {
    [ "$(block 1 c | lines)" -le 20 ] && [ "$(block 2 c | lines)" -le 12 ] && [ "$(block 1 python | lines)" -le 6 ] &&
        grep -A 1 '^tong send hello ' "$ABI_SOURCE/README.md" | grep -q '^tong receive hello$'
}

# program_works N: compiled without a warning, one of it waits, another one sends.
program_works() {
    block "$1" c >"$scratch/hello.c"
    "${CC:-cc}" -Wall -Wextra -Werror -I"$ABI_SOURCE/include" -o "$scratch/hello" "$scratch/hello.c" -L"$ABI_BUILD/lib" \
        -Wl,-rpath,"$ABI_BUILD/lib" -ltong || return 1
    "$scratch/hello" >"$scratch/heard" &
    timeout 30 "$scratch/hello" 'good morning' >/dev/null && wait $! && [ "$(cat "$scratch/heard")" = 'good morning' ] &&
        "$TONG" rm hello
}

python_works() {
    block 1 python >"$scratch/hello.py"
    export PYTHONPATH=$ABI_SOURCE/bindings/python TONG_LIBRARY=$ABI_BUILD/lib/libtong.so
    python3 "$scratch/hello.py" >"$scratch/heard" &
    timeout 30 python3 "$scratch/hello.py" 'good morning' && wait $! && [ "$(cat "$scratch/heard")" = 'good morning' ] &&
        "$TONG" rm hello
}

# The two lines of shell, and the one behind them that shows what is left.
shell_works() {
    mkdir -p "$scratch/bin" && ln -sf "$(realpath "$TONG")" "$scratch/bin/tong"
    grep -A 2 '^tong send hello ' "$ABI_SOURCE/README.md" >"$scratch/hello.bash"
    PATH=$scratch/bin:$PATH timeout 30 bash -e "$scratch/hello.bash" >"$scratch/heard" </dev/null &&
        head -c 12 "$scratch/heard" | grep -qx 'good morning' && grep -q '^waiting  *0$' "$scratch/heard" && "$TONG" rm hello
}

check readme_says_how_many_lines says_so
check they_are_few_enough few_enough
check the_program_with_checks_works program_works 1
check the_program_without_works program_works 2
check the_lines_of_shell_work shell_works
if command -v python3 >/dev/null; then
    check the_program_in_python_works python_works
else
    skip the_program_in_python_works 'python3 is not installed'
fi
"$TONG" doctor --repair >/dev/null 2>&1
exit $failed
