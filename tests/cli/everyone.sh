# everyone.sh - a mailbox to everyone: each receiver gets all, now or from the oldest.
. "$(dirname "$0")/lib"

t 'with a capacity it is refused' 1 '' 'tong: create news: this carrier cannot do that*' \
    "$TONG" create news --delivery everyone --capacity 4
t 'a mailbox to everyone' 0 '' '' "$TONG" create news --delivery everyone --link-capacity 4
is 'it says so' "$(field news delivery)" everyone

"$TONG" receive news --count 2 --lines --timeout 20 >"$work/first" &
first=$!
"$TONG" receive news --count 2 --lines --timeout 20 >"$work/second" &
second=$!
soon field_is news receivers-asleep 2
"$TONG" send news one
"$TONG" send news two
wait "$first" "$second"
is 'the first has both' "$(tr '\n' ' ' <"$work/first")" 'one two '
is 'the second has both' "$(tr '\n' ' ' <"$work/second")" 'one two '

# Nobody is there: so many are kept for who wants them.
for word in three four five six; do
    "$TONG" send news "$word"
done
is 'four wait' "$(field news waiting)" 4
t 'no room for a fifth' 3 '' 'tong: send news: *' "$TONG" send news seven --timeout 0
t 'from the oldest they are there' 0 'three
four
five
six' '' "$TONG" receive news --from-oldest --count 4 --lines --timeout 10
is 'none waits' "$(field news waiting)" 0
"$TONG" send news seven
t 'who begins now does not have it' 3 '' '*' "$TONG" receive news --timeout 0
t 'and nobody is waited for any more' 3 '' '*' "$TONG" receive news --from-oldest --timeout 0

t 'the policy stays' 1 '' 'tong: set news: *; a mailbox is to everyone from its beginning and for good; *' \
    "$TONG" set news --delivery any
t 'and whose it is' 1 '' 'tong: give news: *; a mailbox to everyone stays whose it is' \
    "$TONG" give news --system

# One that is killed leaves its book behind; doctor finds and clears it.
"$TONG" receive news --follow >/dev/null &
victim=$!
soon field_is news receivers-asleep 1
kill -KILL "$victim"
wait "$victim" 2>/dev/null
"$TONG" doctor >"$work/found"
is 'doctor finds the dead one' "$(grep -c '^repairable: news: receivers: 1 left behind' "$work/found")" 1
"$TONG" doctor --repair >/dev/null
is 'and clears it away' "$(ls "$TONG_DIR/news" | grep -c '^book\.')" 0
finish
