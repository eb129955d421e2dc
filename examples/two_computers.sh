#!/bin/bash
# two_computers.sh - two people talk, each on a computer of their own.
#
# What the computers share is a NATS server; the rooms of `tong chat nats://HOST/NAME` are on it. Here both computers
# are this one, each with a folder of mailboxes of its own, and the server runs as long as the script.
# Needs nats-server; TONG names another command than the tong that is installed.
set -u
tong=${TONG:-tong}
server=$(command -v nats-server || ls /usr/sbin/nats-server 2>/dev/null) || {
    echo 'nats-server is not installed'
    exit 77
}
work=$(mktemp -d) || exit 1
trap 'kill $pid 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT

# soon COMMAND WORD...: until it says yes, 20 s at most.
soon() {
    for _ in $(seq 1000); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.02
    done
    echo "not in time: $*"
    exit 1
}

"$server" --addr 127.0.0.1 --port -1 --jetstream --store_dir "$work/server" --ports_file_dir "$work" 2>"$work/log" &
pid=$!
url() {
    sed -n 's|.*"\(nats://[^"]*\)".*|\1|p' "$work/nats-server_$pid.ports" | head -n 1
}
soon grep -q nats:// "$work/nats-server_$pid.ports"

# person NICK FD: at a computer of their own; what is written to FD they say.
person() {
    mkdir -m 700 "$work/$1"
    mkfifo "$work/$1.says"
    TONG_DIR=$work/$1 "$tong" chat "$(url)/lunch" --as "$1" <"$work/$1.says" >"$work/$1.sees" &
    eval "exec $2>\"\$work/\$1.says\""
    soon grep -q "here.*$1" "$work/$1.sees"
}

person ada 5
person bob 6
soon grep -q 'bob is here' "$work/ada.sees"
echo 'hello, who is there?' >&5
soon grep -q 'who is there' "$work/bob.sees"
echo 'only me' >&6
soon grep -q 'only me' "$work/ada.sees"
echo '@ada for you alone' >&6
soon grep -q 'for you alone' "$work/ada.sees"
exec 6>&-
soon grep -q 'bob has left' "$work/ada.sees"
exec 5>&-
wait %2 2>/dev/null

echo 'what ada saw:'
sed 's/^/    /' "$work/ada.sees"
echo 'what bob saw:'
sed 's/^/    /' "$work/bob.sees"
