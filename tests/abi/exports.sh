#!/bin/bash
# What the libraries show to a linker is what tong.h declares, and nothing else.
. "$(dirname "$0")/lib.sh"

shared=$ABI_BUILD/lib/libtong.so
archive=$ABI_BUILD/lib/libtong.a

exported_functions_are_those_of_the_header() {
    nm -D --defined-only "$shared" | awk '$2 == "T" { print $3 }' | sed 's/@.*//' | sort |
        diff <(public_functions) - && [ "$(public_functions | wc -l)" -gt 20 ]
}

every_symbol_has_the_version_of_the_script() {
    local version
    version=$(sed -n 's/^\(TONG_[0-9.]*\) {$/\1/p' "$ABI_SOURCE/packaging/libtong.map")
    [ "$version" = "TONG_${ABI_VERSION%.*}" ] &&
        nm -D --defined-only "$shared" |
        awk -v version="$version" '
            $2 == "A" && $3 == version { next }
            $2 != "T" || $3 !~ "@@" version "$" { print "unexpected: " $0; bad = 1 }
            END { exit bad }'
}

# A program linked with the archive has one name space for all it holds. (What begins with "_." is none that a
# program could have: the probes' own, weak and hidden.)
the_archive_has_no_name_outside_tong() {
    nm -g --defined-only "$archive" |
        awk 'NF == 3 && $3 !~ /^(tong|tg)_/ && $3 != "_.stapsdt.base" { print "unexpected: " $0; bad = 1 } END { exit bad }'
}

soname_is_the_major_version() {
    readelf -d "$shared" | grep -F "Library soname: [libtong.so.${ABI_VERSION%%.*}]"
}

# The core asks for a C library and for nothing else.
the_library_needs_libc_only() {
    readelf -d "$shared" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        awk '!/^(libc|ld-linux.*)\.so/ { print "unexpected: " $0; bad = 1 } END { exit bad }'
}

no_crash_point_is_shipped() {
    ! nm "$archive" | grep -F tg_point_pass && nm "$ABI_BUILD/lib/libtong_points.a" |
        grep -qF tg_point_pass
}

# It does not end the process, print, start threads, or touch signals, the environment or the other
# clocks: there is nothing of that kind in it that it could call. (write() and pthread_sigmask() ring an event
# loop, and security.source holds them in that place.)
the_library_calls_nothing_that_ends_or_prints() {
    nm -D --undefined-only "$shared" | sed 's/.* //; s/@.*//' |
        awk '/^(_?_?abort|__assert(_fail|_perror_fail)?|_?exit|_Exit|quick_exit|atexit|on_exit|raise|kill|tgkill)$/ ||
             /^(v?d?f?printf|__v?f?printf_chk|puts|fputs|putchar|putc|fwrite|perror|syslog|v?err|v?warnx?|error)$/ ||
             /^(signal|sigaction|sigprocmask|pthread_create|pthread_exit|fork|system|execve?|popen)$/ ||
             /^(setenv|putenv|unsetenv|gettimeofday|time|clock_settime|umask|chdir|setlocale)$/ {
            print "it calls " $0; bad = 1 } END { exit bad }'
}

it_is_never_unloaded() {
    readelf -d "$shared" | grep -q 'FLAGS_1.*NODELETE'
}

for name in exported_functions_are_those_of_the_header every_symbol_has_the_version_of_the_script \
    the_archive_has_no_name_outside_tong soname_is_the_major_version the_library_needs_libc_only \
    no_crash_point_is_shipped the_library_calls_nothing_that_ends_or_prints it_is_never_unloaded; do
    check $name $name
done
exit $failed
