# relay.sh - what comes into one mailbox goes on to another, and nothing is lost on the way.
. "$(dirname "$0")/lib"

t 'two mailboxes' 2 '' 'tong: relay: *' "$TONG" relay a
t 'no more' 2 '' 'tong: relay: c is one word too many*' "$TONG" relay a b c
t 'not to itself' 2 '' 'tong: relay: a to itself goes on for ever; *' "$TONG" relay a a
t 'by whatever name' 2 '' 'tong: relay: a to itself goes on for ever; *' timeout 20 "$TONG" relay a shm:a
t 'a number' 2 '' 'tong: relay: --count: 0 is no message; *' "$TONG" relay a b --count 0
t 'none is made if none shall be' 4 '' 'tong: relay b: no such name; *' "$TONG" relay a b --no-create
holds 'and none is' test -z "$("$TONG" ls)"

"$TONG" create a
"$TONG" send a one
"$TONG" send a two
t 'what waits' 0 '' '' "$TONG" relay a b --timeout 0
is 'is over there' "$(field a waiting) $(field b waiting)" '0 2'
t 'in order' 0 "one${nl}two" '' "$TONG" receive b --count 2 --lines
t 'an empty one is passed on at once' 0 '' '' "$TONG" relay a b --timeout 0
t 'asked for a number it waits for that' 3 '' 'tong: relay a: *' "$TONG" relay a b --count 1 --timeout 0
"$TONG" relay a b --count 3 &
relay=$!
soon field_is a receivers-asleep 1
printf '1\n2\n3\n4\n' | "$TONG" send a --lines
ended "$relay" 0 'it ends with its number'
is 'and takes no more' "$(field a waiting) $(field b waiting)" '1 3'
"$TONG" rm a b

# A request is called on.
"$TONG" create a
"$TONG" create b
"$TONG" relay a b --count 2 &
relay=$!
"$TONG" serve b --exec 'read word; [ "$word" = hello ] && echo there' --count 2 2>/dev/null &
t 'the reply comes back' 0 there '' "$TONG" call a hello --timeout 20
t 'or that there is none' 1 '' 'tong: call a: nobody answers; *' "$TONG" call a nonsense --timeout 20
ended "$relay" 0 'both were passed on'
wait
is 'and nothing is left' "$(field a waiting) $(field a claimed) $(field b waiting)" '0 0 0'
"$TONG" rm a b

# What B does not take stays in A.
"$TONG" create a
"$TONG" create b --message-size 4
"$TONG" send a 'too long'
t 'what does not fit' 1 '' "tong: relay b: *every message of it has 4 bytes, this one has 8${nl}tong: relay a: the message is back in the mailbox" \
    "$TONG" relay a b --timeout 0
is 'is in A still' "$(field a waiting) $(field b waiting)" '1 0'
"$TONG" rm a b
"$TONG" create b --capacity 1
printf '1\n2\n' | "$TONG" send a --lines
"$TONG" relay a b --timeout 5 &
relay=$!
soon field_is b senders-blocked 1
is 'while B is full the next one is in hand' "$(field a claimed) $(field b waiting)" '1 1'
t 'until there is room' 0 "1${nl}2" '' "$TONG" receive b --count 2 --lines
kill -TERM "$relay"
ended "$relay" 143 'asked to end it ends'
"$TONG" rm a b

# Killed again and again, each time while it waits with a message in hand, and once at any moment.
"$TONG" create a --link-capacity unbounded
"$TONG" create b --capacity 400
seq 4000 | "$TONG" send a --lines
kills=0
: >"$work/all"
while [ "$(field a waiting)" -gt 400 ]; do
    "$TONG" relay a b &
    relay=$!
    soon field_is b senders-blocked 1
    kill -KILL "$relay"
    wait "$relay" 2>/dev/null
    "$TONG" receive b --lines --follow --timeout 0 >>"$work/all" 2>/dev/null
    kills=$((kills + 1))
done
"$TONG" relay a b &
relay=$!
soon test "$(field b sent)" -gt 0
kill -KILL "$relay"
wait "$relay" 2>/dev/null
kills=$((kills + 1))
"$TONG" receive b --lines --follow --timeout 0 >>"$work/all" 2>/dev/null
t 'the rest' 0 '' '' "$TONG" relay a b --timeout 0
"$TONG" receive b --lines --follow --timeout 0 >>"$work/all" 2>/dev/null
holds 'it was killed in the middle' test "$kills" -ge 9
is 'killed, it lost nothing' "$(sort -nu "$work/all" | cksum)" "$(seq 4000 | cksum)"
holds 'and each death brought one twice at most' test "$(wc -l <"$work/all")" -le $((4000 + kills))
is 'in order' "$(uniq "$work/all" | cksum)" "$(seq 4000 | cksum)"
after_kills
finish
