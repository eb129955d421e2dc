# hold.sh - a mailbox of a process: it alone receives, and the mailbox ends with it.
. "$(dirname "$0")/lib"

t 'with a command the exit code is its' 7 '' '' "$TONG" hold box -- sh -c 'exit 7'
t 'and the mailbox ends with it' 4 '' '*' "$TONG" stat box
t 'it is there meanwhile, and the command knows its name' 0 'process' '' \
    "$TONG" hold box --capacity 2 -- \
    sh -c '"$TONG" stat "$TONG_MAILBOX" | awk "\$1 == \"owner\" { print \$2 }"'
t 'the options hold' 0 '2' '' \
    "$TONG" hold box --capacity 2 -- \
    sh -c '"$TONG" stat box | awk "\$1 == \"capacity\" { print \$2 }"'
t 'a limit of deliveries, too' 0 '2 failed' \
    'tong: hold box: there is no mailbox failed yet, *; "tong create failed" makes it' \
    "$TONG" hold box --max-deliveries 2 --dead-letter failed -- sh -c '"$TONG" stat box |
        awk "\$1 == \"max-deliveries\" { n = \$2 } \$1 == \"dead-letter\" { print n, \$2 }"'
t 'the command reads what is sent' 0 'got hello' '' \
    "$TONG" hold box --lines -- sh -c '"$TONG" send box hello && read -r line && echo "got $line"'
t 'the command has the words behind -- and no other' 0 '<a><b>' '' \
    "$TONG" hold box --lines -- printf '<%s>' a b
t 'a command that reads nothing keeps its mailbox' 0 'still process' '' \
    "$TONG" hold box -- sh -c 'exec <&-; "$TONG" send box hello
        echo "still $("$TONG" stat box | awk "\$1 == \"owner\" { print \$2 }")"'
t 'a command that is killed' 143 '' '' "$TONG" hold box -- sh -c 'kill -TERM $$'
t 'a command that is not there' 1 '' "tong: hold: $work/none: No such file or directory" \
    "$TONG" hold box -- "$work/none"
t 'leaves no mailbox' 4 '' '*' "$TONG" stat box
t 'a command needs --' 2 '' 'tong: hold: true is one word too many; put -- before a command, *' \
    "$TONG" hold box true
t 'a command needs a name before --' 2 '' 'tong: hold: the NAME is missing; *' "$TONG" hold -- true
t 'a full disk ends it' 1 '' \
    'tong: hold box: cannot write to standard output, No space left on device; the mailbox ends, with what waits in it' \
    sh -c '"$TONG" hold box >/dev/full & pid=$!
        until "$TONG" send box x --no-create 2>/dev/null; do sleep 0.02; done; wait $pid'
t 'lines and null' 2 '' 'tong: hold: --lines and --null exclude each other; *' \
    "$TONG" hold box --lines --null

# Without a command.
"$TONG" hold box --lines >"$work/got" &
pid=$!
soon field_is box owner process
is 'without a command it stays' "$(field box owner-pid)" "$pid"
t 'what is sent to it' 0 '' '' sh -c '"$TONG" send box one && "$TONG" send box two'
soon grep -q two "$work/got"
is 'is printed' "$(cat "$work/got")" "one${nl}two"
t 'nobody else receives from it' 1 '' \
    'tong: receive box: only its owner may do this; another process owns it and is its only receiver; "tong create" makes one for all' \
    "$TONG" receive box
t 'the name is taken' 1 '' 'tong: hold box: the name exists already, *; take another name, *' \
    "$TONG" hold box -- true
t 'for create, too' 1 '' \
    'tong: create box: it is there with other options, owner is process, not system; *' \
    "$TONG" create box
kill -TERM "$pid"
ended "$pid" 143 'until it is asked to end'
t 'then it is gone' 4 '' '*' "$TONG" send box x --no-create

# Whoever waits there is told. A command that never reads lets the mailbox fill.
mkfifo "$work/go"
exec 7<>"$work/go"
head -c 1000000 /dev/zero >"$work/long"
for signal in TERM KILL; do
    "$TONG" hold box --capacity 1 -- sh -c "exec head -n 1 '$work/go'" 7>&- &
    pid=$!
    soon field_is box owner process
    "$TONG" send box --file "$work/long"
    soon field_is box claimed 1
    "$TONG" send box waits 2>"$work/rerr" &
    sender=$!
    soon field_is box senders-blocked 1
    kill -$signal "$pid"
    ended "$sender" 1 "SIG$signal of the holder ends a waiting sender"
    t "SIG$signal: which is told" 0 \
        'tong: send box: its process is gone; start its process again, *' '' cat "$work/rerr"
    wait "$pid" 2>/dev/null
    t "SIG$signal: the name is free" 0 '' '' "$TONG" create box
    "$TONG" rm box
done

echo >&7 # The command of the holder that was killed ends, too.
"$TONG" hold box 2>"$work/rerr" &
pid=$!
soon field_is box owner process
"$TONG" rm box
ended "$pid" 1 'a holder whose mailbox is removed ends'
t 'and says why' 0 'tong: hold box: it was removed while open; *' '' cat "$work/rerr"
after_kills
finish
