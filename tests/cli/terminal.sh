# terminal.sh - what is different when a person sits there.
. "$(dirname "$0")/lib"

if ! script -qec true /dev/null >/dev/null 2>&1; then
    skip terminal 'script(1) does not run here'
    finish
fi

# on_terminal COMMAND: runs it with a terminal as standard input, output and error.
on_terminal() {
    script -qec "$1" /dev/null </dev/null | tr -d '\r'
}

NO_COLOR=1
export NO_COLOR
is 'send says that it made a mailbox' "$(on_terminal '"$TONG" send hello hi')" \
    'tong: send hello: made the mailbox; "tong rm hello" takes it away'
is 'a terminal gets a newline' "$(on_terminal '"$TONG" receive hello; echo end')" "hi${nl}end"
"$TONG" send hello "$(printf 'line\nx')"
is 'after each message' "$(on_terminal '"$TONG" send hello 2; "$TONG" receive hello --count 2; echo end')" \
    "line${nl}x${nl}2${nl}end"
printf 'line\n' | "$TONG" send hello
is 'unless it has one' "$(on_terminal '"$TONG" receive hello; echo end')" "line${nl}end"
is 'receive says that it made a mailbox' "$(on_terminal '"$TONG" receive other --timeout 0' | head -n 1)" \
    'tong: receive other: made the mailbox; "tong rm other" takes it away'

"$TONG" create three --capacity 3
for i in 1 2 3; do "$TONG" send three "$i"; done
is 'a sender that waits longer than a second says for what' \
    "$(on_terminal '"$TONG" send three 4 --timeout 2' | head -n 1)" \
    'tong: send three: waiting for room: 3 of 3 messages are in it, 0 receivers are there'
"$TONG" create meet --capacity 0
is 'and at a rendezvous for whom' "$(on_terminal '"$TONG" send meet x --timeout 2' | head -n 1)" \
    'tong: send meet: waiting for room: it takes a message when a receiver waits, and 0 receivers are there'
is 'a receiver says that it waits' "$(on_terminal '"$TONG" receive hello --timeout 2' | head -n 1)" \
    'tong: receive hello: waiting for a message; Ctrl-C ends this'
t 'without a terminal nothing of that is said' 3 '' \
    'tong: send three: the time is over; 3 of 3 messages are in it, 0 receivers are there; *' \
    "$TONG" send three 4 --timeout 1.5

NO_COLOR=
unset NO_COLOR
holds 'errors are red on a terminal' \
    sh -c 'script -qec "\"$TONG\" stat none" /dev/null </dev/null | grep -q "$(printf "\033\\[31mtong:")"'
NO_COLOR=1
export NO_COLOR
holds 'but not with NO_COLOR' \
    sh -c '! script -qec "\"$TONG\" stat none" /dev/null </dev/null | grep -q "$(printf "\033")"'
unset NO_COLOR
t 'nor without a terminal' 4 '' 'tong: stat none: *' "$TONG" stat none

# A transfer that goes on for a while: the reader waits until progress was drawn.
"$TONG" create wide --capacity 2
mkfifo "$work/in"
{ head -c 80000000 /dev/zero; soon grep -q 'MiB/s' "$work/screen"; } >"$work/in" &
feeder=$!
"$TONG" receive wide --stream | cat >/dev/null &
receiver=$!
script -qfec "\"\$TONG\" send wide --stream --file '$work/in'" /dev/null </dev/null >"$work/screen"
ended "$feeder" 0 'progress of a long transfer is drawn'
ended "$receiver" 0 'which goes through'
finish
