# hold.sh - a mailbox that lives as long as a process.
. "$(dirname "$0")/lib"

t 'with a command the exit code is its' 7 '' '' "$TONG" hold box -- sh -c 'exit 7'
t 'and the mailbox ends with it' 4 '' '*' "$TONG" stat box
t 'it is there meanwhile, and the command knows its name' 0 'process' '' \
    "$TONG" hold box --capacity 2 -- sh -c '"$TONG" stat "$TONG_MAILBOX" | awk "\$1 == \"owner\" { print \$2 }"'
t 'the options hold' 0 '2' '' \
    "$TONG" hold box --capacity 2 -- sh -c '"$TONG" stat box | awk "\$1 == \"capacity\" { print \$2 }"'
t 'messages go through it' 0 'hello' '' \
    "$TONG" hold box -- sh -c '"$TONG" send box hello; "$TONG" receive box'
t 'a command that is killed' 143 '' '' "$TONG" hold box -- sh -c 'kill -TERM $$'
t 'a command that is not there' 1 '' "tong: hold: $work/none: No such file or directory" \
    "$TONG" hold box -- "$work/none"
t 'leaves no mailbox' 4 '' '*' "$TONG" stat box
t 'a command needs --' 2 '' 'tong: hold: true is one word too many; put -- before a command, *' \
    "$TONG" hold box true
t 'a command needs a name before --' 2 '' 'tong: hold: the NAME is missing; *' "$TONG" hold -- true

"$TONG" hold box &
pid=$!
soon field_is box owner process
is 'without a command it waits' "$(field box owner-pid)" "$pid"
t 'the name is taken' 1 '' 'tong: hold box: the name exists already, *; take another name, *' \
    "$TONG" hold box -- true
t 'for create, too' 1 '' 'tong: create box: it is there with other options, owner is process, not system; *' \
    "$TONG" create box
"$TONG" receive box 2>"$work/rerr" &
receiver=$!
soon field_is box receivers-asleep 1
kill -TERM "$pid"
ended "$pid" 143 'until it is asked to end'
ended "$receiver" 1 'whoever waits there is told'
t 'that its process is gone' 0 'tong: receive box: its process is gone; start its process again, *' '' \
    cat "$work/rerr"

"$TONG" hold box &
pid=$!
soon field_is box owner process
"$TONG" receive box 2>"$work/rerr" &
receiver=$!
soon field_is box receivers-asleep 1
kill -KILL "$pid"
wait "$pid" 2>/dev/null
ended "$receiver" 1 'kill -9 of the holder is noticed'
t 'and told' 0 'tong: receive box: its process is gone; *' '' cat "$work/rerr"
t 'the name is free' 0 '' '' "$TONG" create box
"$TONG" rm box

"$TONG" hold box 2>"$work/rerr" &
pid=$!
soon field_is box owner process
"$TONG" rm box
ended "$pid" 1 'a holder whose mailbox is removed ends'
t 'and says why' 0 'tong: hold box: it was removed while open; *' '' cat "$work/rerr"
after_kills
finish
