#!/bin/bash
# Programs that were compiled with the last release go on working: abidiff holds libtong.so against
# packaging/libtong.abi, which a release writes (abidw --out-file packaging/libtong.abi libtong.so).
. "$(dirname "$0")/lib.sh"

library=$ABI_BUILD/lib/libtong.so
last=$ABI_SOURCE/packaging/libtong.abi

# is_kept OLD: everything in it is still there and as it was; what came since is welcome.
is_kept() {
    abidiff --no-added-syms --headers-dir2 "$ABI_SOURCE/include" "$1" "$library"
}

dump() {
    abidw --headers-dir "$ABI_SOURCE/include" --out-file "$scratch/now.abi" "$library" &&
        for function in $(public_functions); do
            grep -q "<elf-symbol name='$function'" "$scratch/now.abi" || { echo "not seen: $function"; return 1; }
        done
}
the_present_is_kept() {
    is_kept "$scratch/now.abi"
}
a_function_that_is_gone_is_noticed() {
    sed "s/tong_version/tong_vanished/g" "$scratch/now.abi" >"$scratch/old.abi"
    ! is_kept "$scratch/old.abi" | tee "$scratch/said"
    grep -q tong_vanished "$scratch/said"
}
a_struct_that_changed_is_noticed() {
    sed "s/<class-decl name='tong_death' size-in-bits='128'/<class-decl name='tong_death' size-in-bits='96'/" \
        "$scratch/now.abi" >"$scratch/old.abi"
    ! cmp -s "$scratch/now.abi" "$scratch/old.abi" && ! is_kept "$scratch/old.abi"
}

cases="the_present_is_kept a_function_that_is_gone_is_noticed a_struct_that_changed_is_noticed"
if ! command -v abidw >/dev/null || ! command -v abidiff >/dev/null; then
    skip the_last_release_is_kept 'abigail-tools is not installed'
    exit 0
fi
if ! readelf -S "$library" | grep -q '\.debug_info'; then
    skip the_last_release_is_kept 'this build has no debug information'
    exit 0
fi
check every_function_is_seen dump
for name in $cases; do
    check $name $name
done
if [ -e "$last" ]; then
    check the_last_release_is_kept is_kept "$last"
else
    skip the_last_release_is_kept 'there was no release yet'
fi
exit $failed
