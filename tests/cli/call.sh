# call.sh - tong call and tong serve: request and reply.
. "$(dirname "$0")/lib"

usage='"tong help call" shows how'
t 'a mailbox must be named' 2 '' "tong: call: the NAME is missing; $usage" "$TONG" call
t 'one text' 2 '' 'tong: call: words is one word too many;*' "$TONG" call a text words
t 'or one file' 2 '' 'tong: call: a TEXT and a file exclude*' "$TONG" call a text --file x
t 'nobody of that name' 4 '' 'tong: call nobody: no such name*' "$TONG" call nobody hello
t 'what answers' 2 '' 'tong: serve: --exec CMD is missing: *' "$TONG" serve upper
t 'a count of none' 2 '' 'tong: serve: --count: 0 is no request; *' "$TONG" serve upper --exec cat --count 0
t 'no mailbox is made' 4 '' 'tong: serve upper: no such name*' "$TONG" serve upper --exec cat --no-create

"$TONG" create upper
t 'nobody serves it' 3 '' 'tong: call upper: *; nobody serves it; *' "$TONG" call upper hello --timeout 0.01
t 'a reply takes time' 3 '' 'tong: call upper: *' "$TONG" call upper hello --timeout 0
t 'requests that nobody waits for are not served' 3 '' 'tong: serve upper: *' \
    "$TONG" serve upper --exec cat --timeout 0.01

"$TONG" serve upper --exec 'tr a-z A-Z' --count 7 2>"$work/serve" &
server=$!
soon field_is upper receivers-asleep 1
t 'a reply' 0 HELLO '' "$TONG" call upper hello
printf 'good\nmorning' >"$work/in"
t 'of a file' 0 "GOOD${nl}MORNING" '' "$TONG" call upper --file "$work/in"
t 'of standard input' 0 "GOOD${nl}MORNING" '' sh -c '"$0" call upper <"$1"' "$TONG" "$work/in"
t 'of nothing' 0 '' '' "$TONG" call upper ''
t 'into a file' 0 '' '' "$TONG" call upper twice --output "$work/out1" --lines
printf 'TWICE\n' >"$work/wanted"
same 'with a newline' "$work/out1" "$work/wanted"
if "$TONG" ls --json >/dev/null 2>&1; then
    t 'as an object' 0 '{"mailbox":*"upper",*"pid":*,*"len":*2,*"data":*"AB"}' '' "$TONG" call upper ab --json
else
    skip 'as an object' 'built without jansson'
    "$TONG" call upper ab >/dev/null
fi
"$TONG" send upper 'no request'
ended "$server" 0 'the server ends behind its count'
is 'and said nothing' "$(cat "$work/serve")" ''
is 'nothing is left' "$(field upper waiting) $(field upper claimed)" '0 0'
is 'nobody sees where the replies went' "$("$TONG" ls | grep -c reply-)" 0

# A long one, both ways.
head -c 3000000 /dev/urandom >"$work/big"
"$TONG" serve upper --exec cat --count 2 &
server=$!
t 'a long request' 0 '' '' "$TONG" call upper --file "$work/big" --output "$work/got"
same 'and its reply' "$work/big" "$work/got"
t 'a short one behind it' 0 x '' "$TONG" call upper x
ended "$server" 0 'both were served'
"$TONG" serve upper --exec 'echo "$TONG_MAILBOX $TONG_DELIVERIES"' --count 1 &
t 'its environment' 0 'upper 1' '' "$TONG" call upper x
wait

# A command that fails.
"$TONG" serve upper --exec 'cat >/dev/null; exit 7' --count 1 2>"$work/serve" &
server=$!
t 'the caller is told' 1 '' 'tong: call upper: nobody answers; *' "$TONG" call upper x
ended "$server" 1 'the server says so, too'
t 'why' 0 'tong: serve upper: the command ended with 7 and the caller is told *' '' cat "$work/serve"
is 'the request is gone' "$(field upper waiting)" 0

