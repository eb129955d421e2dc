# stream.sh - send --stream and receive --stream: whole, or told that it is not.
. "$(dirname "$0")/lib"

head -c 20000000 /dev/urandom >"$work/data"
sum=$(sha256sum <"$work/data")

# The data through a pipe, both ways.
cat "$work/data" | "$TONG" send pipe --stream &
pid=$!
"$TONG" receive pipe --stream --timeout 20 | cat >"$work/got"
ended "$pid" 0 'a pipe is sent'
is 'byte for byte' "$(sha256sum <"$work/got")" "$sum"
is 'and nothing is left' "$(field pipe waiting)" 0
is 'a stream makes a mailbox of few, large messages' "$(field pipe link-capacity)" 64

"$TONG" send pipe --stream --file "$work/data" &
pid=$!
t 'a file to a file' 0 '' '' "$TONG" receive pipe --stream --timeout 20 --output "$work/got"
ended "$pid" 0 'is sent'
same 'byte for byte, too' "$work/data" "$work/got"

t 'an empty stream is sent' 0 '' '' sh -c '"$TONG" send pipe --stream </dev/null'
echo old >"$work/old"
t 'and is whole' 0 '' '' "$TONG" receive pipe --stream --timeout 20

for options in '--capacity 0' '--capacity 1' '--capacity 3' '--capacity unbounded' \
    '--message-size 33' '--message-size 4096' '--max-bytes 1M' '--delivery exclusive'; do
    size=300000
    [ "$options" != '--message-size 33' ] || size=3000 # one byte in each
    head -c "$size" "$work/data" >"$work/some"
    # shellcheck disable=SC2086
    "$TONG" create through $options
    cat "$work/some" | "$TONG" send through --stream --timeout 20 &
    pid=$!
    "$TONG" receive through --stream --timeout 20 >"$work/got"
    ended "$pid" 0 "a stream through a mailbox with $options"
    same "is whole with $options" "$work/some" "$work/got"
    "$TONG" rm through
done

# A slow pipe: what was written comes at once, not when a chunk is full.
mkfifo "$work/in"
"$TONG" send slow --stream <"$work/in" &
sender=$!
exec 7>"$work/in"
"$TONG" receive slow --stream >"$work/got" 7>&- &
receiver=$!
echo first >&7
soon grep -q first "$work/got"
ok 'a line comes through while the pipe stays open'
echo second >&7
soon grep -q second "$work/got"
exec 7>&-
ended "$sender" 0 'the end of the pipe'
ended "$receiver" 0 'is the end of the stream'
is 'both lines came' "$(cat "$work/got")" "first${nl}second"

# Beyond max_bytes a stream waits as long as its own messages are still being taken.
"$TONG" create tight --capacity unbounded --max-bytes 1M
head -c 8000000 "$work/data" >"$work/some"
"$TONG" send tight --stream --file "$work/some" &
sender=$!
soon sh -c '[ "$("$TONG" stat tight | awk "\$1 == \"bytes\" { print \$2 }")" -gt 700000 ]'
t 'more than the memory of the mailbox' 0 '' '' \
    "$TONG" receive tight --stream --timeout 20 --output "$work/got"
ended "$sender" 0 'goes through it'
same 'whole' "$work/some" "$work/got"

# Not whole.
"$TONG" send part --stream <"$work/in" 2>"$work/err" &
sender=$!
exec 7>"$work/in"
"$TONG" receive part --stream >"$work/got" 2>"$work/rerr" 7>&- &
receiver=$!
echo begun >&7
soon grep -q begun "$work/got"
kill -KILL "$sender"
wait "$sender" 2>/dev/null
ended "$receiver" 1 'a sender that was killed'
t 'leaves a stream that is not whole' 0 \
    'tong: receive part: incomplete, after 6 bytes no sender is left and no end came; *' '' \
    cat "$work/rerr"
exec 7>&-

"$TONG" send part --stream <"$work/in" 2>"$work/err" &
sender=$!
exec 7>"$work/in"
"$TONG" receive part --stream >"$work/got" 2>"$work/rerr" 7>&- &
receiver=$!
echo begun >&7
soon grep -q begun "$work/got"
kill -TERM "$sender"
ended "$sender" 143 'a sender that is asked to end'
ended "$receiver" 1 'says so to its receiver'
t 'which reports it' 0 'tong: receive part: incomplete, after 6 bytes the sender gave up; *' '' \
    cat "$work/rerr"
exec 7>&-

# Two streams at once.
"$TONG" create mixed
mkfifo "$work/in2"
"$TONG" send mixed --stream <"$work/in" 2>/dev/null &
one=$!
"$TONG" send mixed --stream <"$work/in2" 2>/dev/null &
two=$!
exec 7>"$work/in" 8>"$work/in2"
echo one >&7
soon field_is mixed waiting 1
echo two >&8
soon field_is mixed waiting 2
t 'two streams that mix' 1 '[ot][nw][eo]' \
    'tong: receive mixed: incomplete, after 4 bytes a chunk of another stream came, two senders mix; send it again, with one sender and one receiver' \
    "$TONG" receive mixed --stream --timeout 20
is 'the chunk of the other one stays' "$(field mixed waiting)" 1
exec 7>&- 8>&-
wait "$one" "$two"
"$TONG" rm mixed

# Chunks that somebody else took.
"$TONG" create taken --max-bytes 64M
"$TONG" send taken --stream --file "$work/some"
t 'another receiver takes one' 0 '*' '' "$TONG" receive taken --timeout 5
t 'a stream without its beginning' 1 '' \
    'tong: receive taken: incomplete, after 0 bytes it begins in the middle, another receiver took chunks of it; *' \
    "$TONG" receive taken --stream --timeout 5
"$TONG" rm taken

t 'a message that is no stream' 0 '' '' "$TONG" send plain hello
t 'is not received as one' 1 '' \
    'tong: receive plain: the message is no part of a stream, it stays in the mailbox; receive it without --stream' \
    "$TONG" receive plain --stream --timeout 5
t 'and stays' 0 hello '' "$TONG" receive plain --timeout 5
t 'no stream in time' 3 '' 'tong: receive plain: the time is over; *' \
    "$TONG" receive plain --stream --timeout 0.05

"$TONG" create tiny --message-size 32
t 'messages too short for a stream' 1 '' \
    'tong: send tiny: messages of 32 bytes are too short for a stream; it needs 33 or more' \
    sh -c 'echo x | "$TONG" send tiny --stream'
"$TONG" create lossy --capacity 1 --full drop-newest
t 'a mailbox that drops breaks a stream' 1 '' \
    'tong: send lossy: the stream is broken, the mailbox was full and drops what comes then; *' \
    "$TONG" send lossy --stream --file "$work/some"
"$TONG" create ring --capacity 1 --full drop-oldest
t 'so does one that drops the oldest' 1 '' \
    'tong: send ring: the stream is broken, the mailbox was full and drops what comes then; *' \
    "$TONG" send ring --stream --file "$work/some"
t 'a removed mailbox breaks a stream' 1 '*' '*' sh -c '
    "$TONG" receive gone --stream & pid=$!
    { echo x; until [ "$("$TONG" stat gone | awk "\$1 == \"done\" { print \$2 }")" = 1 ]; do sleep 0.02; done
      "$TONG" rm gone; } | "$TONG" send gone --stream
    wait $pid' 
is 'and says so' "$(grep -c 'tong: receive gone: incomplete, after 2 bytes it was removed while open; ' "$work/err")" 1
after_kills
finish
