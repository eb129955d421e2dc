# Shared by the scripts of this folder; sourced. MAN_SOURCE is the source tree.
set -u
export LC_ALL=C
header=$MAN_SOURCE/include/tong/tong.h
pages=$MAN_SOURCE/man
failed=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tong-man.XXXXXX") || exit 1
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

# examples PAGE: each literal block under EXAMPLES, into $scratch/example.N; prints their names.
examples() {
    rm -f "$scratch"/example.*
    awk -v out="$scratch/example." '
        /^\.Sh / { inside = $2 == "EXAMPLES" }
        inside && /^\.Bd / { n++; file = out sprintf("%03d", n); block = 1; next }
        /^\.Ed/ { block = 0 }
        inside && block { gsub(/\\e/, "\\"); gsub(/\\&/, ""); print > file }' "$1"
    ls "$scratch"/example.* 2>/dev/null
}