# At least once, where it is handed out again.
"$TONG" create often --max-deliveries 3
"$TONG" serve often --exec '[ "$TONG_DELIVERIES" = 3 ] && echo third' --count 3 2>"$work/serve" &
server=$!
t 'another try answers' 0 third '' "$TONG" call often x
ended "$server" 1 'two failed'
is 'and were given back' "$(grep -c 'the request goes to the next server' "$work/serve")" 2
"$TONG" serve often --exec 'exit 1' --count 3 2>/dev/null &
server=$!
"$TONG" call often x >"$work/got" 2>"$work/err1" &
caller=$!
ended "$server" 1 'three failed'
t 'the next receiver sets it aside' 3 '' '*' "$TONG" receive often --timeout 0.01
ended "$caller" 1 'and its caller is told'
"$TONG" rm often

# A server that is killed, and one that is asked to end.
mkfifo "$work/go"
for signal in KILL TERM; do
    "$TONG" serve upper --exec "exec cat '$work/go'" 2>/dev/null &
    server=$!
    "$TONG" call upper x >"$work/got" 2>"$work/err1" &
    caller=$!
    soon field_is upper claimed 1
    kill -$signal "$server"
    ended "$caller" 1 "a server that gets SIG$signal: the caller is told"
    wait "$server" 2>/dev/null
    is 'why' "$(cut -d ';' -f 1 "$work/err1")" 'tong: call upper: nobody answers'
    # Its command is a process of its own, and outlives one that is killed.
    [ $signal = TERM ] || echo >"$work/go"
    is 'no other one gets it' "$("$TONG" receive upper --timeout 0 2>/dev/null; echo $?)" 3
done

# A reply that cannot be sent: that caller alone is told, and the next one is served.
damage_replies() {
    for folder in "$TONG_DIR"/reply-*; do
        printf 'no mailbox' | dd of="$folder/box" conv=notrunc 2>/dev/null
    done
}
"$TONG" serve upper --exec "cat '$work/go'" --count 2 2>"$work/serve" &
server=$!
"$TONG" call upper x --timeout 20 >"$work/got" 2>"$work/err1" &
caller=$!
soon field_is upper claimed 1
damage_replies
echo one >"$work/go"
ended "$caller" 1 'a reply cannot be sent: its caller is told'
"$TONG" call upper x --timeout 20 >"$work/got" &
caller=$!
soon field_is upper claimed 1
echo two >"$work/go"
ended "$caller" 0 'the next one'
is 'has its own' "$(cat "$work/got")" two
ended "$server" 1 'the server went on'
is 'and said why' "$(grep -c '^tong: serve upper: foreign or damaged bytes.*; that was the reply to one caller' "$work/serve")" 1
"$TONG" create front
"$TONG" relay front upper --count 2 2>"$work/relay" &
relay=$!
"$TONG" serve upper --exec "cat '$work/go'" --count 2 &
server=$!
"$TONG" call front x --timeout 20 >"$work/got" 2>"$work/err1" &
caller=$!
soon field_is upper claimed 1
kill -TERM "$caller"
ended "$caller" 143 'a caller that goes'
echo one >"$work/go"
"$TONG" call front x --timeout 20 >"$work/got" &
caller=$!
soon field_is upper claimed 1
echo two >"$work/go"
ended "$caller" 0 'does not end a relay'
ended "$relay" 0 'that has nothing to tell then'
ended "$server" 0 'nor who serves behind it'
"$TONG" rm front

# A caller that is asked to end.
"$TONG" call upper x &
caller=$!
soon field_is upper waiting 1
kill -TERM "$caller"
ended "$caller" 143 'a caller that is asked to end'
"$TONG" rm upper

# Over a socket: the mailbox is the server's.
"$TONG" serve unix:upper --exec 'tr a-z A-Z' --count 2 &
server=$!
soon field_is unix:upper receivers-asleep 1
t 'a reply over a socket' 0 HELLO '' "$TONG" call unix:upper hello
"$TONG" call unix:upper '' >"$work/got"
ended "$server" 0 'and its server ends'
"$TONG" serve unix:upper --exec "exec cat '$work/go'" 2>/dev/null &
server=$!
soon field_is unix:upper receivers-asleep 1
"$TONG" call unix:upper x >"$work/got" 2>"$work/err1" &
caller=$!
soon field_is unix:upper claimed 1
kill -KILL "$server"
ended "$caller" 1 'one that is killed: the caller is told'
wait "$server" 2>/dev/null
is 'why' "$(cut -d ';' -f 1 "$work/err1")" 'tong: call unix:upper: nobody answers'
echo >"$work/go"
after_kills
finish
