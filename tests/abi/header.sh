#!/bin/bash
# tong.h compiles alone, as C and as C++, by every compiler there is; its macros work in both.
. "$(dirname "$0")/lib.sh"

flags=(-Wall -Wextra -Wundef -pedantic -Werror -I"$ABI_SOURCE/include")
macros=$ABI_SOURCE/tests/abi/macros.c

# compile_alone COMPILER LANGUAGE STANDARD
compile_alone() {
    printf '#include <tong/tong.h>\n#include <tong/tong.h>\n' >"$scratch/alone.c"
    "$1" -x "$2" -std="$3" "${flags[@]}" -fsyntax-only "$scratch/alone.c"
}

# run_macros COMPILER LANGUAGE STANDARD
run_macros() {
    "$1" -x "$2" -std="$3" "${flags[@]}" -Wno-missing-field-initializers \
        -DABI_PROJECT_VERSION="\"$ABI_VERSION\"" -o "$scratch/macros" "$macros" \
        -x none -L"$ABI_BUILD/lib" -Wl,-rpath,"$ABI_BUILD/lib" -ltong &&
        "$scratch/macros"
}

every_public_macro_is_used() {
    sed -n 's/^# *define \(TONG_[A-Z0-9_]*\).*/\1/p' "$header" | sort -u | grep -v '^TONG_TONG_H$' |
        while read -r macro; do
            grep -qw "$macro" "$macros" || echo "not used in macros.c: $macro"
        done >"$scratch/unused"
    cat "$scratch/unused"
    [ ! -s "$scratch/unused" ]
}

# A function of the header without a sentence above it, or in a comment block above it, is unusable.
every_function_is_documented() {
    for function in $(public_functions); do
        grep -qE "^(/| )\* $function - " "$header" || echo "no contract in tong.h: $function"
    done >"$scratch/silent"
    cat "$scratch/silent"
    [ ! -s "$scratch/silent" ]
}

tried=" "
for pair in "$CC c c11" "gcc c c11" "clang c c11" "gcc c gnu17" "g++ c++ c++17" \
    "clang++ c++ c++17" "g++ c++ c++20"; do
    read -r compiler language standard <<<"$pair"
    name=$(basename "$compiler")
    case $tried in *" $name:$standard "*) continue ;; esac
    tried="$tried$name:$standard "
    if command -v "$compiler" >/dev/null; then
        check "compiles_alone_with_${name}_as_$standard" compile_alone $pair
        check "macros_work_with_${name}_as_$standard" run_macros $pair
    else
        skip "compiles_alone_with_${name}_as_$standard" "there is no $compiler"
    fi
done
check every_public_macro_is_used every_public_macro_is_used
check every_function_is_documented every_function_is_documented
exit $failed
