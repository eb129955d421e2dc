#!/bin/bash
# An installed tong is enough to build with: by pkg-config, by find_package, shared and static, and
# wherever the tree is moved. The program is the one of README.md, run as README.md says.
. "$(dirname "$0")/lib.sh"

prefix=$scratch/first
export LD_LIBRARY_PATH=

# readme LANGUAGE: the first block of that language.
readme() {
    awk -v fence="\`\`\`$1" '
        $0 == fence && !seen { inside = 1; seen = 1; next }
        /^```/ { inside = 0 }
        inside' "$ABI_SOURCE/README.md"
}

installs() {
    cmake --install "$ABI_BUILD" --prefix "$prefix" || return 1
    libdir=$(cd "$prefix" && find . -name libtong.a -printf '%h\n')
    cd "$prefix" && ls include/tong/tong.h bin/tong "$libdir/libtong.so" "$libdir/libtong.a" \
        "$libdir/libtong.so.${ABI_VERSION%%.*}" "$libdir/pkgconfig/tong.pc" \
        "$libdir/cmake/tong/tongConfig.cmake" "$libdir/cmake/tong/tongConfigVersion.cmake" \
        share/doc/tong/README.md share/doc/tong/LICENSE share/bash-completion/completions/tong \
        share/zsh/site-functions/_tong share/fish/vendor_completions.d/tong.fish &&
        for page in "$ABI_SOURCE"/man/*.[1-8]; do
            [ ! -e "$page" ] || ls "share/man/man${page##*.}/$(basename "$page")" || return 1
        done
    for page in $(public_functions | sed 's/$/.3/') tong-send.1 tong-receive.1 tong-ls.1; do
        ls "share/man/man${page##*.}/$page" || return 1
    done
}

only_the_headers_for_c_and_cpp_are_installed() {
    [ "$(cd "$prefix/include" && find . -type f | sort | tr '\n' ' ')" = './tong/tong.h ./tong/tong.hpp ' ]
}

nothing_installed_knows_the_build_tree() {
    ! grep -rlF -e "$ABI_BUILD" -e "$ABI_SOURCE" "$prefix"/lib*/pkgconfig "$prefix"/lib*/cmake \
        "$prefix"/lib*/*/pkgconfig "$prefix"/lib*/*/cmake 2>/dev/null
}

# From here on in another place than it was installed to.
move_away() {
    mv "$prefix" "$scratch/second" && prefix=$scratch/second
    PKG_CONFIG_PATH=$(find "$prefix" -type d -name pkgconfig)
    LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
    export PKG_CONFIG_PATH LD_LIBRARY_PATH
}

pkg_config_gives_the_version() {
    [ "$(pkg-config --modversion tong)" = "$ABI_VERSION" ]
}

# The two shell blocks of README.md are not written for a script: the second starts a receiver in
# the background. Its last words are the message.
the_program_of_the_readme_works() {
    mkdir -p "$scratch/readme" && cd "$scratch/readme" || return 1
    readme c >hello.c
    [ "$(wc -l <hello.c)" -ge 15 ] && [ "$(wc -l <hello.c)" -le 25 ] || return 1
    cc -Wall -Wextra -Werror hello.c $(pkg-config --cflags --libs tong) -o hello || return 1
    ./hello >received &
    ./hello 'good morning' && wait $! && [ "$(cat received)" = 'good morning' ]
}

the_commands_of_the_readme_work() {
    cd "$scratch/readme" && readme sh >commands && grep -q hello commands || return 1
    bash -e commands >said
    [ "$(tail -n 1 said)" = 'good morning' ]
}

# find_package_works TARGET
find_package_works() {
    mkdir -p "$scratch/package" && cd "$scratch/package" || return 1
    rm -rf build
    readme c >hello.c
    cat >CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(tong ${ABI_VERSION%.*} REQUIRED)
add_executable(consumer hello.c)
target_link_libraries(consumer PRIVATE $1)
END
    cmake -G "$ABI_GENERATOR" -DCMAKE_PREFIX_PATH="$prefix" -B build . &&
        cmake --build build && ./build/consumer 'good evening' &&
        [ "$(./build/consumer)" = 'good evening' ]
}

another_minor_version_is_refused() {
    sed -i 's/find_package(tong [0-9.]*/find_package(tong 0.99/' CMakeLists.txt || return 1
    ! cmake -G "$ABI_GENERATOR" -DCMAKE_PREFIX_PATH="$prefix" -B other . 2>errors &&
        grep -F 'version: '"$ABI_VERSION" errors
}

check installs installs
check only_the_headers_for_c_and_cpp_are_installed only_the_headers_for_c_and_cpp_are_installed
check nothing_installed_knows_the_build_tree nothing_installed_knows_the_build_tree
move_away
check pkg_config_gives_the_version pkg_config_gives_the_version
check the_program_of_the_readme_works the_program_of_the_readme_works
check the_commands_of_the_readme_work the_commands_of_the_readme_work
check find_package_works_shared find_package_works tong::tong
check find_package_works_static find_package_works tong::tong_static
cd "$scratch/package" && check another_minor_version_is_refused another_minor_version_is_refused
exit $failed
