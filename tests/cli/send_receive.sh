# send_receive.sh - messages in and out: forms, order, counts, time-outs, refusals.
. "$(dirname "$0")/lib"

t 'a text' 0 '' '' "$TONG" send hello 'Hi there'
t 'is received as it is' 0 'Hi there' '' "$TONG" receive hello
is 'without a newline of our own' "$(wc -c <"$work/out")" 8
t 'an empty text is a message' 0 '' '' "$TONG" send hello ''
is 'it waits' "$(field hello waiting)" 1
t 'it is received' 0 '' '' "$TONG" receive hello --timeout 5
is 'and is gone' "$(field hello waiting)" 0
t 'a text with a hyphen behind --' 0 '' '' "$TONG" send hello -- -5
t 'comes' 0 '-5' '' "$TONG" receive hello --timeout=5
t '"--" may be the text' 0 '' '' "$TONG" send hello -- --
t 'it comes, too' 0 '--' '' "$TONG" receive hello --timeout 5

printf 'a\0b\377\n\n' >"$work/bytes"
t 'standard input is one message' 0 '' '' sh -c '"$TONG" send hello <"$0"' "$work/bytes"
"$TONG" receive hello --timeout 5 >"$work/got"
same 'bytes are bytes, from a file on standard input' "$work/bytes" "$work/got"
cat "$work/bytes" | "$TONG" send hello
"$TONG" receive hello --timeout 5 >"$work/got"
same 'bytes are bytes, from a pipe' "$work/bytes" "$work/got"
t '--file' 0 '' '' "$TONG" send hello --file "$work/bytes"
t '--output' 0 '' '' "$TONG" receive hello --timeout 5 --output "$work/got2"
same 'bytes are bytes, by --file and --output' "$work/bytes" "$work/got2"
: >"$work/empty"
t 'an empty file is an empty message' 0 '' '' "$TONG" send hello --file "$work/empty"
echo old >"$work/got3"
t '--output of an empty message' 0 '' '' "$TONG" receive hello --timeout 5 --output "$work/got3"
same 'replaces what was there' "$work/got3" "$work/empty"
t 'a file of /proc, whose length nobody knows' 0 '' '' "$TONG" send hello --file /proc/self/status
t 'is read to its end' 0 'Name:*Threads:*' '' "$TONG" receive hello --timeout 5
head -c 3000000 /dev/urandom >"$work/big"
t 'a long file' 0 '' '' "$TONG" send hello --file "$work/big"
"$TONG" receive hello --timeout 5 >"$work/got"
same 'comes whole' "$work/big" "$work/got"
cat "$work/big" | "$TONG" send hello
"$TONG" receive hello --timeout 5 | cat >"$work/got"
same 'and through pipes' "$work/big" "$work/got"
t 'a file from where it is read' 0 '' '' \
    sh -c '{ dd bs=2 count=1 status=none >/dev/null; "$TONG" send hello; } <"$0"' "$work/bytes"
tail -c +3 "$work/bytes" >"$work/rest"
"$TONG" receive hello --timeout 5 >"$work/got"
same 'sends the rest of it' "$work/rest" "$work/got"

# Lines and parts.
seq 1 5000 >"$work/lines"
t '--lines' 0 '' '' sh -c '"$TONG" send numbers --lines <"$0"' "$work/empty"
is 'of an empty input send nothing' "$(field numbers waiting)" 0
"$TONG" rm numbers
"$TONG" create numbers --capacity unbounded
t '--lines sends a message a line' 0 '' '' sh -c '"$TONG" send numbers --lines <"$0"' "$work/lines"
is 'each of them' "$(field numbers waiting)" 5000
t 'the first has no newline' 0 '1' '' "$TONG" receive numbers --timeout 5
is 'not a single byte more' "$(wc -c <"$work/out")" 1
"$TONG" receive numbers --timeout 5 --lines --count 4999 >"$work/got"
tail -n +2 "$work/lines" >"$work/rest"
same '--lines gives it back, in order' "$work/rest" "$work/got"
printf 'a\n\nlast' | "$TONG" send numbers --lines --file /dev/stdin
is 'empty lines and a last one without newline count' "$(field numbers waiting)" 3
"$TONG" receive numbers --timeout 5 --lines --count 3 >"$work/got"
is 'they come' "$(cat "$work/got")" "a$nl${nl}last"
printf 'a b\0\0c\nd' | "$TONG" send numbers --null
is '--null' "$(field numbers waiting)" 3
"$TONG" receive numbers --timeout 5 --null --count 3 >"$work/got"
printf 'a b\0\0c\nd\0' >"$work/want"
same 'gives the parts back' "$work/want" "$work/got"
{ head -c 1000000 /dev/zero | tr '\0' x; echo; echo short; } >"$work/long"
t 'a line longer than any buffer' 0 '' '' sh -c '"$TONG" send numbers --lines <"$0"' "$work/long"
"$TONG" receive numbers --timeout 5 --lines --count 2 >"$work/got"
same 'comes whole' "$work/long" "$work/got"

