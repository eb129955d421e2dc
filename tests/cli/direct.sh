# direct.sh - processes that name each other: --as, --to, --from, and their links.
. "$(dirname "$0")/lib"

usage='"tong help send" shows how'
t 'who sends' 2 '' "tong: send: --as P and --to Q go together; $usage" "$TONG" send --to Q hello
t 'to whom' 2 '' "tong: send: --as P and --to Q go together; $usage" "$TONG" send --as P hello
t 'one text' 2 '' 'tong: send: --as P --to Q takes one TEXT, *' "$TONG" send --as P --to Q two words
t 'or one file' 2 '' 'tong: send: a TEXT and a file *' "$TONG" send --as P --to Q text --file x
t 'who receives' 2 '' 'tong: receive: --from P needs --as Q*' "$TONG" receive --from P
t 'no mailbox beside' 2 '' 'tong: receive: box is one word too many*' "$TONG" receive --as Q box
t 'and no other form' 2 '' 'tong: receive: --as Q and --json exclude *' "$TONG" receive --as Q --json
t 'a name that cannot be' 2 '' 'tong: send .P: *' "$TONG" send --as .P --to Q hello
t 'a process that is not there' 4 '' 'tong: send Q: no such name; no process of this name *' \
    "$TONG" send --as P --to Q --timeout 0 hello
t 'or does not come' 3 '' 'tong: send Q: *; no process of this name came, *' \
    "$TONG" send --as P --to Q --timeout 0.01 hello
t 'nothing comes' 3 '' 'tong: receive Q: *' "$TONG" receive --as Q --timeout 0.01
"$TONG" create box
t 'a mailbox is no process' 1 '' "tong: receive box: *; a mailbox has this name, *" \
    "$TONG" receive --as box --timeout 0
"$TONG" rm box

# From anyone, who is told.
"$TONG" receive --as Q --count 2 >"$work/got" &
q=$!
soon field_is Q owner process
t 'a name is taken once' 1 '' 'tong: receive Q: *; a living process has this name*' \
    "$TONG" receive --as Q --timeout 0
t 'a text' 0 '' '' "$TONG" send --as P --to Q 'hello Q'
printf 'out of a file' >"$work/file"
t 'a file' 0 '' '' "$TONG" send --as R --to Q --file "$work/file"
ended "$q" 0 'two messages'
is 'with the names of their senders' "$(cat "$work/got")" "P: hello Q${nl}R: out of a file"
holds 'a name is free when its process ends' test -z "$("$TONG" ls)"

# From one alone: what others sent waits.
"$TONG" receive --as Q --from P >"$work/got" &
q=$!
soon field_is Q owner process
t 'another one sends' 0 '' '' "$TONG" send --as R --to Q 'not now'
is 'it waits' "$(field Q waiting)" 1
is 'on its link' "$("$TONG" ls --links)" 'Q <-> R'
t 'links stand in the long list, too' 0 '*Q <-> R' '' "$TONG" ls -l
if "$TONG" ls --json >/dev/null 2>&1; then
    t 'and with --json' 0 '{"a":*"Q",*"b":*"R",*"waiting_at_b":*0,*"waiting_at_a":*1}' '' "$TONG" ls --links --json
else
    skip 'and with --json' 'the command was built without jansson'
fi
t 'P sends' 0 '' '' "$TONG" send --as P --to Q 'now'
ended "$q" 0 'the one asked for'
is 'and it alone' "$(cat "$work/got")" 'P: now'
holds 'no link is left' test -z "$("$TONG" ls --links)"

# A long one, and one from standard input.
head -c 100000 /dev/zero | tr '\0' x >"$work/long"
"$TONG" receive --as Q >"$work/got" &
q=$!
t 'from standard input' 0 '' '' sh -c '"$0" send --as P --to Q <"$1"' "$TONG" "$work/long"
ended "$q" 0 'a long message'
is 'arrives whole' "$(wc -c <"$work/got")" 100004

# A peer that dies.
"$TONG" receive --as P --from Q 2>"$work/err1" >"$work/got" &
p=$!
"$TONG" receive --as Q >/dev/null &
q=$!
soon field_is Q receivers-asleep 1
soon field_is P receivers-asleep 1
kill -KILL "$q"
wait "$q" 2>/dev/null
ended "$p" 1 'a peer that is killed ends the wait'
t 'with the reason' 0 'tong: receive Q: *; all that it had sent was received' '' cat "$work/err1"
after_kills
finish
