#!/bin/bash
# A room on a NATS server: names, what was said before, who is here.
. "$(dirname "$0")/lib"
. "$(dirname "$0")/nats_server"

nats_begin || finish

# person NICK FD ROOM: comes into the room and reads what is written to that descriptor.
person() {
    mkfifo "$work/in.$1"
    "$TONG" chat "$3" --as "$1" <"$work/in.$1" >"$work/out.$1" 2>"$work/err.$1" &
    eval "$1=$!"
    eval "exec $2>\"\$work/in.$1\""
    soon grep -q "here.*$1" "$work/out.$1"
}
# sees NICK LINE, for soon: that stands in what NICK sees.
sees() {
    grep -qxF "$2" "$work/out.$1"
}

person ada 5 nats:room
person bob 6 "$TONG_NATS_URL/room"
soon sees ada '* bob is here'
ok 'who comes is told of'
is 'and sees who is here' "$(cat "$work/out.bob")" '* here: ada, bob'
echo 'hello all' >&5
soon sees bob 'ada: hello all'
echo 'hello ada' >&6
soon sees ada 'bob: hello ada'
ok 'they talk'
is 'nobody sees the own lines' "$(grep -c 'hello all' "$work/out.ada") $(grep -c 'hello ada' "$work/out.bob")" '0 0'
t 'a nick is one person' 1 '' 'tong: chat nats:room: ada is here already; *' "$TONG" chat nats:room --as ada

person cyd 7 nats:room
soon sees cyd 'ada: hello all'
soon sees cyd 'bob: hello ada'
ok 'who comes later sees what was said'
is 'each once' "$(grep -c hello "$work/out.cyd")" 2
echo '@bob just you' >&5
soon sees bob 'ada to bob: just you'
echo 'for all' >&5
soon sees cyd 'ada: for all'
is 'what is said to one the others do not see' "$(grep -c 'just you' "$work/out.cyd")" 0

echo '/quit' >&6
ended "$bob" 0 'one leaves'
soon sees ada '* bob has left'
echo '@bob when you are back' >&5
soon grep -q 'bob is away; it waits' "$work/err.ada"
t 'back again it is there' 0 '*ada to bob: when you are back*' '' sh -c '"$0" chat nats:room --as bob </dev/null' "$TONG"
kill -KILL "$cyd"
wait "$cyd" 2>/dev/null
# here_is WHO, for soon: that is what ada is told.
here_is() {
    echo '/who' >&5
    tail -n 1 "$work/out.ada" | grep -qxF "* here: $1"
}
soon here_is ada
ok 'who was killed is not here'
kill -TERM "$ada"
ended "$ada" 143 'asked to end it ends'
exec 5>&- 6>&- 7>&-
nats_end
finish