# Following and counting.
"$TONG" receive numbers --follow --lines >"$work/got" 2>"$work/rerr" &
pid=$!
soon field_is numbers receivers-asleep 1
for i in 1 2 3; do "$TONG" send numbers "$i"; done
soon sh -c '[ "$(wc -l <"$0")" = 3 ]' "$work/got"
"$TONG" rm numbers
ended "$pid" 1 '--follow ends when the mailbox is removed'
is 'after all that came' "$(cat "$work/got")" "1${nl}2${nl}3"
t '--count 0 is no count' 2 '' 'tong: receive: --count: 0 is no message; say 1 or more, *' \
    "$TONG" receive hello --count 0
t '--count wants a number' 2 '' '*--count: x is not a number;*' "$TONG" receive hello --count x

# Time.
t 'nothing there and not waiting' 3 '' \
    'tong: receive hello: would have to wait: nothing there, or no room; send one with "tong send", or wait longer with --timeout' \
    "$TONG" receive hello --timeout 0
t 'nothing there in time' 3 '' 'tong: receive hello: the time is over; send one *' \
    "$TONG" receive hello --timeout 0.05
t 'a time that is none' 2 '' \
    'tong: receive: --timeout: soon is not a time; say seconds, as 2 or 0.5, *' \
    "$TONG" receive hello --timeout soon
t 'a negative time' 2 '' '*--timeout: -1 is not a time;*' "$TONG" receive hello --timeout=-1
t 'a time like 1e3' 2 '' '*--timeout: 1e3 is not a time;*' "$TONG" send hello x --timeout 1e3
t 'a time like 1.2.3' 2 '' '*--timeout: 1.2.3 is not a time;*' "$TONG" send hello x --timeout 1.2.3
"$TONG" create three --capacity 3
for i in 1 2 3; do "$TONG" send three "$i"; done
t 'a full mailbox and not waiting' 3 '' \
    'tong: send three: would have to wait: nothing there, or no room; 3 of 3 messages are in it, 0 receivers are there; receive some, or wait longer with --timeout' \
    "$TONG" send three 4 --timeout 0
t 'a full mailbox and no room in time' 3 '' 'tong: send three: the time is over; 3 of 3 messages are in it, *' \
    "$TONG" send three 4 --timeout 0.05
is 'what was refused is not in it' "$(field three waiting)" 3
"$TONG" send three 4 &
pid=$!
soon field_is three senders-blocked 1
t 'one is taken' 0 '1' '' "$TONG" receive three
ended "$pid" 0 'a waiting send goes through'
t 'in order' 0 "2${nl}3${nl}4" '' "$TONG" receive three --count 3 --lines
printf 'a\nb\nc\nd\ne\n' | "$TONG" send three --lines --timeout 0 2>"$work/rerr"
is 'lines that find no room' "$?" 3
t 'are sent as far as there is room' 0 "a${nl}b${nl}c" '' "$TONG" receive three --count 3 --lines --timeout 5

# Rendezvous.
"$TONG" create meet --capacity 0
t 'nobody waits at a rendezvous' 3 '' \
    'tong: send meet: *; it takes a message when a receiver waits, and 0 receivers are there; *' \
    "$TONG" send meet x --timeout 0
t 'nobody comes' 3 '' 'tong: send meet: the time is over; *' "$TONG" send meet x --timeout 0.05
t 'the one that timed out is not delivered' 3 '' '*' "$TONG" receive meet --timeout 0.05
"$TONG" receive meet >"$work/got" &
pid=$!
soon field_is meet receivers-asleep 1
t 'somebody waits' 0 '' '' "$TONG" send meet met --timeout 20
ended "$pid" 0 'and gets it'
is 'the message' "$(cat "$work/got")" met
"$TONG" send meet --file "$work/bytes" &
pid=$!
t 'a file at a rendezvous' 0 '*' '' "$TONG" receive meet --timeout 20
same 'comes whole' "$work/out" "$work/bytes"
ended "$pid" 0 'and its sender knows'

# Full and dropping.
"$TONG" create lossy --capacity 2 --full drop-newest
t 'a lossy mailbox takes what fits' 0 '' '' sh -c '"$TONG" send lossy 1 && "$TONG" send lossy 2'
t 'and drops what does not' 3 '' \
    'tong: send lossy: it is full and drops what comes then; receive some, or make it with --full block' \
    "$TONG" send lossy 3
t 'it counts' 0 1 '' field lossy dropped
printf 'x\ny\n' >"$work/xy"
t 'lines that are dropped are counted' 3 '' \
    'tong: send lossy: 2 of 2 messages were dropped, it was full' \
    sh -c '"$TONG" send lossy --lines <"$0"' "$work/xy"
t 'what was there stays' 0 "1${nl}2" '' "$TONG" receive lossy --count 2 --lines

# Full, and the oldest gives way.
"$TONG" create ring --capacity 2 --full drop-oldest
t 'a ring takes more than fit' 0 '' '' sh -c 'for i in 1 2 3 4; do "$TONG" send ring $i || exit; done'
t 'it counts' 0 2 '' field ring dropped
t 'also lines' 0 '' '' sh -c '"$TONG" send ring --lines <"$0"' "$work/xy"
t 'the newest are there' 0 "x${nl}y" '' "$TONG" receive ring --count 2 --lines
t 'what was dropped stays counted' 0 4 '' field ring dropped
t 'and so does what was received' 0 2 '' field ring done

