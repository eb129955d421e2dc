# Shared by the scripts that test files; sourced. Every case says "ok" or "not ok" and its name.
set -u
export LC_ALL=C

failed=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tong-check.XXXXXX") || exit 1
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
