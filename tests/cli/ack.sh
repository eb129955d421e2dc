# ack.sh - receive --ack: workers, what their failures and deaths leave, and dead letters.
. "$(dirname "$0")/lib"

# Without --exec: done when it is written.
"$TONG" send plain one
"$TONG" send plain two
t '--ack alone prints the message' 0 'one' '' "$TONG" receive plain --ack --timeout 5
is 'which then is done' "$(field plain done) $(field plain waiting)" '1 1'
t 'a full disk' 1 '' \
    'tong: receive plain: cannot write to standard output, No space left on device; the message is back in the mailbox' \
    sh -c '"$TONG" receive plain --ack --timeout 5 >/dev/full'
is 'gives it back' "$(field plain done) $(field plain waiting)" '1 1'
t 'into a file' 0 '' '' "$TONG" receive plain --ack --timeout 5 --output "$work/file"
is 'it is there' "$(cat "$work/file")" two
t '--ack and --stream' 2 '' 'tong: receive: --ack and --stream exclude each other; *' \
    "$TONG" receive plain --ack --stream

# A worker goes on when its command fails.
t 'a mailbox for them that is not there yet is said' 0 '' \
    'tong: create jobs: there is no mailbox failed yet, what comes back too often is set aside until there is; "tong create failed" makes it' \
    "$TONG" create jobs --max-deliveries 3 --dead-letter failed
"$TONG" create failed
t 'then nothing is said' 0 '' '' "$TONG" create jobs --max-deliveries 3 --dead-letter failed
printf 'good 1\nbad 1\ngood 2\n' | "$TONG" send jobs --lines
t 'what fails comes again, counted, and the others are done' 1 "1 good 1
1 bad 1
2 bad 1
3 bad 1
1 good 2" \
    'tong: receive jobs: the command ended with 7 and the message is back in the mailbox, delivered 1 of 3 times; look at what it printed
tong: receive jobs: the command ended with 7 and the message is back in the mailbox, delivered 2 of 3 times; look at what it printed
tong: receive jobs: the command ended with 7 for the last time, and the message goes to the dead letters in failed; look at what it printed' \
    "$TONG" receive jobs --count 5 --timeout 5 --ack \
    --exec 'read -r line; echo "$TONG_DELIVERIES $line"; case $line in bad*) exit 7 ;; esac'
is 'all of them are finished' "$(field jobs done) $(field jobs waiting) $(field jobs claimed)" '3 0 0'
is 'one is a dead letter' "$(field jobs dead-letters) $(field failed waiting)" '1 1'
t 'whose command knows where it comes from' 0 "jobs $(field jobs id) 1 3 $(id -u) 1 failed bad 1" '' \
    "$TONG" receive failed --timeout 5 \
    --exec 'echo "$TONG_ORIGIN_MAILBOX $TONG_ORIGIN_ID $TONG_ORIGIN_SEQUENCE $TONG_ORIGIN_DELIVERIES $TONG_ORIGIN_UID $TONG_DELIVERIES $TONG_MAILBOX $(cat)"'
"$TONG" send failed x
t 'another message has no origin' 0 'none none' '' env TONG_ORIGIN_MAILBOX=old TONG_ORIGIN_PID=7 \
    "$TONG" receive failed --timeout 5 --exec 'echo "${TONG_ORIGIN_MAILBOX-none} ${TONG_ORIGIN_PID-none}"'
t 'the command knows its sender' 0 "$(id -u) yes" '' \
    sh -c '"$TONG" send jobs x & sender=$!; wait $sender
        "$TONG" receive jobs --ack --timeout 5 --exec "[ \$TONG_SENDER_PID = $sender ] && echo \$TONG_SENDER_UID yes"'
t 'a command that is killed' 1 '' '*: the command ended with 137 and the message is back in the mailbox, delivered 1 of 3 times; *' \
    sh -c '"$TONG" send jobs y; "$TONG" receive jobs --ack --timeout 5 --exec "kill -KILL \$\$"'
t 'a command that is not there' 1 '' '*: the command ended with 127 and the message is back in the mailbox, delivered 2 of 3 times; *' \
    "$TONG" receive jobs --ack --timeout 5 --exec "$work/none"
t 'is done the third time' 0 '3 y' '' \
    "$TONG" receive jobs --ack --timeout 5 --exec 'echo "$TONG_DELIVERIES $(cat)"'
t 'nothing there ends it with 3' 3 '' 'tong: receive jobs: would have to wait*' \
    "$TONG" receive jobs --ack --follow --timeout 0 --exec cat

