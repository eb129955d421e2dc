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

# The limit of a sample ends a side, and what cannot be made is said; its folder goes all the same.
if [ "$(nproc)" -lt 2 ]; then
    skip 'a side that hangs' 'there is one processor'
else
    "$TONG" bench --rounds 100 --count 4000000000 >/dev/null 2>"$work/err" &
    bench=$!
    a_side_runs() {
        side=$(cut -d ' ' -f 1 "/proc/$bench/task/$bench/children") && [ -n "$side" ] &&
            [ $((0x$(sed -n 's/^SigCgt:[^0-9a-f]*//p' "/proc/$side/status") & 0x2000)) -eq 0 ] # no SIGALRM
    }
    if [ -e "/proc/$bench/task/$bench/children" ]; then
        soon a_side_runs
        kill -ALRM "$side"
        ended "$bench" 1 'a side that hangs ends it'
        is 'and that is said' "$(cat "$work/err")" 'tong: bench: a side was ended by signal 14: it took too long'
    else
        kill -TERM "$bench"
        wait "$bench"
        skip 'a side that hangs' 'this kernel does not tell of children'
    fi
fi
t 'without descriptors' 1 '*' 'tong: bench: *' \
    sh -c 'ulimit -n 6; exec taskset -c "$1" "$0" bench --rounds 1 --count 400' "$TONG" \
    "$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')"

is 'its folder is gone' "$(ls "$work/t")" ''
is "the user's mailboxes are not touched" "$("$TONG" ls | grep -c '^keep')" 1
finish
