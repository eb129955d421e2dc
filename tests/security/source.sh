#!/bin/bash
# What the library's sources must not hold: other clocks, memory to be run, pointers in shared structs.
# source.sh SOURCE_DIR
# shellcheck disable=SC2317 # the checks are called by their names
set -u
cd "$1" || exit 1
failed=0
sources=$(find src -name '*.[ch]' ! -name '*_test.[ch]')

check() {
    local name=$1 found
    shift
    if found=$("$@"); then
        echo "ok - $name"
    else
        printf 'not ok - %s\n%s\n' "$name" "$found"
        failed=1
    fi
}

# lines PATTERN: fails and shows the lines of code that match; comments do not count.
lines() {
    # shellcheck disable=SC2086 # the names have no spaces
    ! grep -nE "$1" $sources | grep -vE ':[0-9]+: *(/?\*|//)'
}

# A step of the clock is no time-out and no death.
no_clock_that_can_be_set_is_asked() {
    lines 'CLOCK_(REALTIME|TAI)|gettimeofday|[^_a-z]time\(NULL|FUTEX_CLOCK_REALTIME' &&
        grep -q CLOCK_MONOTONIC src/base/clock.h
}

# The byte that rings an event loop, and the signal it must not raise.
one_place_writes() {
    ! grep -nE '[^_a-z](write|pthread_sigmask|sigprocmask)\(' $sources | grep -v '^src/base/event\.c:' |
        grep -vE ':[0-9]+: *(/?\*|//)'
}

# A file without a name is sealed against being run, where the kernel can (Linux 6.3).
no_memory_is_asked_for_to_be_run() {
    # shellcheck disable=SC2086
    lines 'PROT_EXEC|mprotect' &&
        ! grep -nE 'memfd_create' $sources | grep -vF 'src/base/sys.c:' &&
        [ "$(grep -c 'memfd_create(' src/base/sys.c)" = 2 ] &&
        grep -q 'memfd_create(.*MFD_NOEXEC_SEAL' src/base/sys.c
}

# Offsets and numbers only, of fixed width; never a pthread object.
no_pointer_and_no_lock_of_libc_is_shared() {
    # shellcheck disable=SC2016 # $ is awk's
    awk '{ code = $0 }
         comment { if (!sub(/.*\*\//, "", code)) next; comment = 0 }
         { gsub(/\/\*([^*]|\*[^\/])*\*\//, "", code) }
         sub(/\/\*.*/, "", code) { comment = 1 }
         /^struct|^typedef struct/ { inside = 1 }
         /^}/ { inside = 0 }
         inside && code !~ /^struct/ && code ~ /\*|pthread_|size_t|time_t|[ \t(](long|int) / {
            print FILENAME ": " FNR ": " $0
            bad = 1
         }
         END { exit bad }' src/*/*_layout.h
}

# A false value of a peer is an answer, never the end of the process.
nothing_ends_the_process() {
    lines '[^_a-z>.](abort|assert|exit|_exit|raise|__builtin_trap|__builtin_unreachable) *\('
}

for name in no_clock_that_can_be_set_is_asked one_place_writes no_memory_is_asked_for_to_be_run \
    no_pointer_and_no_lock_of_libc_is_shared nothing_ends_the_process; do
    check $name $name
done
exit $failed
