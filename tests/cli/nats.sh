#!/bin/bash
# The command over a real nats-server: what it sends, receives, shows; what it says when there is none.
. "$(dirname "$0")/lib"
. "$(dirname "$0")/nats_server"

t 'no server' 1 '' 'tong: create nats://127.0.0.1:1/a: no server answers there*' \
    "$TONG" create nats://127.0.0.1:1/a
t 'no name behind the server' 2 '' 'tong: create nats://127.0.0.1: an argument that cannot be*' \
    "$TONG" create nats://127.0.0.1

nats_begin || finish

t 'a message goes through the server' 0 'hello' '' \
    sh -c '"$TONG" send nats:jobs hello && "$TONG" receive nats:jobs'
t 'the server may be named' 0 'again' '' \
    sh -c '"$TONG" send "$0" again && "$TONG" receive nats:jobs' "$TONG_NATS_URL/jobs"
is 'it is the carrier' "$(field nats:jobs carrier)" nats
t 'ls shows it' 0 'nats:jobs' '' "$TONG" ls
t 'it is removed' 0 '' '' "$TONG" rm nats:jobs
t 'and then it is not there' 4 '' '*no such name*' "$TONG" stat nats:jobs

t 'capacity 2' 0 '' '' "$TONG" create nats:two --capacity 2
t 'two go in, the third does not' 3 '' '*' \
    sh -c 'printf "1\n2\n3\n" | "$TONG" send nats:two --lines --timeout 0'
is 'two wait' "$(field nats:two waiting)" 2
"$TONG" send nats:two 3 --timeout 20 &
soon field_is nats:two senders-blocked 1
t 'the first comes out' 0 '1' '' "$TONG" receive nats:two
ended $! 0 'and the blocked sender goes on'
t 'a fresh receiver gets the others' 0 "2${nl}3" '' "$TONG" receive nats:two --count 2 --lines
t 'nothing is left' 3 '' '*' "$TONG" receive nats:two --timeout 0
"$TONG" rm nats:two

head -c 5000000 /dev/urandom >"$work/long"
"$TONG" send nats:long --file "$work/long"
"$TONG" receive nats:long --timeout 20 >"$work/back"
same 'a message longer than the server takes at once' "$work/long" "$work/back"
"$TONG" rm nats:long

t 'options that a stream has not' 1 '' '*this carrier cannot do that*' \
    "$TONG" create nats:links --link-capacity 3
foreign='{"name":"taken","subjects":["theirs"]}'
nats_say 'CONNECT {"verbose":false}' "PUB \$JS.API.STREAM.CREATE.taken ${#foreign}" "$foreign"
t 'another program'\''s stream is in the way' 1 '' '*foreign or damaged*' \
    env TONG_NATS_SPACE=taken "$TONG" create nats:a

# What a server wrote down of the receiver may be newer than what it wrote down of the messages.
"$TONG" send nats:again first && "$TONG" receive nats:again >/dev/null
nats_end
nats_begin || finish
"$TONG" send nats:again second
t 'behind the server'\''s kill the next message is handed out' 0 second '' \
    "$TONG" receive nats:again --timeout 20
nats_end
finish
