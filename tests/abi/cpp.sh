#!/bin/bash
# tong.hpp with every C++ compiler there is: it compiles alone and in two files of one program, keeps its
# promises (cpp.cpp), and examples/hello.cpp does what it says.
. "$(dirname "$0")/lib.sh"

flags=(-Wall -Wextra -Wundef -Wconversion -Wshadow -pedantic -Werror -I"$ABI_SOURCE/include")
libs=(-L"$ABI_BUILD/lib" -Wl,-rpath,"$ABI_BUILD/lib" -ltong)

# Two files that include it, twice: nothing in it is defined twice.
compiles_in_two_files() { # COMPILER STANDARD
    printf '#include <tong/tong.hpp>\n#include <tong/tong.hpp>\nint main() { return tong::folder().empty(); }\n' \
        >"$scratch/main.cpp"
    printf '#include <tong/tong.hpp>\nvoid other(tong::mailbox &box) { box.send("x"); }\n' >"$scratch/other.cpp"
    "$1" -std="$2" "${flags[@]}" -o "$scratch/two" "$scratch/main.cpp" "$scratch/other.cpp" "${libs[@]}" &&
        "$scratch/two"
}

hello_is_received() { # COMPILER STANDARD
    "$1" -std="$2" "${flags[@]}" -o "$scratch/hello" "$ABI_SOURCE/examples/hello.cpp" "${libs[@]}" || return 1
    "$scratch/hello" >"$scratch/received" &
    "$scratch/hello" 'good morning' && wait $! && [ "$(cat "$scratch/received")" = 'good morning' ]
}

# promises_of COMPILER STANDARD: the cases of cpp.cpp, each a line with the compiler's name.
promises_of() {
    if ! "$1" -std="$2" -g "${flags[@]}" -o "$scratch/cpp" "$ABI_SOURCE/tests/abi/cpp.cpp" "${libs[@]}"; then
        echo "not ok - promises_of_$1_$2"
        failed=1
        return
    fi
    "$scratch/cpp" >"$scratch/cases" || failed=1
    sed "s/^\(ok\|not ok\) - /&$1 $2 /" "$scratch/cases"
    [ -s "$scratch/cases" ] || failed=1
}

for compiler in g++ clang++; do
    if ! command -v "$compiler" >/dev/null; then
        skip "$compiler" "there is no $compiler"
        continue
    fi
    for standard in c++17 c++20; do
        check "compiles_in_two_files_with_${compiler}_as_$standard" compiles_in_two_files $compiler $standard
    done
    promises_of $compiler c++17
    check "hello_is_received_with_$compiler" hello_is_received $compiler c++17
    "$TONG" rm hello
done
"$TONG" doctor --repair >/dev/null 2>&1 # after those that were made to end without closing
exit $failed
