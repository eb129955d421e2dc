# watch.sh - tong watch: a line for each process that dies with the mailbox open.
. "$(dirname "$0")/lib"

t 'a mailbox that is not there' 4 '' 'tong: watch box: no such name; *' "$TONG" watch box
t 'a name' 2 '' 'tong: watch: the NAME is missing; *' "$TONG" watch
t '--count 0 is no count' 2 '' 'tong: watch: --count: 0 is no death; say 1 or more, *' \
    "$TONG" watch box --count 0
"$TONG" create box
t 'nobody died' 3 '' \
    'tong: watch box: would have to wait*; nobody died; watch longer with --timeout, or without a limit' \
    "$TONG" watch box --timeout 0
t 'nobody died in time' 3 '' 'tong: watch box: the time is over; nobody died; *' \
    "$TONG" watch box --timeout 0.05

# receiver, sender: start one and wait until it is a party of the mailbox. Its process: $victim.
receiver() {
    "$TONG" receive box --follow >/dev/null &
    victim=$!
    soon field_is box receivers-asleep 1
}
mkfifo "$work/lines"
exec 7<>"$work/lines"
sender() {
    s_sent=$(field box sent)
    "$TONG" send box --lines <"$work/lines" &
    victim=$!
    echo x >&7
    soon field_is box sent $((s_sent + 1))
}
dies() {
    kill -KILL "$victim"
    wait "$victim" 2>/dev/null
}
lines() {
    wc -l <"$1"
}
# until_told FILE: kills receivers until the watcher has told of one: then it watches.
until_told() {
    receiver
    dies
    u_left=50
    until [ "$(lines "$1")" -gt 0 ] || [ "$u_left" -eq 0 ]; do
        u_left=$((u_left - 1))
        sleep 0.02
    done
    [ "$u_left" -gt 0 ]
}

"$TONG" watch box >"$work/told" &
watcher=$!
soon until_told "$work/told"
# The first one that it told of may be one killed before: on a busy machine that takes its time.
soon sh -c 'tail -n 1 "$0" | grep -q "$1"' "$work/told" "receiver $victim "
n=$(lines "$work/told")
is 'a receiver that is killed' "$(tail -n 1 "$work/told")" "receiver $victim of user $(id -u) died"
sender
dies
soon sh -c '[ "$(wc -l <"$0")" = "$1" ]' "$work/told" $((n + 1))
is 'a sender that is killed' "$(tail -n 1 "$work/told")" "sender $victim of user $(id -u) died"
"$TONG" send box x
t 'who closes is not told of' 0 '*' '' "$TONG" receive box --timeout 5
receiver
dies
soon sh -c '[ "$(wc -l <"$0")" = "$1" ]' "$work/told" $((n + 2))
is 'but who dies then' "$(tail -n 1 "$work/told")" "receiver $victim of user $(id -u) died"
kill -TERM "$watcher"
ended "$watcher" 143 'a signal ends it'

"$TONG" watch box --count 1 >"$work/one" &
watcher=$!
soon until_told "$work/one"
ended "$watcher" 0 '--count ends it'
is 'after so many' "$(lines "$work/one")" 1

if "$TONG" stat box --json >/dev/null 2>&1; then
    "$TONG" watch box --json --count 1 >"$work/json" &
    watcher=$!
    soon until_told "$work/json"
    ended "$watcher" 0 '--json'
    t 'is an object a line' 0 \
        "{\"mailbox\":\"box\",\"roles\":\"receiver\",\"pid\":*,\"uid\":$(id -u)}" '' cat "$work/json"
else
    skip '--json' 'the command was built without jansson'
fi

"$TONG" watch box >"$work/end" 2>"$work/rerr" &
watcher=$!
soon until_told "$work/end"
"$TONG" rm box
ended "$watcher" 1 'it ends with the mailbox'
t 'and says so' 0 'tong: watch box: it was removed while open; *' '' cat "$work/rerr"

"$TONG" hold box >/dev/null &
holder=$!
soon field_is box owner process
sender_told() {
    sender
    dies
    [ "$(lines "$1")" -gt 0 ]
}
"$TONG" watch box >"$work/held" 2>"$work/rerr" &
watcher=$!
soon sender_told "$work/held"
kill -TERM "$holder"
ended "$watcher" 1 'or with its owner'
t 'and says that, too' 0 'tong: watch box: its process is gone; *' '' cat "$work/rerr"
ended "$holder" 143 'which was asked to end'
after_kills
finish
