# mailboxes.sh - links and mailboxes as the textbook has them, each with its line of `tong ls -l`.
. "$(dirname "$0")/lib"

# shown NAME: capacity, waiting, senders, receivers and delivery in its line.
shown() {
    "$TONG" ls -l | awk -v name="$1" '$1 == name { print $2, $3, $6, $7, $10 }'
}

# shows NAME TEXT, for soon.
shows() {
    [ "$(shown "$1")" = "$2" ]
}

# Who shares no mailbox cannot talk.
t 'a process without the mailbox cannot send to it' 4 '' 'tong: send A: no such name; *' \
    "$TONG" send A --no-create x
"$TONG" create A --capacity 2 --delivery exclusive
"$TONG" create B --delivery round-robin
t 'what one sends to another mailbox' 0 '' '' "$TONG" send B x
is 'does not come out of this one' "$(shown A)" '2 0 0 0 exclusive'
is 'but waits there' "$(shown B)" 'unbounded 1 0 0 round-robin'

# Two processes, two mailboxes: two links, and nothing mixes.
t 'the same process sends to both' 0 '' '' "$TONG" send A a1
"$TONG" send A a2
t 'one is full' 3 '' 'tong: send A: *' "$TONG" send A --timeout 0 a3
t 'the other is not' 0 '' '' "$TONG" send B y
is 'A has its two' "$(shown A)" '2 2 0 0 exclusive'
is 'B has its own' "$(shown B)" 'unbounded 2 0 0 round-robin'
t 'out of B comes what went into B' 0 "x${nl}y" '' "$TONG" receive B --count 2 --lines
t 'and out of A what went into A' 0 "a1${nl}a2" '' "$TONG" receive A --count 2 --lines
"$TONG" receive A >/dev/null &
only=$!
soon field_is A receivers-asleep 1
t 'A takes one receiver' 1 '' 'tong: receive A: *' "$TONG" receive A --timeout 0
t 'B any number' 3 '' 'tong: receive B: *' "$TONG" receive B --timeout 0
t 'which ends' 0 '' '' "$TONG" send A end
ended "$only" 0 'with its message'

# Many processes, one mailbox.
receivers=
for i in 1 2 3; do
    "$TONG" receive B --count 2 --lines >"$work/got$i" &
    receivers="$receivers $!"
done
soon field_is B receivers-asleep 3
is 'three receivers' "$(shown B)" 'unbounded 0 0 3 round-robin'
senders=
for i in 1 2 3 4 5; do
    mkfifo "$work/in$i"
    "$TONG" send B --lines <"$work/in$i" &
    senders="$senders $!"
    eval "exec $((i + 3))>\"\$work/in$i\""
    echo "from $i" >&$((i + 3))
done
soon shows B 'unbounded 0 5 1 round-robin'
is 'five senders have a link each' "$(shown B)" 'unbounded 0 5 1 round-robin'
for i in 1 2 3 4 5; do
    eval "exec $((i + 3))>&-"
done
t 'a sixth' 0 '' '' "$TONG" send B 'from 6'
for pid in $senders $receivers; do
    ended "$pid" 0 'each ends'
done
is 'every message came to one of them' "$(cat "$work"/got* | sort)" \
    "from 1${nl}from 2${nl}from 3${nl}from 4${nl}from 5${nl}from 6"
is 'two to each' "$(wc -l <"$work/got1") $(wc -l <"$work/got2") $(wc -l <"$work/got3")" '2 2 2'
is 'then nobody is there' "$(shown B)" 'unbounded 0 0 0 round-robin'
finish
