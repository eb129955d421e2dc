# Shared by the scripts of this folder; sourced. MAN_SOURCE is the source tree.
# shellcheck source=tests/kit/check.sh
. "$MAN_SOURCE/tests/kit/check.sh"
header=$MAN_SOURCE/include/tong/tong.h
pages=$MAN_SOURCE/man

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
