#!/bin/bash
# What goes wrong at a NATS server is said, and in time: limits, a full disk, one that does not answer, another
# program's streams. (No server, passwords and certificates: nats.sh, nats_login.sh.)
. "$(dirname "$0")/lib"
. "$(dirname "$0")/nats_server"

# says NAME CODE ERR COMMAND WORD...: it fails so, and by itself: what hangs ends with 124.
says() {
    s_name=$1 s_code=$2 s_err=$3
    shift 3
    t "$s_name" "$s_code" '' "$s_err" timeout 15 "$@"
}
full='*: no memory left for messages: *'
away='*: no server answers there*'
lost='*: the connection to the server was lost*'
head -c 600000 /dev/zero >"$work/piece"

nats_begin 'no_auth_user: a' \
    'accounts { A { jetstream: { max_file: 1M, max_streams: 3 }, users: [ { user: a, password: a } ] } }' || finish
says 'a mailbox of more than there is' 1 "$full" "$TONG" create nats:huge --max-bytes 10000000
t 'a message that fits' 0 '' '' "$TONG" send nats:some --file "$work/piece"
says 'one that does not' 1 "$full" "$TONG" send nats:some --file "$work/piece" --timeout 3
is 'it is not there' "$(field nats:some waiting)" 1
"$TONG" receive nats:some >"$work/back"
same 'the other one is' "$work/piece" "$work/back"
t 'and has made room' 0 '' '' "$TONG" send nats:some --file "$work/piece" --timeout 3
"$TONG" create nats:third
says 'more mailboxes than the account may have' 1 "$full" "$TONG" create nats:fourth
nats_end

nats_begin || finish
"$TONG" create nats:small --max-bytes 1000000
t 'a mailbox with a limit' 0 '' '' "$TONG" send nats:small --file "$work/piece"
says 'is full' 1 "$full" "$TONG" send nats:small --file "$work/piece" --timeout 3
theirs='{"name":"theirs","subjects":["mine.q.>"]}'
nats_say 'CONNECT {"verbose":false}' "PUB \$JS.API.STREAM.CREATE.theirs ${#theirs}" "$theirs"
says 'another program keeps what would be sent' 1 '*foreign or damaged*' \
    env TONG_NATS_SPACE=mine "$TONG" create nats:a
says 'three replicas, of one server' 1 '*: this carrier cannot do that*' \
    env TONG_NATS_SPACE=three TONG_NATS_REPLICAS=3 "$TONG" create nats:a
"$TONG" create nats:frozen
kill -STOP "$nats_pid"
says 'a server that does not answer, to open' 1 "$away" "$TONG" create nats:other
says 'to send' 1 "$away" "$TONG" send nats:frozen x --timeout 1
says 'to receive' 1 "$away" "$TONG" receive nats:frozen --timeout 1
kill -CONT "$nats_pid"
t 'and does again' 0 '' '' "$TONG" send nats:frozen x
nats_end

mkdir "$work/bare"
printf 'listen: "127.0.0.1:-1"\nports_file_dir: "%s"\n' "$work/nats" >"$work/bare/conf"
nats_start "$nats_at" -c "$work/bare/conf" || finish
says 'a server without JetStream' 1 '*: this carrier cannot do that*' "$TONG" create nats:a
nats_end

# A disk of its own, which is full after five messages.
if unshare -rm true 2>/dev/null; then
    nats_config
    nats_start unshare -rm sh -c 'mount -t tmpfs -o size=3m none "$0" && exec "$@"' "$work/nats/data" \
        "$nats_at" -c "$work/nats/conf" || finish
    "$TONG" create nats:disk
    for i in 1 2 3 4; do
        "$TONG" send nats:disk --file "$work/piece" --timeout 3 || not_ok "message $i is stored"
    done
    until_full() {
        ! timeout 15 "$TONG" send nats:disk --file "$work/piece" --timeout 1 2>"$work/err"
    }
    soon until_full
    case $(cat "$work/err") in
    $full | $lost | $away) ok 'a full disk is said' ;;
    *) not_ok 'a full disk is said' "$(cat "$work/err")" ;;
    esac
    nats_end
else
    skip 'a full disk' 'no right to mount one'
fi
finish
