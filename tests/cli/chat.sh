# chat.sh - people in a room: what each sees of the others, also of what was said before.
. "$(dirname "$0")/lib"

t 'a room' 2 '' 'tong: chat: the NAME of the room is missing*' "$TONG" chat
t 'a nick' 2 '' 'tong: chat: --as: a name here has 1 to 31 bytes*' "$TONG" chat room --as ''
t 'not too long' 2 '' 'tong: chat: --as: a name here has 1 to 31 bytes*' \
    "$TONG" chat room --as 12345678901234567890123456789012
t 'that can be one' 2 '' 'tong: chat room.to.a/b: *' "$TONG" chat room --as a/b
"$TONG" create jobs
t 'a mailbox is no room' 1 '' 'tong: chat jobs: it is a mailbox, and no room: *' "$TONG" chat jobs --as ada
"$TONG" rm jobs
is 'and nothing was made' "$("$TONG" ls)" room

# person NICK FD: comes into the room and reads what is written to that descriptor.
person() {
    mkfifo "$work/in.$1"
    "$TONG" chat room --as "$1" <"$work/in.$1" >"$work/out.$1" 2>"$work/err.$1" &
    eval "$1=$!"
    eval "exec $2>\"\$work/in.$1\""
    soon field_is "room.to.$1" receivers 1
    soon grep -q "here.*$1" "$work/out.$1"
}
# sees NICK LINE, for soon: that stands in what NICK sees.
sees() {
    grep -qxF "$2" "$work/out.$1"
}

person ada 5
person bob 6
soon sees ada '* bob is here'
ok 'who comes is told of'
is 'and sees who is here' "$(cat "$work/out.bob")" '* here: ada, bob'
echo 'hello all' >&5
soon sees bob 'ada: hello all'
echo 'hello ada' >&6
soon sees ada 'bob: hello ada'
ok 'they talk'
is 'nobody sees the own lines' "$(grep -c 'hello all' "$work/out.ada") $(grep -c 'hello ada' "$work/out.bob")" '0 0'
echo '/who' >&5
soon sees ada '* here: ada, bob'
echo '/dance' >&5
soon grep -q 'say /who, /quit, @nick text, or just text' "$work/err.ada"
ok 'what is not understood is said'
t 'a nick is one person' 1 '' 'tong: chat room: ada is here already; *' "$TONG" chat room --as ada

# One to one.
person cyd 7
echo '@bob just you' >&5
soon sees bob 'ada to bob: just you'
echo 'for all' >&5
soon sees cyd 'ada: for all'
is 'what is said to one the others do not see' "$(grep -c 'just you' "$work/out.cyd")" 0
echo '@eve hi' >&5
soon grep -q 'nobody of the name eve was ever here' "$work/err.ada"
ok 'nobody of the name'

# History, and what waits for one who is away.
is 'who comes later sees what was said' "$(sed -n 1,3p "$work/out.cyd")" "ada: hello all${nl}bob: hello ada${nl}* here: ada, bob, cyd"
# A line that is too long is none, to its end.
{
    head -c 5000 /dev/zero | tr '\0' x
    printf ' and its end\nthe next one\n'
    head -c 9000 /dev/zero | tr '\0' y
} | "$TONG" chat room --as long >/dev/null 2>"$work/err.long"
soon sees ada '* long has left'
is 'a line that is too long is not sent, nor its end' "$(grep '^long: ' "$work/out.ada")" 'long: the next one'
is 'and that is said, once for each' "$(grep -c 'a line is too long and was not sent' "$work/err.long")" 2

echo '/quit' >&6
ended "$bob" 0 'one leaves'
soon sees ada '* bob has left'
echo '@bob when you are back' >&5
soon grep -q 'bob is away; it waits' "$work/err.ada"
t 'back again it is there' 0 '*ada to bob: when you are back*' '' sh -c '"$0" chat room --as bob </dev/null' "$TONG"
t 'once' 0 '' '' sh -c '! "$0" chat room --as bob </dev/null | grep "when you are back"' "$TONG"

# A pipe takes part, and what it sends moves nobody's cursor.
printf 'one\ntwo\033[2J\302\233x\tlast' | "$TONG" chat room --as script >/dev/null
soon grep -qxF 'script: two.[2J.x	last' "$work/out.ada"
ok 'a script says lines, without what moves a cursor'
is 'each once' "$(grep -c '^script: ' "$work/out.ada")" 2

# Somebody dies.
kill -KILL "$cyd"
wait "$cyd" 2>/dev/null
echo '/who' >&5
soon sees ada '* here: ada'
ok 'who was killed is not here'
person cyd2 8
echo 'still here' >&5
soon sees cyd2 'ada: still here'
ok 'the others go on'
kill -TERM "$ada"
ended "$ada" 143 'asked to end it ends'
soon sees cyd2 '* ada has left'
exec 5>&- 6>&- 7>&- 8>&-
ended "$cyd2" 0 'the end of its input'
after_kills
finish
