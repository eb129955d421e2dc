# look.sh - ls, stat and rm.
. "$(dirname "$0")/lib"

t 'no mailbox' 0 '' '' "$TONG" ls
t 'nor a head without rows' 0 '' '' "$TONG" ls -l
t 'a folder that is not there is empty' 0 '' '' env TONG_DIR="$work/none" "$TONG" ls
"$TONG" create a --delivery any
"$TONG" create b --capacity 3 --max-deliveries 2 --dead-letter a
"$TONG" send b x
t 'names, one a line, in order' 0 "a${nl}b" '' "$TONG" ls
t 'with what they hold' 0 \
    'NAME *CAPACITY *WAITING *CLAIMED *SET-ASIDE *SENDERS *RECEIVERS *BYTES *OWNER *DELIVERY *TIMES *DEAD-LETTER
a *unbounded *0 *0 *0 *0 *0 *system  any *- -
b *3 *1 *0 *0 *0 *0 *system  first-come *2 a' '' "$TONG" ls -l
t '-l and --json' 2 '' 'tong: ls: -l and --json exclude each other; *' "$TONG" ls -l --json

"$TONG" receive a >/dev/null &
pid=$!
soon field_is a receivers-asleep 1
is 'a receiver is seen' "$(field a receivers)" 1
"$TONG" send a x
ended "$pid" 0 'it gets its message'
is 'and is seen no more' "$(field a receivers)" 0
is 'sent and done are counted' "$(field a sent) $(field a done)" '1 1'
t 'stat of what is not there' 4 '' 'tong: stat none: no such name; "tong ls" shows *' "$TONG" stat none

id=$(field a id)
t 'rm' 0 '' '' "$TONG" rm a
t 'it is gone' 4 '' '*' "$TONG" stat a
"$TONG" create a
holds 'made again it is another one' test "$(field a id)" != "$id"
t 'rm of several, one of which is not there' 4 '' 'tong: rm none: no such name; *' \
    "$TONG" rm a none b
t 'takes the others away' 0 '' '' "$TONG" ls

"$TONG" receive gone 2>"$work/rerr" &
pid=$!
soon field_is gone receivers-asleep 1
"$TONG" rm gone
ended "$pid" 1 'rm while a receiver waits'
t 'tells the receiver' 0 'tong: receive gone: it was removed while open; "tong create gone" makes a new one' '' \
    cat "$work/rerr"
"$TONG" create gone --capacity 1
"$TONG" send gone x
"$TONG" send gone y 2>"$work/rerr" &
pid=$!
soon field_is gone senders-blocked 1
"$TONG" rm gone
ended "$pid" 1 'rm while a sender waits'
t 'tells the sender' 0 'tong: send gone: it was removed while open; *' '' cat "$work/rerr"
finish
