# select.sh - what send says of a message, and receive of some messages only.
. "$(dirname "$0")/lib"

t 'a message with a tag' 0 '' '' "$TONG" send box one --tag 1
t 'one more' 0 '' '' "$TONG" send box two --tag 2 --priority 3
t 'and one that is urgent' 0 '' '' "$TONG" send box three --priority 31
t 'the tag comes' 0 two '' "$TONG" receive box --tag 2 --timeout 5
t 'the urgent one comes' 0 three '' "$TONG" receive box --min-priority 4 --timeout 5
t 'nothing of that kind' 3 '' 'tong: receive box: *; what waits is not asked for; *' \
    "$TONG" receive box --tag 7 --timeout 0
t 'the rest waits' 0 one '' "$TONG" receive box --timeout 5

printf 'a\nb\n' | "$TONG" send box --lines --tag 5
printf 'c' >"$work/file"
t 'of a file' 0 '' '' "$TONG" send box --file "$work/file" --tag 6
t 'each line has it' 0 'a
b' '' "$TONG" receive box --tag 5 --count 2 --lines --timeout 5
t 'the file, too' 0 c '' "$TONG" receive box --tag 6 --timeout 5

"$TONG" send box late --expiry 0.001
soon sh -c '"$TONG" receive box --timeout 0 >/dev/null 2>&1; test $? = 3'
is 'one that is late is nobody'"'"'s' "$(field box expired)" 1

# A worker's failure gives it back, for who asks for it.
"$TONG" send box x --tag 1
"$TONG" send box y --tag 2
t 'what fails comes back' 1 '' '*the command ended with 1 and the message is back in the mailbox; *' \
    "$TONG" receive box --tag 2 --timeout 5 --exec false
t 'for who asks for it' 0 y '' "$TONG" receive box --tag 2 --timeout 5
t 'the other one is where it was' 0 x '' "$TONG" receive box --timeout 5

t 'a priority too high' 2 '' 'tong: send: --priority: 32 is too much; at most 31, *' "$TONG" send box x --priority 32
t 'a tag that is no number' 2 '' 'tong: send: --tag: red is not a number; *' "$TONG" send box x --tag red
t 'no time at all' 2 '' 'tong: send: --expiry: in 0 seconds *' "$TONG" send box x --expiry 0
t 'not for a stream' 2 '' 'tong: send: --stream and --tag exclude *' "$TONG" send box --stream --tag 1
t 'on neither side' 2 '' 'tong: receive: --tag and --stream exclude *' "$TONG" receive box --stream --tag 1
t 'nor by name' 2 '' 'tong: send: --as P --to Q takes one TEXT, *' "$TONG" send --as P --to Q x --tag 1
t 'nor there' 2 '' 'tong: receive: --as Q and --tag exclude *' "$TONG" receive --as Q --tag 1
is 'nothing was sent' "$(field box waiting)" 0
"$TONG" send box x --tag 7 --priority 2 --key account-4
if "$TONG" stat box --json >/dev/null 2>&1; then
    t 'it is told' 0 '{*"priority":2,"tag":7,"key":"????????????????","len":1,*}' '' \
        "$TONG" receive box --json --timeout 5
fi
finish
