# exec.sh - receive --exec: claim, run, done; and what a failing command leaves.
. "$(dirname "$0")/lib"

"$TONG" create jobs
for i in 1 2 3; do "$TONG" send jobs "job $i"; done
t 'each message is the input of the command' 0 "got job 1${nl}got job 2${nl}got job 3" '' \
    "$TONG" receive jobs --count 3 --exec 'printf "got "; cat; echo'
is 'all are done' "$(field jobs done)" 3
is 'none is claimed' "$(field jobs claimed)" 0

"$TONG" send jobs 'try me'
t 'a command that fails' 1 'try me' \
    'tong: receive jobs: the command ended with 7 and the message is back in the mailbox; look at what it printed, or take the message without --exec' \
    "$TONG" receive jobs --exec 'cat; exit 7'
is 'leaves the message' "$(field jobs waiting)" 1
t 'which comes again, counted' 0 'jobs 2 try me' '' \
    "$TONG" receive jobs --exec 'echo "$TONG_MAILBOX $TONG_DELIVERIES $(cat)"'
"$TONG" send jobs 'kill me'
t 'a command that is killed' 1 '' '*: the command ended with 137 and the message is back *' \
    "$TONG" receive jobs --exec 'kill -KILL $$'
t '--follow ends at the first failure' 1 '' '*ended with 1 *' \
    "$TONG" receive jobs --follow --exec 'false'
t 'a command that is not there' 1 '' '*ended with 127 *' \
    "$TONG" receive jobs --exec "$work/none"
t 'a command need not read its message' 0 'done' '' "$TONG" receive jobs --exec 'echo done'
is 'nothing is left' "$(field jobs waiting)" 0

head -c 3000000 /dev/urandom >"$work/big"
"$TONG" send jobs --file "$work/big"
t 'a long message' 0 '' '' "$TONG" receive jobs --exec "cat >'$work/got'"
same 'comes whole' "$work/big" "$work/got"
"$TONG" send jobs --file "$work/big"
t 'a long message nobody reads' 0 '' '' "$TONG" receive jobs --exec 'exit 0'
"$TONG" send jobs "$(printf 'a\nb')"
t 'a message run as a script' 3 '' '*' sh -c '"$TONG" send scripts "exit 3"; "$TONG" receive scripts --exec sh; exit 3' 
is 'fails like one' "$(field scripts waiting)" 1

# While the command runs its message counts as claimed.
"$TONG" rm jobs
"$TONG" create jobs --capacity 1
"$TONG" send jobs slow
mkfifo "$work/go"
"$TONG" receive jobs --exec "exec cat '$work/go' >/dev/null" &
pid=$!
soon field_is jobs claimed 1
t 'a claimed message takes room until it is done' 3 '' '*1 of 1 messages are in it, 1 receiver is there*' \
    "$TONG" send jobs next --timeout 0
echo go >"$work/go"
ended "$pid" 0 'the command ends'
t 'then there is room' 0 '' '' "$TONG" send jobs next --timeout 5

# A receiver that dies while its command runs.
"$TONG" receive jobs --exec "echo \$PPID >'$work/ppid'; exec cat '$work/go' >/dev/null" &
pid=$!
soon test -s "$work/ppid"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
t 'its message goes to the next, marked' 0 'next 2' '' \
    "$TONG" receive jobs --timeout 20 --exec 'echo "$(cat) $TONG_DELIVERIES"'
echo go >"$work/go"

# A stop signal while the command runs.
"$TONG" send jobs last
"$TONG" receive jobs --exec "echo x >'$work/started'; exec cat '$work/go' >/dev/null" 2>"$work/err" &
pid=$!
soon test -s "$work/started"
kill -TERM "$pid"
ended "$pid" 143 'a receiver that is asked to end ends its command, too'
t 'and gives the message back' 0 'last' '' "$TONG" receive jobs --timeout 5
after_kills
finish
