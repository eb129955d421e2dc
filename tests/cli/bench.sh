# bench.sh - `tong bench`: it measures every row, draws it, and leaves nothing. No figure is tested: they are
# the machine's.
. "$(dirname "$0")/lib"

mkdir "$work/t"
TMPDIR=$work/t
export TMPDIR
"$TONG" create keep

t 'a word it does not know' 2 '' 'tong: bench: *' "$TONG" bench fast
t 'no rounds at all' 2 '' 'tong: bench: --rounds and --count are 1 at least*' "$TONG" bench --rounds 0
t 'too many of them' 2 '' 'tong: bench: *' "$TONG" bench --rounds 101

t 'on one processor' 0 'round trip, 64 B, both on one processor*' '*only one processor*' \
    taskset -c "$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')" "$TONG" bench --rounds 1 --count 400
is 'draws one row there' "$(grep -c '^  tong ' "$work/out")" 1
holds 'a bar for each' grep -q '^  bare futex  *█' "$work/out"

if [ "$(nproc)" -lt 2 ]; then
    skip 'on two processors' 'there is one'
else
    t 'on two processors' 0 'round trip, 64 B*one way, 1 MiB*' '' "$TONG" bench --rounds 2 --count 400
    is 'draws every row' "$(grep -c '^  tong ' "$work/out")" 9
    is 'with a ratio, or why there is none' "$(grep '^  tong ' "$work/out" | grep -cE ' x  \(| about .* x: ')" 9
    if "$TONG" bench --rounds 1 --count 400 --json >"$work/json" 2>"$work/err"; then
        is 'an object for each' "$(grep -c '^{"measure":"[a-z0-9_]*","beside":"[a-z ]*","kind":"\(time\|rate\)","ratio_permille":\([0-9]*\|null\),.*"bare_ps":[0-9]*}$' "$work/json")" 9
    else
        holds 'or no JSON in this build' grep -q JSON "$work/err"
    fi
fi

is 'its folder is gone' "$(ls "$work/t")" ''
is "the user's mailboxes are not touched" "$("$TONG" ls | grep -c '^keep')" 1
finish