# Fixed size.
"$TONG" create fixed --message-size 4
t 'the right size' 0 '' '' "$TONG" send fixed abcd
t 'another size' 1 '' \
    'tong: send fixed: the message does not fit: longer than the buffer, or not the fixed size; every message of it has 4 bytes, this one has 5' \
    "$TONG" send fixed abcde
t 'another size from a file' 1 '' '*; every message of it has 4 bytes, this one has 6' \
    "$TONG" send fixed --file "$work/bytes"
printf 'aaaa\nbb\ncccc\n' >"$work/sizes"
t 'a line of another size is named' 1 '' \
    'tong: send fixed: line 2 cannot be a message, 1 were sent before*every message of it has 4 bytes, this one has 2' \
    sh -c '"$TONG" send fixed --lines <"$0"' "$work/sizes"
t 'those before it are there' 0 "abcd${nl}aaaa" '' "$TONG" receive fixed --count 2 --lines

# Exclusive.
"$TONG" create one --delivery exclusive
"$TONG" receive one >"$work/got" &
pid=$!
soon field_is one receivers-asleep 1
t 'an exclusive mailbox has one receiver' 1 '' \
    'tong: receive one: taken: by its one receiver, or by a lock that somebody keeps; end its receiver first, *' \
    "$TONG" receive one --timeout 1
"$TONG" send one x
ended "$pid" 0 'which gets the message'
t 'then another is let in' 3 '' '*' "$TONG" receive one --timeout 0

# Making and not making.
t 'send makes a missing mailbox' 0 '' '' "$TONG" send fresh x
t 'and receive' 3 '' '*' "$TONG" receive fresh2 --timeout 0
is 'with the defaults' "$(field fresh2 link-capacity)" 1024
t '--no-create does not, send' 4 '' \
    'tong: send nowhere: no such name; "tong ls" shows what there is, "tong create nowhere" makes it' \
    "$TONG" send nowhere x --no-create
t '--no-create does not, receive' 4 '' 'tong: receive nowhere: no such name; *' \
    "$TONG" receive nowhere --no-create
t 'it is not there' 4 '' '*' "$TONG" stat nowhere

# Usage.
t 'a text and a file' 2 '' 'tong: send: a TEXT and a file or input exclude each other; *' \
    "$TONG" send hello x --file "$work/bytes"
t 'a text and lines' 2 '' 'tong: send: a TEXT and a file or input exclude each other; *' \
    "$TONG" send hello x --lines
t 'lines and stream' 2 '' 'tong: send: --lines and --stream exclude each other; *' \
    "$TONG" send hello --lines --stream
t 'count and follow' 2 '' 'tong: receive: --count and --follow exclude each other; *' \
    "$TONG" receive hello --count 1 --follow
t 'lines and json' 2 '' 'tong: receive: --lines and --json exclude each other; *' \
    "$TONG" receive hello --lines --json
t 'exec and output' 2 '' 'tong: receive: --exec and --output exclude each other; *' \
    "$TONG" receive hello --exec cat --output x
t 'a file that is not there' 1 '' "tong: send: $work/none: No such file or directory" \
    "$TONG" send hello --file "$work/none"
t 'a folder as a file' 1 '' "tong: send: $work: Is a directory" "$TONG" send hello --file "$work"
t 'an output in no folder' 1 '' "tong: receive: $work/no/x: No such file or directory" \
    "$TONG" receive hello --timeout 0 --output "$work/no/x"
t 'an output to which nothing came' 3 '' '*' "$TONG" receive hello --timeout 0 --output "$work/none"
holds 'is not left behind' test ! -e "$work/none"
echo old >"$work/kept"
t 'an output that was there' 3 '' '*' "$TONG" receive hello --timeout 0 --output "$work/kept"
t 'is left as it was' 0 'old' '' cat "$work/kept"

# A receiver that fails loses nothing.
"$TONG" send hello precious
t 'a full disk' 1 '' \
    'tong: receive hello: cannot write to standard output, No space left on device; the message is back in the mailbox' \
    sh -c '"$TONG" receive hello --timeout 5 >/dev/full'
t 'the message is there for the next' 0 'precious' '' "$TONG" receive hello --timeout 5
is 'and counted as given back' "$(field hello redelivered)" 1
"$TONG" send hello precious
{ soon test -e "$work/closed"; "$TONG" receive hello --timeout 5 2>"$work/rerr"; echo $? >"$work/code"; } |
    { exec <&-; : >"$work/closed"; }
t 'an output that nobody reads any more' 0 \
    'tong: receive hello: cannot write to standard output, nobody reads it any more; the message is back in the mailbox' \
    '' cat "$work/rerr"
is 'is a failure' "$(cat "$work/code")" 1
t 'that loses nothing' 0 'precious' '' "$TONG" receive hello --timeout 5
finish