# Without a limit it says no number; without a mailbox for them they are set aside.
"$TONG" send free x
t 'without a limit' 1 '' \
    'tong: receive free: the command ended with 1 and the message is back in the mailbox; look at what it printed' \
    "$TONG" receive free --ack --timeout 5 --exec false
"$TONG" create aside --max-deliveries 1
"$TONG" send aside x
t 'without a mailbox for them' 1 '' '*: the command ended with 1 for the last time, and the message is set aside; *' \
    "$TONG" receive aside --ack --timeout 5 --exec false
t 'nobody gets it any more' 3 '' '*' "$TONG" receive aside --timeout 0
is 'it is set aside' "$(field aside set-aside) $(field aside waiting) $(field aside done)" '1 0 0'

# Workers in parallel are several commands. Each third job is poison.
"$TONG" create many --max-deliveries 2 --dead-letter failed
seq 1 60 | "$TONG" send many --lines
for worker in 1 2 3; do
    "$TONG" receive many --ack --follow --timeout 20 --exec \
        'read -r n; echo "$n" >>"'"$work"'/tried"; [ $((n % 3)) -ne 0 ] && echo "$n" >>"'"$work"'/done"' \
        2>/dev/null &
    workers="${workers:-} $!"
done
soon field_is many done 60
# shellcheck disable=SC2086
kill -TERM $workers
for pid in $workers; do
    ended "$pid" 143 'a worker ends when it is asked to'
done
is 'each good one is done once' "$(sort -n "$work/done" | tr '\n' ' ')" \
    "$(seq 1 60 | awk '$1 % 3' | tr '\n' ' ')"
is 'each bad one was tried twice' "$(sort -n "$work/tried" | uniq -c | awk '$2 % 3 == 0 { print $1 }' | sort -u)" 2
is 'and is a dead letter' "$(field many dead-letters) $(field failed waiting)" '20 20'
"$TONG" receive failed --count 20 --lines --timeout 5 >"$work/letters"
is 'whole' "$(sort -n "$work/letters" | tr '\n' ' ')" "$(seq 3 3 60 | tr '\n' ' ')"

# A worker that is killed, its command too: redelivered, marked.
mkfifo "$work/go"
"$TONG" send jobs slow
"$TONG" receive jobs --ack --follow --exec \
    "echo \$PPID >'$work/ppid'; exec cat '$work/go' >/dev/null" &
pid=$!
soon test -s "$work/ppid"
"$TONG" receive jobs --ack --timeout 20 --exec 'echo "$TONG_DELIVERIES $(cat)"' >"$work/got" &
next=$!
soon field_is jobs receivers-asleep 1
kill -KILL "$pid"
wait "$pid" 2>/dev/null
ended "$next" 0 'a worker that sleeps gets what a killed one had'
is 'marked' "$(cat "$work/got")" '2 slow'
echo go >"$work/go"

# A worker that is asked to end while its command runs.
rm -f "$work/ppid"
"$TONG" send jobs last
"$TONG" receive jobs --ack --follow --exec \
    "echo \$PPID >'$work/ppid'; exec cat '$work/go' >/dev/null" 2>"$work/rerr" &
pid=$!
soon test -s "$work/ppid"
kill -TERM "$pid"
ended "$pid" 143 'a worker that is asked to end ends its command'
t 'gives the message back, and says nothing' 0 '' '' cat "$work/rerr"
t 'for the next one' 0 '2 last' '' \
    "$TONG" receive jobs --ack --timeout 5 --exec 'echo "$TONG_DELIVERIES $(cat)"'

# A worker whose mailbox is given to another process: what it has is its own to finish.
rm -f "$work/ppid"
"$TONG" hold other >/dev/null &
other=$!
soon field_is other owner process
"$TONG" send jobs mine
done=$(field jobs done)
"$TONG" receive jobs --ack --follow --exec \
    "echo \$PPID >'$work/ppid'; exec cat '$work/go' >/dev/null" 2>"$work/rerr" &
pid=$!
soon test -s "$work/ppid"
"$TONG" give jobs other
echo go >"$work/go"
ended "$pid" 1 'a worker whose mailbox is given away ends'
is 'with its message done' "$(field jobs done)" $((done + 1))
t 'and says why' 0 'tong: receive jobs: only its owner may do this; it was given to another process *' \
    '' cat "$work/rerr"
kill -TERM "$other"
wait "$other"
after_kills
finish
