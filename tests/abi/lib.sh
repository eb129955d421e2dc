# Shared by the scripts of this folder; sourced. What they test comes from the environment:
#   ABI_SOURCE   the source tree            ABI_BUILD    the build tree
#   ABI_VERSION  the version of the build   CC           the C compiler
set -u
export LC_ALL=C

header=$ABI_SOURCE/include/tong/tong.h
failed=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tong-abi.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

# check NAME COMMAND WORD...: a named case; what the command says is shown when it fails.
check() {
    local name=$1
    shift
    if "$@" >"$scratch/output" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$scratch/output"
        failed=1
    fi
}

# skip NAME REASON
skip() {
    echo "ok - $1 # SKIP $2"
}

# The functions that tong.h declares, sorted.
public_functions() {
    sed -n 's/^TONG_API .*[ *]\(tong_[a-z0-9_]*\)(.*/\1/p' "$header" | sort
}
