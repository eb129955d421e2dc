# tap.sh - `tong tap`: what flows is seen, nothing is taken, and what was missed is said.
. "$(dirname "$0")/lib"

# looks_at NAME: the tap has opened it.
looks_at() {
    ls -l "/proc/$tap/fd" | grep -q "/$1\$"
}

"$TONG" create jobs
"$TONG" send jobs 'one'
printf 'two\n\001\\' | "$TONG" send jobs
me=$(id -u)

t 'what is there' 3 '*' 'tong: tap jobs: *nothing came; look longer *' "$TONG" tap jobs --timeout 0
is 'a line for each' "$(sed 's/pid [0-9]*/pid N/' "$work/out")" "pid N of user $me, number 0, 3 bytes: one
pid N of user $me, number 1, 6 bytes: two\\n\\x01\\\\"
t 'the messages alone' 0 "one${nl}two" '' sh -c '"$TONG" tap jobs --lines --count 2 | head -n 2'
t 'their first bytes' 0 '*3 bytes: on ...' '' "$TONG" tap jobs --bytes 2 --count 1
t 'not those there are' 3 '' '*nothing came*' "$TONG" tap jobs --new --timeout 0
is 'nothing was taken' "$(field jobs waiting) $(field jobs claimed) $(field jobs receivers)" '2 0 0'

"$TONG" tap jobs --new >"$work/seen" 2>"$work/said" &
tap=$!
soon looks_at jobs
is 'those that wait are received as ever' "$("$TONG" receive jobs)" one
"$TONG" receive jobs >/dev/null
for i in 1 2 3; do
    "$TONG" send jobs "$i"
    soon grep -q "1 byte: $i" "$work/seen"
    is "message $i" "$("$TONG" receive jobs)" "$i"
done
kill -TERM "$tap"
ended "$tap" 143 'it ends when it is asked to'
is 'it missed nothing' "$(grep -c . "$work/seen") $(cat "$work/said")" '3 '

# Much is there, and nobody reads what it prints: asked to end it does not print the rest first.
"$TONG" create much --link-capacity unbounded
seq 20000 | "$TONG" send much --lines
mkfifo "$work/pipe"
"$TONG" tap much >"$work/pipe" 2>"$work/said" &
tap=$!
exec 8<"$work/pipe"
read -r _ <&8
kill -TERM "$tap"
cat <&8 >"$work/rest"
exec 8<&-
ended "$tap" 143 'asked to end it ends'
holds 'with what it had printed' test "$(wc -l <"$work/rest")" -lt 19000
is 'and nothing to complain of' "$(cat "$work/said")" ''
"$TONG" rm much

# More than its memory holds flows by while it is stopped.
"$TONG" tap jobs >"$work/seen" 2>"$work/said" &
tap=$!
"$TONG" send jobs first
soon grep -q first "$work/seen"
kill -STOP "$tap"
"$TONG" receive jobs >/dev/null
head -c 6000000 /dev/zero | tr '\0' x | fold -w 1000 | "$TONG" send jobs --lines &
"$TONG" receive jobs --count 6000 >/dev/null
wait $!
"$TONG" send jobs last
kill -CONT "$tap"
soon grep -q ': last' "$work/seen"
kill -TERM "$tap"
ended "$tap" 143 'it ends'
seen=$(grep -c 'bytes: xxx' "$work/seen")
missed=$(sed -n 's/^\.\.\. \([0-9]*\) went by unseen/\1/p' "$work/seen" | awk '{ n += $1 } END { print n + 0 }')
is 'what was seen and what was missed is all' "$((seen + missed))" 6000
is 'some was missed' "$([ "$missed" -gt 100 ] && echo yes)" yes
is 'and it says so' "$(cat "$work/said")" "tong: tap jobs: $missed messages went by unseen: they were received before this could look"
is 'the last one is taken by who receives' "$("$TONG" receive jobs)" last

if "$TONG" stat jobs --json >/dev/null 2>&1; then
    printf '\377' | "$TONG" send jobs
    t 'for programs' 0 "{\"mailbox\":\"jobs\",\"sender\":null,\"pid\":*,\"uid\":$me,\"sequence\":*,\"deliveries\":0,\"priority\":0,\"tag\":0,\"key\":0,\"reply_to\":null,\"len\":1,\"data_base64\":\"/w==\"}" '' \
        "$TONG" tap jobs --json --count 1
    "$TONG" receive jobs >/dev/null
    "$TONG" receive --as Q --count 2 >"$work/heard" &
    named=$!
    soon "$TONG" stat Q >/dev/null
    "$TONG" tap Q --json --count 1 >"$work/seen" &
    tap=$!
    kill -STOP "$named" # or it is received before anybody looks
    "$TONG" send --as P --to Q hello
    ended "$tap" 0 'between processes that name each other'
    kill -CONT "$named"
    is 'the name of the sender' "$(grep -c '"sender":"P"' "$work/seen")" 1
    "$TONG" send --as P --to Q bye
    wait "$named"
else
    skip '--json' 'this tong was built without jansson'
fi

"$TONG" tap jobs >"$work/seen" 2>"$work/said" &
tap=$!
soon looks_at jobs
"$TONG" rm jobs
ended "$tap" 1 'it ends with the mailbox'
is 'and says why' "$(sed 's/;.*//' "$work/said")" 'tong: tap jobs: it was removed while open'
t 'no such mailbox' 4 '' 'tong: tap jobs: *' "$TONG" tap jobs
"$TONG" create jobs
"$TONG" send jobs x
t 'not both' 2 '' 'tong: tap: *' "$TONG" tap jobs --lines --json
t 'a word too many' 2 '' 'tong: tap: *' "$TONG" tap jobs more
t 'no name' 2 '' 'tong: tap: *' "$TONG" tap
t 'a full disk is told' 1 '' 'tong: tap: standard output: *' sh -c '"$TONG" tap jobs --count 1 >/dev/full'
after_kills
finish
